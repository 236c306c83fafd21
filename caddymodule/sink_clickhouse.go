package caddymodule

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/seed-240d5494/caddy-impersonate/config"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/clickhouse"
)

func init() {
	caddy.RegisterModule(ClickHouseSink{})
}

// ClickHouseSink keeps the record in ClickHouse. Its tables are made by the command `impersonate schema apply`.
type ClickHouseSink struct {
	config.ClickHouseSink
}

// CaddyModule implements [caddy.Module].
func (ClickHouseSink) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "impersonate.sinks.clickhouse", New: func() caddy.Module { return new(ClickHouseSink) }}
}

// Provision implements [caddy.Provisioner].
func (c *ClickHouseSink) Provision(caddy.Context) error {
	return resolve("audit clickhouse", &c.DSN)
}

// Validate checks the address as far as that goes without dialling it.
func (c *ClickHouseSink) Validate() error {
	if err := c.ClickHouseSink.Validate(); err != nil {
		return err
	}
	sink, err := clickhouse.Open(c.DSN)
	if err != nil {
		return err
	}
	return sink.Close()
}

// Key implements [SinkOpener]. With a new password the sink is opened anew.
func (c *ClickHouseSink) Key() string {
	hash := sha256.Sum256([]byte(c.DSN))
	return "clickhouse " + c.Place() + " " + hex.EncodeToString(hash[:8])
}

// OpenSink implements [SinkOpener]. It dials nothing.
func (c *ClickHouseSink) OpenSink(context.Context, Env) (Sink, error) {
	return clickhouse.Open(c.DSN)
}

// UnmarshalCaddyfile reads what follows the name in audit. Syntax:
//
//	clickhouse <dsn>
func (c *ClickHouseSink) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the module's name
	return one(d, "audit clickhouse", &c.DSN, "clickhouse://writer:{env.CH_PASSWORD}@ch1:9000/impersonate", true)
}

// Interface guards
var (
	_ caddy.Provisioner     = (*ClickHouseSink)(nil)
	_ caddy.Validator       = (*ClickHouseSink)(nil)
	_ caddyfile.Unmarshaler = (*ClickHouseSink)(nil)
	_ SinkOpener            = (*ClickHouseSink)(nil)
)
