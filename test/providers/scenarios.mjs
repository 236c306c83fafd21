// What evil.mjs can do. Each scenario is a set of hooks; what has no hook is answered as a good provider would.
//
//   token(t, tools)        the ID token before it is signed: t.header, t.payload, t.by (see sign in evil.mjs);
//                          a claim set to undefined is left out
//   answer(a, tools)       the token endpoint's answer: a.statusCode, a.body
//   redirect(query, tools) the parameters the browser is sent back with
//   userinfo(a, tools)     the userinfo endpoint's answer
//   discovery(d, tools)    the discovery document
//   keys(list, tools)      the key set
//   front{path}(req, res)  the whole answer of a path

const claim = (name, value) => ({ token: (t) => { t.payload[name] = value; } });
const without = (...names) => ({ token: (t) => { for (const n of names) t.payload[n] = undefined; } });
const at = (name, seconds) => ({ token: (t, { now }) => { t.payload[name] = now() + seconds; } });
const by = (who, header = {}) => ({ token: (t) => Object.assign(t, { by: who, header }) });
const status = (code, body = '') => (req, res) => { res.writeHead(code, { 'content-type': 'text/plain' }); res.end(body); };
const move = (to) => (req, res) => { res.writeHead(302, { location: to }); res.end(); };

// endless sends JSON white space for as long as the client reads it.
function endless(req, res) {
  res.writeHead(200, { 'content-type': 'application/json' });
  const chunk = Buffer.alloc(1 << 16, ' ');
  const more = () => { while (!res.destroyed && res.write(chunk)); };
  res.on('drain', more);
  more();
}

// silent takes the request and never answers.
function silent() {}

const groups = (value) => claim('groups', value);
const discovery = '/.well-known/openid-configuration';

export const scenarios = {
  ok: {},

  // --- issuer, audience, time, nonce
  'iss-wrong': claim('iss', 'http://evil.test'),
  'iss-slash': { token: (t) => { t.payload.iss += '/'; } },
  'iss-missing': without('iss'),
  'aud-wrong': claim('aud', 'other'),
  'aud-missing': without('aud'),
  'aud-list-azp': { token: (t) => { t.payload.azp = t.payload.aud; t.payload.aud = [t.payload.aud, 'other']; } }, // good
  'aud-list-no-azp': { token: (t) => { t.payload.aud = [t.payload.aud, 'other']; } },
  'azp-other': { token: (t) => { t.payload.aud = [t.payload.aud, 'other']; t.payload.azp = 'other'; } },
  'azp-other-single': claim('azp', 'other'),
  'exp-past': at('exp', -3600),
  'exp-missing': without('exp'),
  'iat-missing': without('iat'),
  'iat-future': at('iat', 3600),
  'iat-old': at('iat', -86400),
  'iat-string': claim('iat', 'now'),
  'nbf-future': at('nbf', 3600),
  'nonce-wrong': claim('nonce', 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'),
  'nonce-missing': without('nonce'),

  // --- signature
  'alg-none': by('none', { alg: 'none' }),
  'alg-none-spelled': by('none', { alg: 'nOnE' }),
  'alg-hs256-secret': by('secret', { alg: 'HS256' }),
  'alg-hs256-public-key': by('public', { alg: 'HS256' }),
  'alg-not-promised': by('current', { alg: 'RS512' }),
  'key-stranger': by('stranger'),
  'key-stranger-embedded': { token: (t, { strangerJWK }) => Object.assign(t, { by: 'stranger', header: { jwk: strangerJWK(), kid: 'stranger' } }) },
  'key-stranger-jku': { token: (t, { issuer }) => Object.assign(t, { by: 'stranger', header: { jku: `${issuer}/stranger`, kid: 'stranger' } }) },
  'kid-unknown': by('current', { kid: 'nobody' }),
  'kid-absent-single': by('current', { kid: null }), // good
  'kid-absent-multiple': { ...by('current', { kid: null }), keys: (list, { spareJWK }) => list.unshift(spareJWK()) }, // good
  'signature-cut': { answer: (a) => { a.body.id_token = `${a.body.id_token.split('.').slice(0, 2).join('.')}.`; } },
  'payload-changed': {
    answer(a, { encode, decode }) {
      const [h, , s] = a.body.id_token.split('.');
      a.body.id_token = `${h}.${encode({ ...decode(a.body.id_token), sub: 'owner', preferred_username: 'owner' })}.${s}`;
    },
  },
  'at-hash-wrong': claim('at_hash', 'AAAAAAAAAAAAAAAAAAAAAA'),

  // --- keys
  'keys-down': { front: { '/jwks': status(500, 'down') } },
  'keys-endless': { front: { '/jwks': endless } },
  'keys-empty': { keys: (list) => list.splice(0) },
  'keys-not-json': { front: { '/jwks': status(200, '<html>') } },

  // --- the token endpoint
  'token-missing': { answer: (a) => { delete a.body.id_token; } },
  'token-number': { answer: (a) => { a.body.id_token = 7; } },
  'token-garbage': { answer: (a) => { a.body.id_token = 'not.a.token'; } },
  'token-huge': claim('padding', 'x'.repeat(70_000)),
  'token-type': { answer: (a) => { a.body.token_type = 'mac'; } },
  'token-no-access-token': { answer: (a) => { delete a.body.access_token; } },
  'token-endpoint-500': { front: { '/token': status(500, '{"id_token":"SECRET-IN-BODY"}') } },
  'token-endpoint-html': { front: { '/token': status(200, '<html>SECRET-IN-BODY</html>') } },
  'token-endpoint-redirect': { front: { '/token': move('http://127.0.0.1:1/elsewhere') } },
  'token-endpoint-endless': { front: { '/token': endless } },
  'token-endpoint-silent': { front: { '/token': silent } },
  'token-endpoint-invalid-grant': { answer: (a) => { a.statusCode = 400; a.body = { error: 'invalid_grant', error_description: '<script>alert(1)</script>' }; } },

  // --- the way back
  'state-changed': { redirect: (q) => q.set('state', 'x') },
  'state-missing': { redirect: (q) => q.delete('state') },
  'state-twice': { redirect: (q) => q.append('state', q.get('state')) },
  'code-missing': { redirect: (q) => q.delete('code') },
  'code-twice': { redirect: (q) => q.append('code', q.get('code')) },
  'code-huge': { redirect: (q) => q.set('code', 'x'.repeat(10_000)) },
  'mix-up': { redirect: (q) => q.set('iss', 'http://evil.test') },
  'iss-parameter': { redirect: (q, { issuer }) => q.set('iss', issuer), discovery: (d) => { d.authorization_response_iss_parameter_supported = true; } }, // good
  'iss-parameter-promised': { discovery: (d) => { d.authorization_response_iss_parameter_supported = true; } },
  'error-denied': { redirect: (q) => { q.delete('code'); q.set('error', 'access_denied'); q.set('error_description', '<script>alert(1)</script> no'); } },
  'error-huge': { redirect: (q) => { q.delete('code'); q.set('error', 'E'.repeat(500)); q.set('error_description', 'd'.repeat(3000)); } },
  'error-and-code': { redirect: (q) => q.set('error', 'server_error') },

  // --- who it is
  'sub-missing': without('sub'),
  'sub-empty': claim('sub', ''),
  'sub-number': claim('sub', 7),
  'sub-long': claim('sub', 'x'.repeat(256)),
  'sub-control': claim('sub', 'ali\nce'),
  'sub-other-spelling': { token: (t) => { t.payload.sub = undefined; t.payload.SUB = 'alice'; } },
  'username-missing': { ...without('preferred_username'), userinfo: (a) => { delete a.body.preferred_username; } },
  'username-null': { ...claim('preferred_username', null), userinfo: (a) => { delete a.body.preferred_username; } },
  'username-number': claim('preferred_username', 7),
  'username-empty': claim('preferred_username', ''),
  'username-spaces': claim('preferred_username', ' alice '),
  'username-long': claim('preferred_username', 'x'.repeat(300)),
  'username-newline': claim('preferred_username', 'alice\r\nX-Evil: 1'),
  'username-nul': claim('preferred_username', 'alice\0'),
  'username-bidi': claim('preferred_username', 'alice\u202Enimda'),
  'username-kelvin': claim('preferred_username', '\u212Aate'), // folds to "kate"
  'username-surrogate': { answer: (a, { sign, decode }) => { a.body.id_token = sign({ payload: { ...decode(a.body.id_token), preferred_username: 'al\ud800ice' } }); } },
  'name-control': claim('name', 'Alice\x1b[31m'),
  'name-long': claim('name', 'x'.repeat(2000)),
  'name-object': claim('name', { first: 'Alice' }),
  'email-long': claim('email', `${'x'.repeat(400)}@example.test`),
  'email-unverified': claim('email_verified', false),
  'groups-string': groups('support'), // good
  'groups-missing-everywhere': { ...without('groups'), userinfo: (a) => { delete a.body.groups; } }, // good
  'groups-many': groups(Array.from({ length: 1001 }, (_, i) => `g${i}`)),
  'groups-long': groups(['x'.repeat(257)]),
  'groups-mixed': groups(['support', 7]),
  'groups-object': groups({ support: true }),
  'groups-control': groups(['support\nRemote-User: owner']),
  'groups-elsewhere': { userinfo: (a) => { delete a.body.groups; }, token: (t) => { t.payload.groups = undefined; t.payload._claim_names = { groups: 'src1' }; t.payload._claim_sources = { src1: { endpoint: 'http://127.0.0.1:1/' } }; } },
  'claims-nested': { // good
    token(t) {
      t.payload.realm_access = { roles: ['nested'] };
      t.payload['https://example.com/groups'] = ['by-url'];
      t.payload['resource.access'] = { 'my.app': { roles: ['dotted'] } };
    },
  },

  // --- userinfo
  'userinfo-claims': without('preferred_username', 'groups', 'name', 'email'), // good
  'userinfo-sub-other': { ...without('groups'), userinfo: (a) => { a.body.sub = 'owner'; } },
  'userinfo-sub-missing': { ...without('groups'), userinfo: (a) => { delete a.body.sub; } },
  'userinfo-500': { ...without('groups'), userinfo: (a) => { a.statusCode = 500; } },
  'userinfo-endless': { ...without('groups'), front: { '/userinfo': endless } },
  'userinfo-not-json': { ...without('groups'), front: { '/userinfo': status(200, '<html>') } },
  'userinfo-redirect': { ...without('groups'), front: { '/userinfo': move('http://127.0.0.1:1/elsewhere') } },
  'userinfo-name-500': { ...without('name'), userinfo: (a) => { a.statusCode = 500; } }, // good: the name is not needed

  // --- when they last proved who they are
  'auth-time-missing': without('auth_time'),
  'auth-time-zero': claim('auth_time', 0),
  'auth-time-old': at('auth_time', -7200),
  'auth-time-future': at('auth_time', 7200),
  'auth-time-string': claim('auth_time', 'now'),
  'auth-time-now': at('auth_time', 0),
  'acr-mfa': { token: (t, { now }) => Object.assign(t.payload, { acr: 'urn:test:mfa', auth_time: now() }) },

  // --- discovery
  'discovery-other-issuer': { discovery: (d) => { d.issuer = 'http://evil.test'; } },
  'discovery-issuer-slash': { discovery: (d) => { d.issuer += '/'; } },
  'discovery-no-issuer': { discovery: (d) => { delete d.issuer; } },
  'discovery-no-token-endpoint': { discovery: (d) => { delete d.token_endpoint; } },
  'discovery-no-keys': { discovery: (d) => { delete d.jwks_uri; } },
  'discovery-bad-endpoint': { discovery: (d) => { d.authorization_endpoint = 'javascript:alert(1)'; } },
  'discovery-symmetric-only': { discovery: (d) => { d.id_token_signing_alg_values_supported = ['HS256', 'none']; } },
  'discovery-no-code-flow': { discovery: (d) => { d.response_types_supported = ['id_token']; } },
  'discovery-no-s256': { discovery: (d) => { d.code_challenge_methods_supported = ['plain']; } },
  'discovery-endless': { front: { [discovery]: endless } },
  'discovery-redirect': { front: { [discovery]: move('http://127.0.0.1:1/elsewhere') } },
  'discovery-html': { front: { [discovery]: status(200, '<html>') } },
  'discovery-500': { front: { [discovery]: status(500, 'down') } },
};
