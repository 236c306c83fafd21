package caddymodule

import (
	"slices"
	"strings"

	"github.com/seed-240d5494/caddy-impersonate/config"
)

const notifyExample = "notify email smtp://mail.example.com:587 { … }"

// parseNotify reads one notify line: a notifier, the zone, or when the digest is sent.
func (a *App) parseNotify(b *block) error {
	if !b.NextArg() {
		return b.Errf("impersonate: notify: a value is missing; write such as: %s", notifyExample)
	}
	switch word := b.Val(); word {
	case "zone":
		if err := b.value("notify zone", &a.Notify.Zone, "Europe/Berlin"); err != nil {
			return err
		}
	case "digest":
		if err := b.once("notify digest"); err != nil {
			return err
		}
		v, err := b.values("notify digest", 1, 2, "notify digest monday 08:00")
		if err != nil {
			return err
		}
		if v[0] == "off" {
			if len(v) > 1 {
				return b.Errf("impersonate: notify digest off: unexpected %q; remove it", v[1])
			}
			a.Notify.Digest = config.Digest{Off: true}
			return nil
		}
		a.Notify.Digest.Day = strings.ToLower(v[0])
		if len(v) > 1 {
			a.Notify.Digest.At = v[1]
		}
	default:
		line := b.Line()
		raw, err := parseGuest(b, "notify", "impersonate.notifiers", "via")
		if err != nil {
			return err
		}
		for _, n := range a.Notifiers {
			if string(n) == string(raw) || word == "email" && strings.Contains(string(n), `"via":"email"`) {
				return b.Errf("impersonate: notify: %s on line %d is already specified; remove one", word, line)
			}
		}
		a.Notifiers = append(a.Notifiers, raw)
		return nil
	}
	whole := config.App{Notify: a.Notify}
	whole.SetDefaults()
	if err := whole.Notify.Validate(); err != nil {
		return b.WrapErr(err)
	}
	return nil
}

// parseOnly reads the kinds of notices that go one way.
func parseOnly(b *block, into *[]string) error {
	if err := b.once("only"); err != nil {
		return err
	}
	kinds, err := b.words("only", "only impersonation_started emergency_started", config.NoticeKinds)
	*into = slices.Clone(kinds)
	return err
}
