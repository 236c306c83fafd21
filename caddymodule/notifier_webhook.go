package caddymodule

import (
	"context"
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/seed-240d5494/caddy-impersonate/config"
	"github.com/seed-240d5494/caddy-impersonate/internal/notify/webhook"
)

func init() {
	caddy.RegisterModule(WebhookNotifier{})
	caddy.RegisterModule(SlackNotifier{})
}

// WebhookNotifier calls a program of the operator's, signed after the Standard Webhooks scheme.
type WebhookNotifier struct {
	config.WebhookNotifier
}

// CaddyModule implements [caddy.Module].
func (WebhookNotifier) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "impersonate.notifiers.webhook", New: func() caddy.Module { return new(WebhookNotifier) }}
}

// Provision implements [caddy.Provisioner].
func (w *WebhookNotifier) Provision(caddy.Context) error {
	err := resolve("notify webhook", &w.URL)
	if w.Secret != "" {
		err = errors.Join(err, resolve("notify webhook: secret", &w.Secret))
	}
	return err
}

// Validate reports what is wrong. It never repeats the secret.
func (w *WebhookNotifier) Validate() error {
	_, err := webhook.New(webhook.Options{URL: w.URL, Secret: w.Secret})
	return errors.Join(w.WebhookNotifier.Validate(), err)
}

// OpenNotifier implements [NotifierOpener]. It calls nobody.
func (w *WebhookNotifier) OpenNotifier(_ context.Context, env Env) (Notifier, error) {
	return webhook.New(webhook.Options{URL: w.URL, Secret: w.Secret, Kinds: kindsOf(w.Only), Zone: env.Zone, Clock: env.Clock})
}

// UnmarshalCaddyfile reads what follows notify. Syntax:
//
//	notify webhook <url> {
//	    secret <secret>
//	    only   <kind…>
//	}
func (w *WebhookNotifier) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the module's name
	if !d.NextArg() {
		return d.Errf("notify webhook: its URL is missing; write such as: notify webhook https://hooks.example.com/impersonations { … }")
	}
	w.URL = d.Val()
	err := readBlock(d, "notify webhook", []string{"secret", "only"}, func(b *block, option string) error {
		switch option {
		case "secret":
			return b.value(option, &w.Secret, "{env.WEBHOOK_SECRET}")
		case "only":
			return parseOnly(b, &w.Only)
		}
		return b.unknown(option)
	})
	if err != nil {
		return err
	}
	if !placeholders(w.URL, w.Secret) {
		if err := w.Validate(); err != nil {
			return d.WrapErr(err)
		}
	}
	return nil
}

// SlackNotifier tells a channel of Slack, or of what takes the same.
type SlackNotifier struct {
	config.SlackNotifier
}

// CaddyModule implements [caddy.Module].
func (SlackNotifier) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "impersonate.notifiers.slack", New: func() caddy.Module { return new(SlackNotifier) }}
}

// Provision implements [caddy.Provisioner].
func (s *SlackNotifier) Provision(caddy.Context) error { return resolve("notify slack", &s.URL) }

// Validate reports what is wrong. It never repeats the address, which is a secret.
func (s *SlackNotifier) Validate() error {
	_, err := webhook.New(webhook.Options{URL: s.URL, Slack: true})
	return errors.Join(s.SlackNotifier.Validate(), err)
}

// OpenNotifier implements [NotifierOpener]. It calls nobody.
func (s *SlackNotifier) OpenNotifier(_ context.Context, env Env) (Notifier, error) {
	n, err := webhook.New(webhook.Options{URL: s.URL, Slack: true, Kinds: kindsOf(s.Only), Lang: s.Language, Zone: env.Zone, Clock: env.Clock})
	if err != nil {
		return nil, fmt.Errorf("opening a notifier: %w", err)
	}
	return n, nil
}

// UnmarshalCaddyfile reads what follows notify. Syntax:
//
//	notify slack <url> {
//	    language <language>
//	    only     <kind…>
//	}
//
// The block may be left out.
func (s *SlackNotifier) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the module's name
	if !d.NextArg() {
		return d.Errf("notify slack: its URL is missing; write such as: notify slack {env.SLACK_URL}")
	}
	s.URL = d.Val()
	if hasBlock(d) {
		err := readBlock(d, "notify slack", []string{"language", "only"}, func(b *block, option string) error {
			switch option {
			case "language":
				return b.value(option, &s.Language, "de")
			case "only":
				return parseOnly(b, &s.Only)
			}
			return b.unknown(option)
		})
		if err != nil {
			return err
		}
	} else if d.NextArg() {
		return d.Errf("notify slack: unexpected %q; write such as: notify slack {env.SLACK_URL}", d.Val())
	}
	if !placeholders(s.URL) {
		if err := s.Validate(); err != nil {
			return d.WrapErr(err)
		}
	}
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner     = (*WebhookNotifier)(nil)
	_ caddy.Validator       = (*WebhookNotifier)(nil)
	_ caddyfile.Unmarshaler = (*WebhookNotifier)(nil)
	_ NotifierOpener        = (*WebhookNotifier)(nil)
	_ caddy.Provisioner     = (*SlackNotifier)(nil)
	_ caddy.Validator       = (*SlackNotifier)(nil)
	_ caddyfile.Unmarshaler = (*SlackNotifier)(nil)
	_ NotifierOpener        = (*SlackNotifier)(nil)
)
