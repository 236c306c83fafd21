package caddymodule

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/mail"
	"os"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/seed-240d5494/caddy-impersonate/config"
	"github.com/seed-240d5494/caddy-impersonate/internal/notify"
	"github.com/seed-240d5494/caddy-impersonate/internal/notify/email"
)

func init() {
	caddy.RegisterModule(EmailNotifier{})
}

// EmailNotifier tells people by email, each in their own language.
type EmailNotifier struct {
	config.EmailNotifier
}

// CaddyModule implements [caddy.Module].
func (EmailNotifier) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "impersonate.notifiers.email", New: func() caddy.Module { return new(EmailNotifier) }}
}

// Provision implements [caddy.Provisioner].
func (e *EmailNotifier) Provision(caddy.Context) error {
	errs := []error{
		resolve("notify email", &e.Server), resolve("notify email: from", &e.From),
		resolvePath("notify email: ca", &e.CA), resolvePath("notify email: templates", &e.Templates),
	}
	for name, value := range map[string]*string{"reply_to": &e.ReplyTo, "username": &e.Username, "password": &e.Password} {
		if *value != "" {
			errs = append(errs, resolve("notify email: "+name, value))
		}
	}
	return errors.Join(errs...)
}

// Validate reports what is wrong and can be told without reading or dialling anything.
func (e *EmailNotifier) Validate() error {
	errs := []error{e.EmailNotifier.Validate()}
	if _, _, _, err := email.ParseServer(e.Server, e.Username != ""); err != nil {
		errs = append(errs, fmt.Errorf("notify email: %w", err))
	}
	for _, a := range []struct{ name, value string }{{"from", e.From}, {"reply_to", e.ReplyTo}} {
		if a.value == "" {
			continue
		}
		if _, err := mail.ParseAddress(a.value); err != nil {
			errs = append(errs, fmt.Errorf(`notify email: %s %.80q: not an address; write such as "Help desk <help@example.com>"`, a.name, a.value))
		}
	}
	return errors.Join(errs...)
}

// OpenNotifier implements [NotifierOpener]. It reads the templates and dials nobody.
func (e *EmailNotifier) OpenNotifier(_ context.Context, env Env) (Notifier, error) {
	o := email.Options{
		Server: e.Server, From: e.From, ReplyTo: e.ReplyTo, Username: e.Username, Password: e.Password, TLS: e.TLS,
		Templates: e.Templates, Zone: env.Zone, Kinds: kindsOf(e.Only),
	}
	if e.CA != "" {
		pem, err := os.ReadFile(e.CA)
		if err != nil {
			return nil, fmt.Errorf("notify email: ca: %w", err)
		}
		o.Roots = x509.NewCertPool()
		if !o.Roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("notify email: ca %s: no certificate in it; give a file of PEM certificates", e.CA)
		}
	}
	return email.New(o)
}

func kindsOf(only []string) []notify.Kind {
	var kinds []notify.Kind
	for _, k := range only {
		kinds = append(kinds, notify.Kind(k))
	}
	return kinds
}

// UnmarshalCaddyfile reads what follows notify. Syntax:
//
//	notify email <smtp://host[:port]|smtps://host[:port]> {
//	    from      <address>
//	    reply_to  <address>
//	    username  <name>
//	    password  <password>
//	    tls       required|opportunistic|off
//	    ca        <file>
//	    templates <directory>
//	    only      <kind…>
//	}
func (e *EmailNotifier) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the module's name
	if !d.NextArg() {
		return d.Errf("notify email: the mail server is missing; write such as: %s", notifyExample)
	}
	e.Server = d.Val()
	options := []string{"from", "reply_to", "username", "password", "tls", "ca", "templates", "only"}
	err := readBlock(d, "notify email", options, func(b *block, option string) error {
		switch option {
		case "from":
			return b.value(option, &e.From, `"Help desk <help@example.com>"`)
		case "reply_to":
			return b.value(option, &e.ReplyTo, "help@example.com")
		case "username":
			return b.value(option, &e.Username, "gateway")
		case "password":
			return b.value(option, &e.Password, "{file./run/secrets/smtp}")
		case "tls":
			return b.value(option, &e.TLS, "required")
		case "ca":
			return b.value(option, &e.CA, "/etc/ssl/internal-ca.pem")
		case "templates":
			return b.value(option, &e.Templates, "/etc/impersonate/emails")
		case "only":
			return parseOnly(b, &e.Only)
		}
		return b.unknown(option)
	})
	if err != nil {
		return err
	}
	if !placeholders(e.Server, e.From, e.ReplyTo) {
		if err := e.Validate(); err != nil {
			return d.WrapErr(err)
		}
	}
	return nil
}

// placeholders tells whether one of the values is known only when the configuration is loaded.
func placeholders(values ...string) bool {
	for _, v := range values {
		if strings.Contains(v, "{") {
			return true
		}
	}
	return false
}

// Interface guards
var (
	_ caddy.Provisioner     = (*EmailNotifier)(nil)
	_ caddy.Validator       = (*EmailNotifier)(nil)
	_ caddyfile.Unmarshaler = (*EmailNotifier)(nil)
	_ NotifierOpener        = (*EmailNotifier)(nil)
)
