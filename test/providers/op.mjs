// A real, certified OpenID Connect provider (panva/node-oidc-provider) with a plain login page. OP_CONFIG is the
// Config of package idptest as JSON.
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';
import { configFrom, listen, serveCommands } from './control.mjs';

const config = configFrom('OP_CONFIG');
const users = config.users || {};
const requests = {}; // path → how often it was asked for

let handler = (req, res) => res.writeHead(503).end();
const server = createServer((req, res) => {
  const path = req.url.split('?')[0];
  requests[path] = (requests[path] || 0) + 1;
  handler(req, res);
});
const issuer = `http://127.0.0.1:${await listen(server, config.port)}`;

function newKeys() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { keys: [{ ...privateKey.export({ format: 'jwk' }), alg: 'RS256', use: 'sig', kid: randomUUID() }] };
}

const escape = (s) => String(s).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

function page(res, status, title, body) {
  res.writeHead(status, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' });
  res.end(`<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>${title}</title></head><body><h1>${title}</h1>${body}</body></html>`);
}

function loginPage(res, uid, details, wrong) {
  page(res, 200, 'Sign in', `${wrong ? '<p role="alert">Wrong name or password.</p>' : ''}
<form method="post" action="/interaction/${uid}">
<p><label>Name <input name="username" autocomplete="username" autofocus required></label></p>
<p><label>Password <input name="password" type="password" autocomplete="current-password" required></label></p>
<p><button>Sign in</button></p></form>
<p><a href="/interaction/${uid}/cancel">Cancel</a></p>`);
}

async function body(req) {
  let s = '';
  for await (const chunk of req) s += chunk;
  return new URLSearchParams(s);
}

async function interaction(provider, req, res, uid, cancel) {
  const details = await provider.interactionDetails(req, res);
  const finish = (result) => provider.interactionFinished(req, res, result, { mergeWithLastSubmission: true });
  if (cancel) return finish({ error: 'access_denied', error_description: 'the person <b>cancelled</b> the login' });
  if (details.prompt.name === 'consent') return finish({ consent: { grantId: details.grantId } });
  if (req.method !== 'POST') return loginPage(res, uid, details, false);
  const form = await body(req);
  const user = users[form.get('username')];
  if (!user || (user.password || 'demo') !== form.get('password')) return loginPage(res, uid, details, true);
  return finish({ login: { accountId: form.get('username'), acr: user.acr || undefined } });
}

// build makes a provider on the same server: again with new keys when they are rotated.
function build(jwks) {
  const provider = new Provider(issuer, {
    jwks,
    clients: config.clients.map((c) => ({
      client_id: c.id,
      ...(c.secret ? { client_secret: c.secret } : {}),
      token_endpoint_auth_method: c.auth_method || (c.secret ? 'client_secret_basic' : 'none'),
      redirect_uris: c.redirect_uris || [],
      post_logout_redirect_uris: c.post_logout_redirect_uris || [],
      grant_types: ['authorization_code'],
      response_types: ['code'],
      ...(c.backchannel_logout_uri
        ? { backchannel_logout_uri: c.backchannel_logout_uri, backchannel_logout_session_required: true }
        : {}),
    })),
    cookies: { keys: ['only for tests'], names: { session: '_op_session', interaction: '_op_interaction', resume: '_op_resume' } },
    scopes: ['openid', 'email', 'profile', 'groups'],
    claims: {
      openid: ['sub', 'acr'],
      email: ['email', 'email_verified'],
      profile: ['name', 'preferred_username', ...(config.profile_claims || [])],
      groups: ['groups'],
    },
    acrValues: ['urn:test:pwd', 'urn:test:mfa'],
    // Off puts the claims of the scopes into the ID token too, which the specification leaves to userinfo.
    conformIdTokenClaims: !!config.claims_at_userinfo,
    features: {
      devInteractions: { enabled: false },
      backchannelLogout: { enabled: true },
      rpInitiatedLogout: {
        enabled: true,
        logoutSource(ctx, form) {
          ctx.body = `<!DOCTYPE html><html lang="en"><title>Sign out</title><h1>Sign out?</h1>${form}
<button type="submit" form="op.logoutForm" value="yes" name="logout" autofocus>Sign out</button></html>`;
        },
        postLogoutSuccessSource(ctx) {
          ctx.body = '<!DOCTYPE html><html lang="en"><title>Signed out</title><h1>Signed out</h1></html>';
        },
      },
      claimsParameter: { enabled: true },
    },
    interactions: { url: (ctx, i) => `/interaction/${i.uid}` },
    pkce: { required: () => true },
    // The provider refuses to call loopback addresses; the relying parties of a test live there.
    fetch: (u, o) => { delete o.dispatcher; return fetch(u, o); },
    findAccount: (ctx, id) => users[id] && { accountId: id, claims: () => ({ sub: id, preferred_username: id, ...users[id].claims }) },
    // Nobody is asked for consent: the clients are the operator's own.
    async loadExistingGrant(ctx) {
      const { Grant } = ctx.oidc.provider;
      const { clientId } = ctx.oidc.client;
      const known = ctx.oidc.session.grantIdFor(clientId);
      if (known) return Grant.find(known);
      const grant = new Grant({ clientId, accountId: ctx.oidc.session.accountId });
      grant.addOIDCScope('openid email profile groups');
      await grant.save();
      return grant;
    },
    ttl: { Session: 3600, Grant: 3600, IdToken: 3600, AccessToken: 3600, Interaction: 600, AuthorizationCode: 60 },
    renderError(ctx, out) {
      ctx.type = 'html';
      ctx.body = `<!DOCTYPE html><html lang="en"><title>Error</title><h1>Error</h1><pre>${escape(JSON.stringify(out))}</pre></html>`;
    },
  });
  for (const e of ['backchannel.error', 'server_error', 'authorization.error', 'grant.error']) {
    provider.on(e, (...a) => console.error(e, a.map((x) => x?.error_description || x?.message || x?.clientId || '').join(' | ')));
  }
  const callback = provider.callback();
  handler = (req, res) => {
    const m = /^\/interaction\/([\w-]+)(\/cancel)?$/.exec(req.url);
    if (!m) return callback(req, res);
    return interaction(provider, req, res, m[1], m[2]).catch((e) => page(res, 400, 'Error', `<p>${escape(e.message)}</p>`));
  };
}

build(newKeys());
serveCommands({ issuer }, {
  rotate: () => build(newKeys()),
  requests: () => ({ requests }),
});
