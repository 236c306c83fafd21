package session

import (
	"net/http"
	"strings"
)

const (
	cookieHTTPS = "__Host-impersonate"
	cookieHTTP  = "impersonate"
	// What the names of the login's own short-lived cookies begin with, after the session's name.
	loginSuffix = "-login-"

	rawIDBytes = 32
	rawIDLen   = 43 // base64url without padding
)

// CookieName is the name of the session's cookie. On https it carries the prefix that makes browsers refuse one
// set by another host or without Secure (RFC 6265bis, 4.1.3.2).
func CookieName(https bool) string {
	if https {
		return cookieHTTPS
	}
	return cookieHTTP
}

// LoginCookieName is the name of the cookie that carries a login under way; state tells several apart.
func LoginCookieName(https bool, state string) string { return CookieName(https) + loginSuffix + state }

// Reserved tells whether a cookie of that name is the gateway's own: the app neither sees nor sets it.
func Reserved(name string) bool {
	rest, ok := strings.CutPrefix(strings.TrimPrefix(name, "__Host-"), cookieHTTP)
	return ok && (rest == "" || strings.HasPrefix(rest, loginSuffix))
}

// SetCookie gives the browser the id. It has no Max-Age: how long it is good for is decided here, not there.
func SetCookie(w http.ResponseWriter, https bool, rawID string) {
	c := cookie(https)
	c.Value = rawID
	http.SetCookie(w, c)
}

// ClearCookie takes the id from the browser.
func ClearCookie(w http.ResponseWriter, https bool) {
	c := cookie(https)
	c.MaxAge = -1
	http.SetCookie(w, c)
}

func cookie(https bool) *http.Cookie {
	return &http.Cookie{Name: CookieName(https), Path: "/", Secure: https, HttpOnly: true, SameSite: http.SameSiteLaxMode}
}

// RawID is the id the browser sent. Values that can't be an id are passed over. With two different ones there is
// none: one of them was planted (by another port or path of the host, on http), and there is no telling which.
func RawID(r *http.Request, https bool) (string, bool) {
	name, id := CookieName(https), ""
	for _, line := range r.Header["Cookie"] {
		for line != "" {
			var pair string
			pair, line, _ = strings.Cut(line, ";")
			v, ok := strings.CutPrefix(trim(pair), name)
			if !ok || v == "" || v[0] != '=' || !wellFormed(v[1:]) {
				continue
			}
			if id != "" && id != v[1:] {
				return "", false
			}
			id = v[1:]
		}
	}
	return id, id != ""
}

// wellFormed tells whether the string can be an id: nothing else is worth a hash or a query.
func wellFormed(id string) bool {
	if len(id) != rawIDLen {
		return false
	}
	for i := range len(id) {
		c := id[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// StripCookie removes the gateway's cookies from the request's Cookie header. The app must not see them: whoever
// reads its logs or runs it could be the person otherwise.
func StripCookie(h http.Header) {
	lines := h["Cookie"]
	found := false
	for _, line := range lines {
		if strings.Contains(line, cookieHTTP) {
			found = true
			break
		}
	}
	if !found {
		return
	}
	var kept []string // a new slice: the old one may be another header's too
	for i, line := range lines {
		rest := stripLine(line)
		if rest == "" {
			continue
		}
		if kept == nil {
			kept = make([]string, 0, len(lines)-i)
		}
		kept = append(kept, rest)
	}
	if len(kept) == 0 {
		delete(h, "Cookie")
		return
	}
	h["Cookie"] = kept
}

// stripLine gives back a piece of the line, and copies only when a cookie in the middle has to go.
func stripLine(line string) string {
	var room [4]string
	kept := room[:0] // runs of pairs that stay
	start := 0       // of the run at hand
	for pos := 0; pos <= len(line); {
		end := len(line)
		if i := strings.IndexByte(line[pos:], ';'); i >= 0 {
			end = pos + i
		}
		name, _, _ := strings.Cut(line[pos:end], "=")
		ours := Reserved(trim(name))
		if ours || end == len(line) {
			stop := end
			if ours {
				stop = pos
			}
			if run := strings.Trim(line[start:max(start, stop)], "; \t"); run != "" {
				kept = append(kept, run)
			}
			start = end
		}
		pos = end + 1
	}
	return strings.Join(kept, "; ")
}

// StripSetCookie removes from a response of the app every attempt to set the gateway's cookies: with one an app could
// log people out, or into another's session.
func StripSetCookie(h http.Header) {
	lines := h["Set-Cookie"]
	for i, line := range lines {
		if !reservedLine(line) {
			continue
		}
		kept := append(make([]string, 0, len(lines)-1), lines[:i]...)
		for _, line := range lines[i+1:] {
			if !reservedLine(line) {
				kept = append(kept, line)
			}
		}
		if len(kept) == 0 {
			delete(h, "Set-Cookie")
		} else {
			h["Set-Cookie"] = kept
		}
		return
	}
}

func reservedLine(line string) bool {
	pair, _, _ := strings.Cut(line, ";")
	name, _, _ := strings.Cut(pair, "=")
	return Reserved(trim(name))
}

func trim(s string) string { return strings.Trim(s, " \t") }
