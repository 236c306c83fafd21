// Package cookiejar keeps the app's cookies of actor and target apart. While someone impersonates, the app sees a
// fresh browser: its cookies live in a [Jar] at the gateway; the person's own, remembered by [Own], are withheld,
// and put back at the end.
//
// It follows RFC 6265bis (draft-ietf-httpbis-rfc6265bis-22) as browsers do, for one host.
package cookiejar

import (
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"
)

// Limits of one jar. The oldest cookie makes room.
const (
	MaxCookies = 50
	MaxBytes   = 4096 // name and value together (RFC 6265bis section 5.6)
	maxAttr    = 1024
	maxAge     = 400 * 24 * time.Hour // section 5.5
)

// Cookie is one cookie as a browser would keep it.
type Cookie struct {
	Name, Value string
	Domain      string // the attribute, without a leading dot; empty: host-only
	Path        string
	Expires     time.Time // zero: ends with the browser's session
	Secure      bool
	HTTPOnly    bool
	SameSite    string // lower case: "strict", "lax", "none"; empty: not given
	Partitioned bool
	Created     time.Time
}

// key is what makes two cookies one: the later replaces the earlier.
type key struct {
	Name, Domain, Path string
	Partitioned        bool
}

func (c *Cookie) key() key { return key{c.Name, c.Domain, c.Path, c.Partitioned} }

func (c *Cookie) expired(now time.Time) bool { return !c.Expires.IsZero() && !c.Expires.After(now) }

// parse reads a Set-Cookie value the way RFC 6265bis section 5.6 has browsers do; false when they would ignore it.
func parse(line string, r *http.Request, secure bool, now time.Time) (*Cookie, bool) {
	for i := range len(line) {
		if c := line[i]; c < 0x20 && c != '\t' || c == 0x7f {
			return nil, false
		}
	}
	pair, attributes, _ := strings.Cut(line, ";")
	name, value, found := strings.Cut(pair, "=")
	if !found {
		name, value = "", pair
	}
	c := &Cookie{Name: trim(name), Value: trim(value), Created: now}
	if c.Name == "" && c.Value == "" || len(c.Name)+len(c.Value) > MaxBytes {
		return nil, false
	}
	// A nameless cookie whose value looks like a pair would change name on the way back (section 5.7 step 21).
	if c.Name == "" && (strings.Contains(c.Value, "=") || hasPrefixFold(c.Value, "__host-", "__secure-", "__http-")) {
		return nil, false
	}
	host := hostOf(r)
	var domain, path string
	var maxAgeSet bool
	for attributes != "" {
		var a string
		a, attributes, _ = strings.Cut(attributes, ";")
		k, v, _ := strings.Cut(a, "=")
		k, v = strings.ToLower(trim(k)), trim(v)
		if len(v) > maxAttr {
			continue
		}
		switch k {
		case "expires":
			if t, ok := parseDate(v); ok && !maxAgeSet {
				c.Expires = t
			}
		case "max-age":
			if d, ok := parseMaxAge(v); ok {
				maxAgeSet = true
				c.Expires = now.Add(d)
			}
		case "domain":
			domain = strings.ToLower(strings.TrimPrefix(v, "."))
		case "path":
			path = v
		case "secure":
			c.Secure = true
		case "httponly":
			c.HTTPOnly = true
		case "samesite":
			c.SameSite = ""
			switch s := strings.ToLower(v); s {
			case "strict", "lax", "none":
				c.SameSite = s
			}
		case "partitioned":
			c.Partitioned = true
		}
	}
	if limit := now.Add(maxAge); c.Expires.After(limit) {
		c.Expires = limit
	}
	if domain != "" {
		switch {
		case domain == host:
			if ps, _ := publicsuffix.PublicSuffix(domain); ps != domain && net.ParseIP(host) == nil {
				c.Domain = domain
			}
		case net.ParseIP(host) != nil || !strings.HasSuffix(host, "."+domain):
			return nil, false
		default:
			if ps, _ := publicsuffix.PublicSuffix(domain); ps == domain {
				return nil, false
			}
			c.Domain = domain
		}
	}
	c.Path = path
	if !strings.HasPrefix(path, "/") {
		c.Path = defaultPath(r.URL.EscapedPath())
		path = ""
	}
	if c.Secure && !secure && !trustworthy(host) {
		return nil, false
	}
	if c.SameSite == "none" && !c.Secure {
		return nil, false
	}
	switch {
	case hasPrefixFold(c.Name, "__host-http-"):
		if !c.Secure || !c.HTTPOnly || domain != "" || path != "/" {
			return nil, false
		}
	case hasPrefixFold(c.Name, "__host-"):
		if !c.Secure || domain != "" || path != "/" {
			return nil, false
		}
	case hasPrefixFold(c.Name, "__http-"):
		if !c.Secure || !c.HTTPOnly {
			return nil, false
		}
	case hasPrefixFold(c.Name, "__secure-"):
		if !c.Secure {
			return nil, false
		}
	}
	if c.Partitioned && !c.Secure {
		return nil, false
	}
	return c, true
}

// line is the Set-Cookie that makes a browser hold the cookie.
func (c *Cookie) line() string {
	var b strings.Builder
	if c.Name != "" {
		b.WriteString(c.Name)
		b.WriteByte('=')
	}
	b.WriteString(c.Value)
	b.WriteString("; Path=" + c.Path)
	if c.Domain != "" {
		b.WriteString("; Domain=" + c.Domain)
	}
	if !c.Expires.IsZero() {
		b.WriteString("; Expires=" + c.Expires.UTC().Format(http.TimeFormat))
	}
	if c.Secure {
		b.WriteString("; Secure")
	}
	if c.HTTPOnly {
		b.WriteString("; HttpOnly")
	}
	switch c.SameSite {
	case "strict":
		b.WriteString("; SameSite=Strict")
	case "lax":
		b.WriteString("; SameSite=Lax")
	case "none":
		b.WriteString("; SameSite=None")
	}
	if c.Partitioned {
		b.WriteString("; Partitioned")
	}
	return b.String()
}

// removal is the Set-Cookie that makes a browser drop the cookie: same name, domain, path and partition.
func (c *Cookie) removal() string {
	gone := *c
	gone.Value, gone.Expires = "", time.Unix(0, 0)
	return gone.line()
}

// matches tells whether a browser would send the cookie with the request.
func (c *Cookie) matches(r *http.Request, secure bool, now time.Time) bool {
	return !c.expired(now) && pathMatch(c.Path, r.URL.EscapedPath()) && (!c.Secure || secure || trustworthy(hostOf(r))) && c.sameSite(r)
}

// sameSite is section 5.2's test, by what the browser says of the request. The gateway's own cookie is Lax, so an
// unsafe cross-site request has no session and never gets here.
func (c *Cookie) sameSite(r *http.Request) bool {
	if r.Header.Get("Sec-Fetch-Site") != "cross-site" || c.SameSite == "none" {
		return true
	}
	return c.SameSite != "strict" && r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
}

func pathMatch(cookiePath, path string) bool {
	if path == "" {
		path = "/"
	}
	if !strings.HasPrefix(path, cookiePath) {
		return false
	}
	return len(path) == len(cookiePath) || strings.HasSuffix(cookiePath, "/") || path[len(cookiePath)] == '/'
}

// defaultPath is section 5.1.4's.
func defaultPath(path string) string {
	i := strings.LastIndexByte(path, '/')
	if i <= 0 || path[0] != '/' {
		return "/"
	}
	return path[:i]
}

func hostOf(r *http.Request) string {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.ToLower(strings.Trim(host, "[]"))
}

// trustworthy hosts may hold Secure cookies over http, as in browsers.
func trustworthy(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

func parseMaxAge(v string) (time.Duration, bool) {
	if v == "" || v[0] != '-' && (v[0] < '0' || v[0] > '9') {
		return 0, false
	}
	if strings.Trim(v[1:], "0123456789") != "" || v == "-" {
		return 0, false
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil && v[0] != '-' {
		return maxAge, true // more than fits is more than the limit
	}
	if n <= 0 || v[0] == '-' {
		return -time.Hour, true
	}
	return min(time.Duration(min(n, int64(maxAge/time.Second)))*time.Second, maxAge), true
}

func trim(s string) string { return strings.Trim(s, " \t") }

func hasPrefixFold(s string, prefixes ...string) bool {
	for _, p := range prefixes {
		if len(s) >= len(p) && strings.EqualFold(s[:len(p)], p) {
			return true
		}
	}
	return false
}
