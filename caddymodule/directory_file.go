package caddymodule

import (
	"context"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/seed-240d5494/caddy-impersonate/config"
	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
)

func init() {
	caddy.RegisterModule(FileDirectory{})
}

// FileDirectory is a YAML file of accounts. It is read again whenever it changes; an edit that can't be read leaves the
// accounts as they were, and is reported with its line.
type FileDirectory struct {
	config.FileDirectory
}

// CaddyModule implements [caddy.Module].
func (FileDirectory) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "impersonate.directories.file", New: func() caddy.Module { return new(FileDirectory) }}
}

// Provision implements [caddy.Provisioner].
func (f *FileDirectory) Provision(caddy.Context) error {
	return resolvePath("directory file", &f.Path)
}

// OpenSource implements [SourceOpener].
func (f *FileDirectory) OpenSource(context.Context, Env) (Source, error) {
	return directory.NewFileSource(f.Path), nil
}

// UnmarshalCaddyfile reads what follows directory. Syntax:
//
//	directory file <path>
func (f *FileDirectory) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the module's name
	return one(d, "directory file", &f.Path, "/etc/impersonate/users.yaml", true)
}

// Interface guards
var (
	_ caddy.Provisioner     = (*FileDirectory)(nil)
	_ caddy.Validator       = (*FileDirectory)(nil)
	_ caddyfile.Unmarshaler = (*FileDirectory)(nil)
	_ SourceOpener          = (*FileDirectory)(nil)
)
