package caddymodule

import (
	"errors"
	"net/http"
	"net/netip"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/seed-240d5494/caddy-impersonate/internal/gateway"
)

// schemeOf is what the browser used: https on a TLS connection, and where a proxy that the server trusts says so.
func schemeOf(r *http.Request) string {
	if r.TLS != nil {
		return "https"
	}
	if trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool); trusted {
		if v := r.Header["X-Forwarded-Proto"]; len(v) == 1 && strings.EqualFold(v[0], "https") {
			return "https"
		}
	}
	return "http"
}

// clientIPOf is the browser's address, as the server determined it from the connection and its trusted proxies. It is
// not valid on a Unix socket.
func clientIPOf(r *http.Request) netip.Addr {
	s, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	addr, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}
	}
	return addr.Unmap()
}

// statusOf is the status the server will answer an error of a later handler with.
func statusOf(err error) int {
	var h caddyhttp.HandlerError
	if errors.As(err, &h) && h.StatusCode != 0 {
		return h.StatusCode
	}
	return http.StatusInternalServerError
}

// setPlaceholders makes known to the rest of the chain, and to the access log, who the request is made as:
//
//	{impersonate.user.FIELD}   the effective identity: the target while impersonating, else the person
//	{impersonate.actor.FIELD}  always the real person
//	{impersonate.id}           the impersonation's id; empty on one's own account
//	{impersonate.mode}         its mode; empty on one's own account
//	{http.auth.user.id}        the real person's username
//
// FIELD is id, username, name, email, groups, or the name of an attribute.
func setPlaceholders(r *http.Request, who *gateway.Who) {
	repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return
	}
	repl.Map(func(key string) (any, bool) { return placeholder(who, key) })
}

func placeholder(who *gateway.Who, key string) (any, bool) {
	if key == "http.auth.user.id" {
		return who.Actor.Username, true
	}
	key, ours := strings.CutPrefix(key, "impersonate.")
	if !ours {
		return nil, false
	}
	switch key {
	case "id":
		return who.ID, true
	case "mode":
		return who.Mode, true
	}
	whose, field, _ := strings.Cut(key, ".")
	switch whose {
	case "user":
		v, _ := who.User.Get(field)
		return v, true
	case "actor":
		v, _ := who.Actor.Get(field)
		return v, true
	}
	return nil, false
}
