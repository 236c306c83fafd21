package caddymodule

import (
	"github.com/caddyserver/caddy/v2"
)

func (a *App) registerMetrics(ctx caddy.Context) error { return nil }
