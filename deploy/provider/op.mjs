// The provider of docker-compose.yml: the certified panva/node-oidc-provider with a handful of accounts. Put your own
// in its place: the Caddyfile needs only its issuer, a client id and a secret.
//
//   ISSUER         how browsers and the gateway reach it       http://localhost:9000
//   SITE           the origin of the protected app             http://localhost:8080
//   CLIENT_SECRET_FILE  holds the gateway's client secret
import { readFileSync } from 'node:fs';
import { Provider } from 'oidc-provider';

const issuer = process.env.ISSUER || 'http://localhost:9000';
const site = process.env.SITE || 'http://localhost:8080';
const secret = readFileSync(process.env.CLIENT_SECRET_FILE || '/run/secrets/oidc_client_secret', 'utf8').trim();
const accounts = JSON.parse(readFileSync(new URL('accounts.json', import.meta.url)));

const provider = new Provider(issuer, {
  clients: [{
    client_id: 'gateway',
    client_secret: secret,
    redirect_uris: [`${site}/.impersonate/callback`],
    post_logout_redirect_uris: [`${site}/.impersonate/logged-out`],
    backchannel_logout_uri: `${site}/.impersonate/backchannel-logout`,
    backchannel_logout_session_required: true,
  }],
  cookies: { keys: [secret], names: { session: 'op_session', interaction: 'op_interaction', resume: 'op_resume' } },
  scopes: ['openid', 'profile', 'email', 'groups'],
  claims: { openid: ['sub'], profile: ['name', 'preferred_username'], email: ['email'], groups: ['groups'] },
  conformIdTokenClaims: false,
  features: { devInteractions: { enabled: false }, rpInitiatedLogout: { enabled: true }, backchannelLogout: { enabled: true } },
  pkce: { required: () => true },
  interactions: { url: (ctx, i) => `/login/${i.uid}` },
  findAccount: (ctx, id) => accounts[id] && { accountId: id, claims: () => ({ sub: id, preferred_username: id, ...accounts[id].claims }) },
  // Nobody is asked for consent: the gateway is the operator's own.
  async loadExistingGrant(ctx) {
    const { session, client, provider: p } = ctx.oidc;
    const known = session.grantIdFor(client.clientId);
    if (known) return p.Grant.find(known);
    const grant = new p.Grant({ clientId: client.clientId, accountId: session.accountId });
    grant.addOIDCScope('openid profile email groups');
    await grant.save();
    return grant;
  },
  ttl: { Session: 28800, Grant: 28800, Interaction: 600, IdToken: 3600, AccessToken: 3600, AuthorizationCode: 60 },
});
provider.proxy = process.env.BEHIND_PROXY === '1';

const page = (path, message) => `<!DOCTYPE html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark"><title>Log in</title><style>body{font:16px/1.5 system-ui;display:grid;place-items:center;min-height:90vh}input,button{font:inherit;display:block;width:16rem;margin:.3rem 0 1rem;padding:.5rem}</style>
<form method="post" action="${path}"><h1>Log in</h1>${message && `<p role="alert">${message}</p>`}<label>Username <input name="username" autocomplete="username" required autofocus></label>
<label>Password <input name="password" type="password" autocomplete="current-password" required></label><button>Log in</button></form></html>`;

provider.use(async (ctx, next) => {
  if (ctx.path === '/healthz') {
    ctx.body = 'ok';
    return undefined;
  }
  if (!/^\/login\/[\w-]+$/.test(ctx.path)) return next();
  await provider.interactionDetails(ctx.req, ctx.res);
  ctx.type = 'html';
  ctx.body = page(ctx.path, '');
  if (ctx.method !== 'POST') return undefined;
  let form = '';
  for await (const chunk of ctx.req) if ((form += chunk).length > 10000) ctx.throw(413);
  const q = new URLSearchParams(form);
  const account = Object.hasOwn(accounts, q.get('username')) && accounts[q.get('username')];
  if (!account || account.password !== q.get('password')) {
    ctx.status = 401;
    ctx.body = page(ctx.path, 'That username and password don’t match.');
    return undefined;
  }
  ctx.respond = false;
  return provider.interactionFinished(ctx.req, ctx.res, { login: { accountId: q.get('username') } }, { mergeWithLastSubmission: false });
});

provider.listen(Number(new URL(issuer).port || 80), process.env.LISTEN || '0.0.0.0', () => console.log(`provider ready at ${issuer}`));
process.on('SIGTERM', () => process.exit(0));
