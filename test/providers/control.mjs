// How a test holds one of these programs: configuration in an environment variable, one JSON command per line on
// standard input, one JSON answer per line on standard output. Standard input closing ends the program, so none
// outlives the test that started it.
import { createInterface } from 'node:readline';

export function configFrom(name) {
  return JSON.parse(process.env[name] || '{}');
}

// listen resolves once the server takes connections on 127.0.0.1, on a free port when port is 0.
export function listen(server, port) {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port || 0, '127.0.0.1', () => resolve(server.address().port));
  });
}

export function serveCommands(ready, commands) {
  console.log(JSON.stringify(ready));
  const lines = createInterface({ input: process.stdin });
  lines.on('line', async (line) => {
    try {
      const { cmd, ...args } = JSON.parse(line);
      console.log(JSON.stringify({ ok: true, ...(await commands[cmd](args)) }));
    } catch (e) {
      console.log(JSON.stringify({ ok: false, error: String(e?.stack || e) }));
    }
  });
  lines.on('close', () => process.exit(0));
}
