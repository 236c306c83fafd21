// A mail server that keeps what it gets: each message is a line of JSON on standard output, written before it is
// accepted. RECEIVER={"port","key","cert","implicit","user","pass","refuse"} (refuse: an address it knows nobody of).
import { SMTPServer } from 'smtp-server'
import { writeSync } from 'node:fs'

const c = JSON.parse(process.env.RECEIVER)
const say = (o) => writeSync(1, JSON.stringify(o) + '\n')
const answer = (code, text) => Object.assign(new Error(text), { responseCode: code })

const server = new SMTPServer({
  secure: !!c.implicit,
  key: c.key || undefined,
  cert: c.cert || undefined,
  disabledCommands: [...(c.user ? [] : ['AUTH']), ...(c.cert ? [] : ['STARTTLS'])],
  authOptional: !c.user,
  disableReverseLookup: true,
  size: 1 << 20,
  onAuth(auth, session, done) {
    if (auth.username === c.user && auth.password === c.pass) return done(null, { user: c.user })
    done(answer(535, 'Wrong username or password'))
  },
  onRcptTo(address, session, done) {
    if (c.refuse && address.address === c.refuse) return done(answer(550, 'No such user here'))
    if (c.defer && address.address === c.defer) return done(answer(451, 'Come back later'))
    done()
  },
  onData(stream, session, done) {
    const parts = []
    stream.on('data', (b) => parts.push(b))
    stream.on('end', () => {
      say({
        from: session.envelope.mailFrom.address, to: session.envelope.rcptTo.map((r) => r.address),
        tls: session.secure, user: session.user || '', raw: Buffer.concat(parts).toString('base64'),
      })
      done()
    })
  },
})
server.on('error', () => {}) // a client that breaks off
server.listen(c.port || 0, '127.0.0.1', () => say({ port: server.server.address().port }))
process.stdin.on('end', () => process.exit()).resume()
