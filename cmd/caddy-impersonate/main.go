// Command caddy-impersonate is the Caddy web server with its standard modules and the gateway.
package main

import (
	_ "time/tzdata" // containers have no zone data

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/seed-240d5494/caddy-impersonate/caddymodule"
)

func main() { caddycmd.Main() }
