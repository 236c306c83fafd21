package caddymodule

import (
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/seed-240d5494/caddy-impersonate/config"
)

func init() {
	httpcaddyfile.RegisterDirective("impersonate", parseDirective)
	// After encode: pages are marked before they are compressed. Before everything that answers.
	httpcaddyfile.RegisterDirectiveOrder("impersonate", httpcaddyfile.After, "encode")
}

// parseDirective is not one of Caddy's handler directives because it takes no matcher: what the gateway does not see
// reaches the app with whatever identity its client claims.
func parseDirective(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	handler := new(Handler)
	if err := handler.UnmarshalCaddyfile(h.Dispenser); err != nil {
		return nil, err
	}
	return h.NewRoute(nil, handler), nil
}

// UnmarshalCaddyfile reads the site directive. Syntax:
//
//	impersonate {
//	    identity  <header> <value>
//	    assertion <header>
//	    impersonated_by on|off
//	    banner {
//	        text     <text>
//	        color    <#rrggbb>
//	        position top|bottom
//	        unmarked block|allow
//	    }
//	    action <name> <method> <path…>
//	    deny   <path…>
//	    safe   <method> <path…>
//	    public <path…>
//	    clear_storage on|off
//	}
//
// The block may be left out. identity, action, deny, safe and public can be given several times.
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	if d.NextArg() {
		return d.Errf("impersonate: unexpected %q; it takes no matcher, since what it does not see would reach the app "+
			"with the identity its client claims: put it into a site of its own, or name paths without login with public", d.Val())
	}
	if !hasBlock(d) {
		return nil
	}
	options := []string{"identity", "assertion", "impersonated_by", "banner", "action", "deny", "safe", "public", "clear_storage"}
	return readBlock(d, "impersonate", options, func(b *block, option string) error {
		if err := h.parseOption(b, option); err != nil {
			return err
		}
		// Looked at as a whole after each option, so that the error tells the line of the one that broke it.
		whole := h.Site
		whole.SetDefaults()
		if err := whole.Validate(); err != nil {
			return b.WrapErr(err)
		}
		return nil
	})
}

func (h *Handler) parseOption(b *block, option string) error {
	switch option {
	case "identity":
		v, err := b.values(option, 2, 2, "identity Remote-User {impersonate.user.username}")
		if err != nil {
			return err
		}
		if err := b.once(option, config.Fold(v[0])); err != nil {
			return err
		}
		h.Identity = append(h.Identity, config.Header{Name: v[0], Value: v[1]})
		return nil
	case "assertion":
		return b.value(option, &h.Assertion, "X-Impersonate-Assertion")
	case "impersonated_by":
		on, err := b.onOff(option, "off")
		if err != nil {
			return err
		}
		h.ImpersonatedBy = &on
		return nil
	case "clear_storage":
		var err error
		h.ClearStorage, err = b.onOff(option, "on")
		return err
	case "banner":
		if err := b.once(option); err != nil {
			return err
		}
		return parseBanner(b.Dispenser, &h.Banner)
	case "action":
		v, err := b.values(option, 3, -1, `action "Completed booking" POST /bookings/*/complete`)
		if err != nil {
			return err
		}
		h.Actions = append(h.Actions, config.Action{Name: v[0], Method: v[1], Paths: v[2:]})
		return nil
	case "safe":
		v, err := b.values(option, 2, -1, "safe POST /search*")
		if err != nil {
			return err
		}
		h.Safe = append(h.Safe, config.Safe{Method: v[0], Paths: v[1:]})
		return nil
	case "deny":
		return b.paths(option, &h.Deny, "deny /account/password*")
	case "public":
		return b.paths(option, &h.Public, "public /healthz /static/*")
	}
	return b.unknown(option)
}

// onOff reads a switch; example is what one would write.
func (b *block) onOff(option, example string) (bool, error) {
	var s string
	if err := b.value(option, &s, example); err != nil {
		return false, err
	}
	if s != "on" && s != "off" {
		return false, b.Errf("%s: %s: %q is not known; write on or off", b.name, option, s)
	}
	return s == "on", nil
}

// paths reads a list of paths that can be continued on further lines.
func (b *block) paths(option string, into *[]string, example string) error {
	v, err := b.values(option, 1, -1, example)
	if err != nil {
		return err
	}
	for _, p := range v {
		if slices.Contains(*into, p) {
			return b.Errf("%s: %s: %s is already specified; remove one", b.name, option, p)
		}
		*into = append(*into, p)
	}
	return nil
}

func parseBanner(d *caddyfile.Dispenser, banner *config.Banner) error {
	return readBlock(d, "banner", []string{"text", "color", "position", "unmarked"}, func(b *block, option string) error {
		switch option {
		case "text":
			return b.value(option, &banner.Text, `"{impersonate.actor.name} viewing as {impersonate.user.name}"`)
		case "color":
			return b.value(option, &banner.Color, `"#b91c1c"`)
		case "position":
			return b.value(option, &banner.Position, "top")
		case "unmarked":
			return b.value(option, &banner.Unmarked, "block")
		}
		return b.unknown(option)
	})
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Handler)(nil)
