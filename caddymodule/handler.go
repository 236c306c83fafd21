package caddymodule

import (
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/seed-240d5494/caddy-impersonate/config"
	"github.com/seed-240d5494/caddy-impersonate/internal/gateway"
	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
)

func init() {
	caddy.RegisterModule(new(Handler))
}

// Handler protects a site: it lets in those who are logged in, tells the app who they are, and lets those who may use
// another's account. What it serves itself is under /.impersonate/. It needs the app impersonate.
//
// It makes these placeholders known to the handlers after it and to the access log:
//
// Placeholder | Description
// ------------|-------------
// `{impersonate.user.*}` | The effective identity, the target while impersonating: id, username, name, email, groups, or an attribute
// `{impersonate.actor.*}` | Always the real person; likewise
// `{impersonate.id}` | The impersonation's id; empty on one's own account
// `{impersonate.mode}` | The impersonation's mode; empty on one's own account
// `{http.auth.user.id}` | The real person's username
type Handler struct {
	config.Site

	app  *App
	site atomic.Pointer[gateway.Site] // set once the app has started
}

// CaddyModule implements [caddy.Module].
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.impersonate", New: func() caddy.Module { return new(Handler) }}
}

// Provision finds the app and tells it of the site.
func (h *Handler) Provision(ctx caddy.Context) error {
	app, err := ctx.AppIfConfigured(appID)
	if errors.Is(err, caddy.ErrNotConfigured) {
		return errors.New("the app impersonate is not configured: write the global option impersonate, with at least oidc, at the top of the Caddyfile")
	} else if err != nil {
		return err
	}
	var ok bool
	if h.app, ok = app.(*App); !ok {
		return notA(app, appID, "App")
	}
	h.SetDefaults()
	h.app.handlers = append(h.app.handlers, h)
	return nil
}

// Validate checks the settings, as far as compiling them goes.
func (h *Handler) Validate() error {
	if err := h.Site.Validate(); err != nil {
		return err
	}
	// A gateway without its parts compiles a site's patterns and templates just the same.
	_, err := new(gateway.Gateway).Site(h.options())
	return err
}

// options are the settings as the gateway wants them.
func (h *Handler) options() gateway.SiteOptions {
	o := gateway.SiteOptions{
		Assertion:      h.Assertion,
		ImpersonatedBy: *h.ImpersonatedBy,
		Banner: gateway.BannerOptions{
			Text: h.Banner.Text, Color: h.Banner.Color, Position: h.Banner.Position,
			AllowUnmarked: h.Banner.Unmarked == "allow",
		},
		Deny:         h.Deny,
		Public:       h.Public,
		ClearStorage: h.ClearStorage,
		OnIdentity:   setPlaceholders,
	}
	for _, i := range h.Identity {
		o.Identity = append(o.Identity, identity.Template{Name: i.Name, Value: i.Value})
	}
	for _, a := range h.Actions {
		for _, p := range a.Paths {
			o.Actions = append(o.Actions, gateway.Action{Name: a.Name, Method: a.Method, Path: p})
		}
	}
	for _, s := range h.Safe {
		for _, p := range s.Paths {
			o.Safe = append(o.Safe, gateway.MethodPath{Method: s.Method, Path: p})
		}
	}
	return o
}

// startWithin bounds how long a request waits for the app to have started. Servers and apps start in no particular order,
// and a new configuration's servers take requests from their first moment.
const startWithin = 10 * time.Second

// ServeHTTP implements [caddyhttp.MiddlewareHandler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	site := h.site.Load()
	if site == nil {
		if err := h.app.wait(r.Context(), startWithin); err != nil {
			return caddyhttp.Error(http.StatusServiceUnavailable, fmt.Errorf("waiting for the app impersonate to start: %w", err))
		}
		if site = h.site.Load(); site == nil {
			return caddyhttp.Error(http.StatusServiceUnavailable, errors.New("the handler was added after the app impersonate had started"))
		}
	}
	h.app.requests.enter()
	defer h.app.requests.leave()
	return site.ServeHTTP(w, r, next.ServeHTTP)
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.Validator             = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
