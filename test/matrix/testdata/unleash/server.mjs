// Unleash with its hook for custom authentication, as its documentation shows it for other logins: who comes without a
// session is logged in by the header, and from then on the session is believed.
import { start } from 'unleash-server';

const { ADDRESS, PORT, ORIGIN, DATABASE } = process.env;

await start({
  databaseUrl: DATABASE,
  server: { host: ADDRESS, port: Number(PORT), unleashUrl: ORIGIN, secret: 'only-for-tests-only-for-tests-only' },
  secureHeaders: true, // the content security policy; Secure cookies
  logLevel: 'warn',
  authentication: {
    type: 'custom',
    createAdminUser: false,
    customAuthHandler(app, _config, { userService }) {
      const logins = new Map(); // a page's first requests come together
      const byHeader = (req, res, next) => {
        const email = req.get('Remote-Email');
        if (req.session.user) {
          req.user = req.session.user;
          next();
        } else if (email) {
          if (!logins.has(email)) logins.set(email, userService.loginUserSSO({ email, name: req.get('Remote-Name'), rootRole: 'Admin', autoCreate: true }));
          logins.get(email).then((user) => {
            req.user = req.session.user = user;
            next();
          }, next);
        } else {
          res.status(401).json({ name: 'AuthenticationRequired', type: 'custom', path: '/', message: 'Come through the gateway.' });
        }
      };
      app.use('/api/admin', byHeader);
      app.use('/logout', (_req, res) => res.redirect('/'));
    },
  },
});
