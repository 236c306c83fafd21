// A provider that misbehaves on demand: oauth2-mock-server, whose every token and answer can be rewritten, behind a
// front that rewrites discovery, keys and transport as well. EVIL_CONFIG is {"port", "scenario"}; the command
// "scenario" changes it while running. What each scenario does is in scenarios.mjs.
import { createHmac, createPrivateKey, createPublicKey, generateKeyPairSync, randomUUID, sign as signBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { OAuth2Issuer, OAuth2Service } from 'oauth2-mock-server';
import { configFrom, listen, serveCommands } from './control.mjs';
import { scenarios } from './scenarios.mjs';

const config = configFrom('EVIL_CONFIG');
const issuer = new OAuth2Issuer();
const service = new OAuth2Service(issuer);
const requests = {}; // path → how often it was asked for
const stranger = once(() => ({ ...newKey(), kid: 'stranger' })); // in no key set
const spare = once(newKey); // shown in the key set by some scenarios, beside the current one
let current; // the signing key
let scenario;
let clientSecret = ''; // as last sent by the client

// once delays what takes long (a key) until it is wanted.
function once(make) {
  let made;
  return () => (made ??= make());
}

function newKey() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), alg: 'RS256', use: 'sig', kid: randomUUID() };
}

async function rotate() {
  current = newKey();
  await issuer.keys.add(current);
}

function publicKey({ kty, n, e, alg, use, kid }) {
  return { kty, n, e, alg, use, kid };
}

function choose(name) {
  if (!(name in scenarios)) throw new Error(`no scenario ${name}`);
  scenario = scenarios[name];
}

// --- tokens

const person = {
  sub: 'alice', preferred_username: 'alice', name: 'Alice Ng', email: 'alice@example.test', groups: ['support', 'staff'],
};

const encode = (o) => Buffer.from(JSON.stringify(o)).toString('base64url');
const now = () => Math.floor(Date.now() / 1000);

// sign makes a token of any shape. By: the "current" key, a "stranger"'s, "none", or an HMAC keyed with what an
// attacker can know: the client's "secret", or the provider's "public" key. A header set to null is left out.
function sign({ header = {}, payload = {}, by = 'current' }) {
  const head = { typ: 'JWT', alg: 'RS256', kid: current.kid, ...header };
  for (const name of Object.keys(head)) if (head[name] === null) delete head[name];
  const input = `${encode(head)}.${encode(payload)}`;
  const digest = { RS384: 'sha384', RS512: 'sha512' }[head.alg] || 'sha256';
  const pem = () => createPublicKey({ key: publicKey(current), format: 'jwk' }).export({ type: 'spki', format: 'pem' });
  const rsa = (key) => signBytes(digest, Buffer.from(input), createPrivateKey({ key, format: 'jwk' }));
  const signature = {
    current: () => rsa(current),
    stranger: () => rsa(stranger()),
    secret: () => createHmac('sha256', clientSecret).update(input).digest(),
    public: () => createHmac('sha256', pem()).update(input).digest(),
    none: () => Buffer.alloc(0),
  }[by]();
  return `${input}.${signature.toString('base64url')}`;
}

const tools = {
  sign, now, encode,
  decode: (token, part = 1) => JSON.parse(Buffer.from(token.split('.')[part], 'base64url')),
  strangerJWK: () => publicKey(stranger()),
  spareJWK: () => publicKey(spare()),
  get issuer() { return issuer.url; },
};

// --- what the mock server is about to answer

service.on('beforeResponse', (answer, req) => {
  const basic = Buffer.from((req.headers.authorization || '').replace(/^Basic /, ''), 'base64').toString();
  clientSecret = basic.split(':')[1] || req.body.client_secret || '';
  const payload = { ...tools.decode(answer.body.id_token), ...person, sid: 'sid-of-alice', auth_time: now() - 5 };
  const token = { header: {}, payload, by: 'current' };
  scenario.token?.(token, tools);
  for (const name of Object.keys(payload)) if (payload[name] === undefined) delete payload[name];
  answer.body.id_token = sign(token);
  scenario.answer?.(answer, tools);
});

service.on('beforeAuthorizeRedirect', ({ url }) => scenario.redirect?.(url.searchParams, tools));

service.on('beforeUserinfo', (answer) => {
  answer.body = { ...person };
  scenario.userinfo?.(answer, tools);
});

// --- the front

function json(res, value) {
  res.writeHead(200, { 'content-type': 'application/json' });
  res.end(JSON.stringify(value));
}

const server = createServer((req, res) => {
  const path = req.url.split('?')[0];
  requests[path] = (requests[path] || 0) + 1;
  if (scenario.front?.[path]) return scenario.front[path](req, res, tools);
  if (path === '/.well-known/openid-configuration') {
    const document = {
      issuer: issuer.url,
      authorization_endpoint: `${issuer.url}/authorize`,
      token_endpoint: `${issuer.url}/token`,
      userinfo_endpoint: `${issuer.url}/userinfo`,
      jwks_uri: `${issuer.url}/jwks`,
      end_session_endpoint: `${issuer.url}/endsession`,
      response_types_supported: ['code'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['RS256'],
      token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post'],
      code_challenge_methods_supported: ['S256'],
    };
    scenario.discovery?.(document, tools);
    return json(res, document);
  }
  if (path === '/jwks') {
    const keys = [publicKey(current)];
    scenario.keys?.(keys, tools);
    return json(res, { keys });
  }
  return service.requestHandler(req, res);
});

choose(config.scenario || 'ok');
issuer.url = `http://127.0.0.1:${await listen(server, config.port)}`;
await rotate();
serveCommands({ issuer: issuer.url }, {
  scenario: ({ name }) => choose(name),
  scenarios: () => ({ names: Object.keys(scenarios) }),
  rotate,
  sign: (args) => ({ token: sign(args) }),
  requests: () => ({ requests }),
});
