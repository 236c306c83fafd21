package caddymodule

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/seed-240d5494/caddy-impersonate/config"
)

const appID = "impersonate"

func init() {
	caddy.RegisterModule(App{})
	caddy.RegisterModule(Handler{})
}

type App struct {
	config.App
}

func (App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: appID, New: func() caddy.Module { return new(App) }}
}
func (*App) Start() error { return nil }
func (*App) Stop() error  { return nil }
