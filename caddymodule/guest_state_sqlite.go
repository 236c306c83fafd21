package caddymodule

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/seed-240d5494/caddy-impersonate/config"
)

func init() {
	caddy.RegisterModule(SQLiteState{})
	caddy.RegisterModule(FileDirectory{})
	caddy.RegisterModule(SeenDirectory{})
	caddy.RegisterModule(ClickHouseSink{})
	caddy.RegisterModule(SQLiteSink{})
}

type SQLiteState struct{ config.SQLiteState }
type FileDirectory struct{ config.FileDirectory }
type SeenDirectory struct{}
type ClickHouseSink struct{ config.ClickHouseSink }
type SQLiteSink struct{ config.SQLiteSink }

func (SQLiteState) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "impersonate.state.sqlite", New: func() caddy.Module { return new(SQLiteState) }}
}
func (FileDirectory) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "impersonate.directories.file", New: func() caddy.Module { return new(FileDirectory) }}
}
func (SeenDirectory) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "impersonate.directories.seen", New: func() caddy.Module { return new(SeenDirectory) }}
}
func (ClickHouseSink) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "impersonate.sinks.clickhouse", New: func() caddy.Module { return new(ClickHouseSink) }}
}
func (SQLiteSink) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "impersonate.sinks.sqlite", New: func() caddy.Module { return new(SQLiteSink) }}
}

func (s *SQLiteState) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	return one(d, "state sqlite", &s.Path, config.DefaultStatePath, false)
}
func (s *FileDirectory) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	return one(d, "directory file", &s.Path, "/etc/impersonate/users.yaml", true)
}
func (s *SeenDirectory) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		return d.Errf("directory seen: unexpected %q; it takes no value", d.Val())
	}
	if hasBlock(d) {
		return d.Errf("directory seen takes no block; remove { … }")
	}
	return nil
}
func (s *ClickHouseSink) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	return one(d, "audit clickhouse", &s.DSN, "clickhouse://writer:{env.CH_PASSWORD}@ch1:9000/impersonate", true)
}
func (s *SQLiteSink) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	return one(d, "audit sqlite", &s.Path, config.DefaultSQLitePath, false)
}
