// Package caddymodule makes the gateway a part of the Caddy web server: the app impersonate, the handler
// http.handlers.impersonate, their Caddyfile grammar, and the command group impersonate. Importing it registers
// them:
//
//	import _ "github.com/seed-240d5494/caddy-impersonate/caddymodule"
//
// or, with xcaddy: xcaddy build --with github.com/seed-240d5494/caddy-impersonate/caddymodule
//
// It is the only package here that knows Caddy, and it decides nothing: settings come in, the internal packages are
// built from them and run, and requests are handed on.
//
// # Plugging in something else
//
// Where accounts come from, where state is kept and where the record goes can be replaced by a module of one's own,
// registered in the namespace and implementing the interface:
//
//	impersonate.state.*        StateOpener
//	impersonate.directories.*  SourceOpener
//	impersonate.sinks.*        SinkOpener
//	impersonate.notifiers.*    reserved
//	impersonate.clocks.*       ClockSource, for tests only
//
// Like all modules of Caddy they must open nothing in Provision, because `caddy validate` provisions too. Those that
// implement caddyfile.Unmarshaler can be named in the Caddyfile.
package caddymodule
