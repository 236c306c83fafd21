// Package providers holds the programs of the identity providers that tests log in at: op.mjs, a real one, and
// evil.mjs, which misbehaves on demand. Package idptest runs them.
package providers

import "embed"

// Files are the programs and what npm needs to install their libraries.
//
//go:embed *.mjs package.json package-lock.json
var Files embed.FS
