// Receives webhooks and checks their signature with the reference library of the Standard Webhooks scheme: each is a
// line of JSON on standard output. RECEIVER={"port","secret","statuses"}: what is answered in turn, then 204.
import { createServer } from 'node:http'
import { Webhook } from 'standardwebhooks'
import { writeSync } from 'node:fs'

const c = JSON.parse(process.env.RECEIVER)
const say = (o) => writeSync(1, JSON.stringify(o) + '\n')
const wh = c.secret ? new Webhook(c.secret) : null
const statuses = c.statuses || []

const server = createServer((req, res) => {
  const parts = []
  req.on('data', (b) => parts.push(b))
  req.on('end', () => {
    const body = Buffer.concat(parts).toString()
    const got = { path: req.url, headers: req.headers, body, verified: false, error: '' }
    try {
      if (wh) { wh.verify(body, req.headers); got.verified = true }
    } catch (e) { got.error = String(e.message) }
    const status = statuses.shift() || 204
    say(got)
    res.writeHead(status, status >= 300 && status < 400 ? { location: '/elsewhere' } : {})
    res.end(status === 204 ? undefined : 'x'.repeat(c.flood || 0))
  })
})
server.listen(c.port || 0, '127.0.0.1', () => say({ port: server.address().port }))
process.stdin.on('end', () => process.exit()).resume()
