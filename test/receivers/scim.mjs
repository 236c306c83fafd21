// A SCIM 2.0 service provider to compare with: SCIMMY, which keeps what it is sent in memory. RECEIVER={"port","token"}.
import express from 'express'
import SCIMMY from 'scimmy'
import SCIMMYRouters from 'scimmy-routers'
import { randomUUID } from 'node:crypto'
import { writeSync } from 'node:fs'

const c = JSON.parse(process.env.RECEIVER)
const say = (o) => writeSync(1, JSON.stringify(o) + '\n')

// The library leaves to its user where resources are kept, and which names there may be once.
for (const [Resource, naming] of [[SCIMMY.Resources.User, 'userName'], [SCIMMY.Resources.Group, 'displayName']]) {
  const kept = new Map()
  SCIMMY.Resources.declare(Resource)
    .ingress((resource, data) => {
      const id = resource.id || randomUUID()
      if (resource.id && !kept.has(id)) throw new SCIMMY.Types.Error(404, null, 'there is none')
      const name = String(data[naming]).toLowerCase()
      for (const [other, o] of kept) {
        if (other !== id && String(o[naming]).toLowerCase() === name) throw new SCIMMY.Types.Error(409, 'uniqueness', 'there is one')
      }
      const now = new Date().toISOString()
      const one = { ...JSON.parse(JSON.stringify(data)), id, meta: { created: kept.get(id)?.meta.created || now, lastModified: now } }
      kept.set(id, one)
      return one
    })
    .egress((resource) => {
      if (!resource.id) return resource.filter ? resource.filter.match([...kept.values()]) : [...kept.values()]
      if (kept.has(resource.id)) return kept.get(resource.id)
      throw new SCIMMY.Types.Error(404, null, 'there is none')
    })
    .degress((resource) => {
      if (!kept.delete(resource.id)) throw new SCIMMY.Types.Error(404, null, 'there is none')
    })
}
SCIMMY.Resources.User.extend(SCIMMY.Schemas.EnterpriseUser)

const app = express()
app.use('/scim/v2', new SCIMMYRouters({
  type: 'bearer',
  baseUri: (req) => 'http://' + req.headers.host,
  handler: (req) => {
    if (req.header('Authorization') !== 'Bearer ' + c.token) throw new Error('not the token')
    return 'client'
  },
}))
app.use((err, req, res, next) => { if (!res.headersSent) res.status(500).end() })
const server = app.listen(c.port || 0, '127.0.0.1', () => say({ port: server.address().port }))
process.stdin.on('end', () => process.exit()).resume()
