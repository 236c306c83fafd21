package caddymodule

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/seed-240d5494/caddy-impersonate/config"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/witness"
	"github.com/seed-240d5494/caddy-impersonate/internal/notify/webhook"
)

func init() {
	caddy.RegisterModule(FileWitness{})
	caddy.RegisterModule(WebhookWitness{})
	caddy.RegisterModule(SyslogWitness{})
}

// FileWitness appends checkpoints to a file that whoever can write to the audit should not be able to write to: on a
// share that only takes appends, or of another account.
type FileWitness struct {
	config.FileWitness
}

// CaddyModule implements [caddy.Module].
func (FileWitness) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "impersonate.witnesses.file", New: func() caddy.Module { return new(FileWitness) }}
}

// Provision implements [caddy.Provisioner].
func (f *FileWitness) Provision(caddy.Context) error {
	return resolvePath("audit witness file", &f.Path)
}

// Key implements [WitnessOpener].
func (f *FileWitness) Key() string { return "file " + f.Path }

// OpenWitness implements [WitnessOpener]. It opens nothing.
func (f *FileWitness) OpenWitness(context.Context, Env) (Witness, error) {
	return witness.NewFile(f.Path), nil
}

// UnmarshalCaddyfile reads what follows witness. Syntax:
//
//	witness file <path>
func (f *FileWitness) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the module's name
	return one(d, "audit witness file", &f.Path, "/mnt/worm/impersonate/checkpoints", true)
}

// WebhookWitness calls a program of somebody else's with each checkpoint, signed after the Standard Webhooks scheme.
type WebhookWitness struct {
	config.WebhookWitness
}

// CaddyModule implements [caddy.Module].
func (WebhookWitness) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "impersonate.witnesses.webhook", New: func() caddy.Module { return new(WebhookWitness) }}
}

// Provision implements [caddy.Provisioner].
func (w *WebhookWitness) Provision(caddy.Context) error {
	err := resolve("audit witness webhook", &w.URL)
	if w.Secret != "" {
		err = errors.Join(err, resolve("audit witness webhook: secret", &w.Secret))
	}
	return err
}

// Validate reports what is wrong. It never repeats the secret.
func (w *WebhookWitness) Validate() error {
	_, err := w.open(Env{})
	return err
}

func (w *WebhookWitness) open(env Env) (Witness, error) {
	opened, err := witness.NewWebhook(webhook.Options{URL: w.URL, Secret: w.Secret, Clock: env.Clock})
	if err != nil {
		return nil, fmt.Errorf("audit witness webhook: %w", err)
	}
	return opened, nil
}

// Key implements [WitnessOpener].
func (w *WebhookWitness) Key() string {
	sum := sha256.Sum256([]byte(w.URL + " " + w.Secret))
	return "webhook " + hex.EncodeToString(sum[:])
}

// OpenWitness implements [WitnessOpener]. It calls nobody.
func (w *WebhookWitness) OpenWitness(_ context.Context, env Env) (Witness, error) { return w.open(env) }

// UnmarshalCaddyfile reads what follows witness. Syntax:
//
//	witness webhook <url> {
//	    secret <secret>
//	}
func (w *WebhookWitness) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the module's name
	const what = "audit witness webhook"
	if !d.NextArg() {
		return d.Errf("%s: its URL is missing; write such as: witness webhook https://witness.example.com/checkpoints { … }", what)
	}
	w.URL = d.Val()
	err := readBlock(d, what, []string{"secret"}, func(b *block, option string) error {
		if option == "secret" {
			return b.value(option, &w.Secret, "{env.WITNESS_SECRET}")
		}
		return b.unknown(option)
	})
	if err != nil || placeholders(w.URL, w.Secret) {
		return err
	}
	if err := w.Validate(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

// SyslogWitness sends checkpoints to a syslog daemon that takes RFC 5424.
type SyslogWitness struct {
	config.SyslogWitness
}

// CaddyModule implements [caddy.Module].
func (SyslogWitness) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "impersonate.witnesses.syslog", New: func() caddy.Module { return new(SyslogWitness) }}
}

// Provision implements [caddy.Provisioner].
func (s *SyslogWitness) Provision(caddy.Context) error {
	const what = "audit witness syslog"
	return errors.Join(resolve(what, &s.Address), resolvePath(what+": ca", &s.CA), resolvePath(what+": certificate", &s.Certificate),
		resolvePath(what+": certificate", &s.CertificateKey))
}

func (s *SyslogWitness) options() witness.SyslogOptions {
	return witness.SyslogOptions{Address: s.Address, CA: s.CA, Certificate: s.Certificate, Key: s.CertificateKey}
}

// Validate reports what is wrong and can be told without reading a file.
func (s *SyslogWitness) Validate() error {
	if _, err := witness.CheckSyslog(s.options()); err != nil {
		return fmt.Errorf("audit witness syslog: %w", err)
	}
	return nil
}

// Key implements [WitnessOpener].
func (s *SyslogWitness) Key() string {
	return fmt.Sprintf("syslog %s %q %q %q", s.Address, s.CA, s.Certificate, s.CertificateKey)
}

// OpenWitness implements [WitnessOpener]. It reads certificates, and calls nobody.
func (s *SyslogWitness) OpenWitness(context.Context, Env) (Witness, error) {
	opened, err := witness.NewSyslog(s.options())
	if err != nil {
		return nil, fmt.Errorf("audit witness syslog: %w", err)
	}
	return opened, nil
}

// UnmarshalCaddyfile reads what follows witness. Syntax:
//
//	witness syslog <address> {
//	    ca          <file>
//	    certificate <file> <key file>
//	}
//
// The block may be left out.
func (s *SyslogWitness) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the module's name
	const what, example = "audit witness syslog", "witness syslog tls://logs.example.com"
	if !d.NextArg() {
		return d.Errf("%s: its address is missing; write such as: %s", what, example)
	}
	s.Address = d.Val()
	if hasBlock(d) {
		err := readBlock(d, what, []string{"ca", "certificate"}, func(b *block, option string) error {
			switch option {
			case "ca":
				return b.value(option, &s.CA, "/etc/ssl/logs-ca.pem")
			case "certificate":
				if err := b.once(option); err != nil {
					return err
				}
				v, err := b.values(option, 2, 2, "certificate /etc/ssl/gateway.pem /etc/ssl/gateway.key")
				if err == nil {
					s.Certificate, s.CertificateKey = v[0], v[1]
				}
				return err
			}
			return b.unknown(option)
		})
		if err != nil {
			return err
		}
	} else if d.NextArg() {
		return d.Errf("%s: unexpected %q; write such as: %s", what, d.Val(), example)
	}
	if !placeholders(s.Address) {
		if err := s.Validate(); err != nil {
			return d.WrapErr(err)
		}
	}
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner     = (*FileWitness)(nil)
	_ caddy.Validator       = (*FileWitness)(nil)
	_ caddyfile.Unmarshaler = (*FileWitness)(nil)
	_ WitnessOpener         = (*FileWitness)(nil)
	_ caddy.Provisioner     = (*WebhookWitness)(nil)
	_ caddy.Validator       = (*WebhookWitness)(nil)
	_ caddyfile.Unmarshaler = (*WebhookWitness)(nil)
	_ WitnessOpener         = (*WebhookWitness)(nil)
	_ caddy.Provisioner     = (*SyslogWitness)(nil)
	_ caddy.Validator       = (*SyslogWitness)(nil)
	_ caddyfile.Unmarshaler = (*SyslogWitness)(nil)
	_ WitnessOpener         = (*SyslogWitness)(nil)
)
