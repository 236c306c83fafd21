package caddymodule

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

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
	return errors.Join(
		resolve("audit clickhouse", &c.DSN),
		resolve("audit clickhouse reader", &c.Reader),
		resolve("audit clickhouse maintainer", &c.Maintainer),
	)
}

// Validate checks the address as far as that goes without dialling it.
func (c *ClickHouseSink) Validate() error {
	if err := c.ClickHouseSink.Validate(); err != nil {
		return err
	}
	sink, err := c.OpenSink(context.Background(), Env{})
	if err != nil {
		return err
	}
	if err := sink.Close(); err != nil {
		return err
	}
	reader, err := c.OpenReader(context.Background(), Env{})
	if err != nil {
		return err
	}
	return reader.Close()
}

// Key implements [SinkOpener]. With a new password the sink is opened anew.
func (c *ClickHouseSink) Key() string {
	hash := sha256.Sum256([]byte(c.DSN + "\x00" + c.Maintainer))
	return "clickhouse " + c.Place() + " " + hex.EncodeToString(hash[:8])
}

// OpenSink implements [SinkOpener]. It dials nothing.
func (c *ClickHouseSink) OpenSink(context.Context, Env) (Sink, error) {
	sink, err := clickhouse.Open(c.DSN)
	if err != nil || c.Maintainer == "" {
		return sink, err
	}
	if err := sink.Maintain(c.Maintainer); err != nil {
		return nil, errors.Join(fmt.Errorf("audit clickhouse maintainer: %w", err), sink.Close())
	}
	return sink, nil
}

// OpenReader implements [ReaderOpener]. It dials nothing.
func (c *ClickHouseSink) OpenReader(_ context.Context, env Env) (Reader, error) {
	return clickhouse.OpenReader(cmp.Or(c.Reader, c.DSN), env.now())
}

// UnmarshalCaddyfile reads what follows the name in audit. Syntax:
//
//	clickhouse <dsn> {
//	    reader     <dsn>
//	    maintainer <dsn>
//	}
func (c *ClickHouseSink) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the module's name
	const example = "clickhouse://writer:{env.CH_PASSWORD}@ch1:9000/impersonate"
	args := d.RemainingArgs()
	switch {
	case len(args) == 0 || args[0] == "":
		return d.Errf("audit clickhouse: a value is missing; write such as: audit clickhouse %s", example)
	case len(args) > 1:
		return d.Errf("audit clickhouse: unexpected %q; write such as: audit clickhouse %s", args[1], example)
	}
	c.DSN = args[0]
	if !hasBlock(d) {
		return nil
	}
	return readBlock(d, "clickhouse", []string{"reader", "maintainer"}, func(b *block, option string) error {
		if option == "reader" {
			return b.value(option, &c.Reader, "clickhouse://auditor:{env.CH_AUDITOR_PASSWORD}@ch1:9000/impersonate")
		}
		if option == "maintainer" {
			return b.value(option, &c.Maintainer, "clickhouse://maintainer:{env.CH_MAINTAINER_PASSWORD}@ch1:9000/impersonate")
		}
		return b.unknown(option)
	})
}

// Interface guards
var (
	_ caddy.Provisioner     = (*ClickHouseSink)(nil)
	_ caddy.Validator       = (*ClickHouseSink)(nil)
	_ caddyfile.Unmarshaler = (*ClickHouseSink)(nil)
	_ SinkOpener            = (*ClickHouseSink)(nil)
	_ ReaderOpener          = (*ClickHouseSink)(nil)
)
