package gateway

import (
	"net/http"
	"net/url"
	"path"
	"strings"
	"testing"
)

// disguises are ways to write a path under /account/password that some server reads as that.
var disguises = []string{
	"/account/password", "/account/password/", "/account/password/new", "/account/passwords", "/Account/PASSWORD",
	// Slashes and dots, merged or counted.
	"//account//password", "/account/./password", "/./account/password", "/account/password/.", "/account/password/x/..",
	"/x/../account/password", "/x/y/../../account/password", "/../account/password", "/account//../password", "/account/x//../../password",
	// Encoded, once and more.
	"/account/%70assword", "/%61ccount/password", "/account/%2570assword", "/account/%252570assword", "/account%2fpassword", "/account%2Fpassword",
	"/account%252fpassword", "/x/%2e%2e/account/password", "/x/%2E./account/password", "/x/.%2e/account/password", "/x%2f..%2faccount/password",
	"/account/%2e/password", "/account/%252e/password", "/x/%252e%252e/account/password", "/account/a%2fb/../password", "/account/a%2fb/%2e%2e/password",
	"/account/%u0070assword", "/account%u002fpassword", "/account%c0%afpassword", "/x/%c0%ae%c0%ae/account/password",
	// Backslashes.
	`/account\password`, "/account%5cpassword", "/account/a%5cb/../password", `/x\..\account/password`, "/account%255Cpassword",
	// Parameters of segments.
	"/account;v=1/password", "/account/password;v=1", "/account/;/password", "/x/..;/account/password", "/x/..;a=b/account/password", "/account%3bv=1/password",
	"/account/x;/../password",
	// What ends a path, or a segment.
	"/account/password%00", "/account/password%00.html", "/account/password%3fx", "/account/password%23x", "/account/password.", "/account/password%20",
	"/account./password", "/account%20/password", "/account/password. . ", "/account.../password", "/account%09/password",
	// Letters that are folded.
	"/account/passworD", "/account/pa%C5%BFsword", "/account/%EF%BD%90assword", "/account%EF%BC%8Fpassword", "/x/%EF%BC%8E%EF%BC%8E/account/password", "/accoun%EF%BD%94/password",
}

// TestDenyReadings: a denied path is found in every disguise, also where the pattern has no star; others are left alone.
func TestDenyReadings(t *testing.T) {
	star, exact := denying(t, "/account/password*"), denying(t, "/account/password")
	for _, p := range disguises {
		r := asSent(t, p)
		if !star.forbids(r) {
			t.Errorf("%s is not denied", p)
		}
		more := strings.Contains(p, "passwords") || strings.Contains(p, "/new") // below it, or another
		if exact.forbids(r) == more {
			t.Errorf("%s: denied without a star: %v", p, !more)
		}
	}
	for _, p := range []string{
		"/", "/account", "/account/", "/account/profile", "/accounts/password", "/x/account/password", "/account/pass/word", "/account-password", "/account.password",
		"/account/./profile", "/a%20b/c%2fd", "/caf%C3%A9/", "/wiki/C%23", "/files/..hidden/x", "/~kim/;v=2/", "*", "",
	} {
		if r := asSent(t, p); star.forbids(r) {
			t.Errorf("%s is denied", p)
		}
	}
	r := asSent(t, "/x")
	for _, header := range []string{"X-Original-Url", "X-Rewrite-Url", "x_original_url"} {
		for _, v := range []string{"/account/password", "http://app/account//password?x", "/%zz"} {
			r.Header = http.Header{header: {v}}
			if !star.forbids(r) {
				t.Errorf("%s: %s is not denied", header, v)
			}
		}
		r.Header = http.Header{header: {"/x?y"}}
		if star.forbids(r) {
			t.Errorf("%s: /x is denied", header)
		}
	}
	if !star.forbids(asSent(t, "/"+strings.Repeat("a/../", maxOddPath)+"x")) {
		t.Error("a path nobody can read in reasonable time passes")
	}
	if star.forbids(asSent(t, "/"+strings.Repeat("long/", maxOddPath)+"x")) {
		t.Error("a long path is denied")
	}
}

// FuzzDeny: what an app of some kind reads as the denied path is denied. The readers here were written apart from those
// of the gateway, as the servers they stand for are.
func FuzzDeny(f *testing.F) {
	for _, p := range disguises {
		f.Add(p, []byte(nil))
	}
	pieces := []string{
		"/", "account", "password", "..", ".", "%2e", "%2E", "%2f", "%5c", `\`, ";", ";a=b", "%25", "x", "%00", "%20", "//", "%3b", "..;", "%252e", "%252f", "%u002f", "A", "%61",
	}
	f.Add("/account%252fpassword/../", []byte(nil))
	f.Add("", []byte{0, 13, 7, 3, 0, 3, 0, 1, 16, 3, 0, 2})
	deny := denying(f, "/account/password*")
	f.Fuzz(func(t *testing.T, p string, made []byte) {
		if len(made) > 0 {
			p = "/"
			for _, i := range made {
				p += pieces[int(i)%len(pieces)]
			}
		}
		if !strings.HasPrefix(p, "/") || len(p) > 200 {
			return
		}
		u, err := url.ParseRequestURI(p)
		if err != nil {
			return
		}
		r := &http.Request{Method: http.MethodGet, URL: u}
		for name, read := range servers {
			if got := strings.ToLower(read(u.EscapedPath())); strings.HasPrefix(got, "/account/password") && !deny.forbids(r) {
				t.Errorf("%s reads %q as %q, and it is not denied", name, p, got)
			}
		}
	})
}

// servers are how servers read a path as written.
var servers = map[string]func(string) string{
	"Go": func(p string) string { return path.Clean(unescaped(p)) },
	"Go, after nginx": func(p string) string {
		return path.Clean(unescaped((&url.URL{Path: path.Clean(unescaped(p))}).EscapedPath()))
	},
	"nothing but decoding": unescaped,
	"decoding twice":       func(p string) string { return unescaped(unescaped(p)) },
	"RFC 3986": func(p string) string {
		u, err := url.Parse("http://app" + p)
		if err != nil {
			return ""
		}
		return unescaped(u.ResolveReference(&url.URL{Path: ""}).EscapedPath())
	},
	"WHATWG": func(p string) string { // dots before anything is decoded, also encoded ones; backslashes are slashes
		var out []string
		parts := strings.Split(strings.ReplaceAll(p, `\`, "/")[1:], "/")
		for i, s := range parts {
			switch d := strings.ReplaceAll(strings.ToLower(s), "%2e", "."); d {
			case ".", "..":
				if d == ".." && len(out) > 0 {
					out = out[:len(out)-1]
				}
				if i == len(parts)-1 {
					out = append(out, "")
				}
			default:
				out = append(out, s)
			}
		}
		return unescaped("/" + strings.Join(out, "/"))
	},
	"Tomcat": func(p string) string { // parameters first, then decoding, then dots
		parts := strings.Split(p, "/")
		for i := range parts {
			parts[i], _, _ = strings.Cut(parts[i], ";")
		}
		return path.Clean(unescaped(strings.Join(parts, "/")))
	},
	"IIS": func(p string) string {
		parts := strings.Split(path.Clean(strings.ReplaceAll(unescaped(p), `\`, "/")), "/")
		for i := range parts {
			parts[i] = strings.TrimRight(parts[i], ". ")
		}
		return strings.Join(parts, "/")
	},
	"a C string": func(p string) string {
		p, _, _ = strings.Cut(unescaped(p), "\x00")
		return path.Clean("/" + p)
	},
}

func unescaped(p string) string {
	if s, err := url.PathUnescape(p); err == nil {
		return s
	}
	return p
}

func denying(t testing.TB, pattern string) patterns {
	t.Helper()
	p, err := NewPattern("", pattern)
	if err != nil {
		t.Fatal(err)
	}
	return patterns{p}
}

// asSent is a GET of a path just as it is written.
func asSent(t *testing.T, p string) *http.Request {
	t.Helper()
	r := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: p}, Header: http.Header{}}
	if u, err := url.ParseRequestURI(p); err == nil {
		r.URL = u
	} else if u, err := url.ParseRequestURI(strings.ReplaceAll(p, "%u", "%25u")); err == nil {
		r.URL = u // no server of Go's passes on such a one
	}
	return r
}
