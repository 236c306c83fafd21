// Package problem tells a person or a program what went wrong: the same text as application/problem+json (RFC 9457)
// for programs and as a small page for browsers. The page stands alone: no script, its style from the gateway's assets.
package problem

import (
	_ "embed"
	"encoding/json"
	"html/template"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/lang"
)

// TypePrefix starts every problem type; what follows is stable. The types are listed in docs/configuration.md.
const TypePrefix = "urn:caddy-impersonate:problem:"

// Problem is what went wrong and what to do about it.
type Problem struct {
	// Code is the end of the type, such as "login-failed".
	Code   string
	Status int
	// Title is a few words, always the same for a Code.
	Title string
	// Detail is a sentence or two for the person at hand. It must hold no secret.
	Detail string
	// InWords is Detail in a language; nil: the page uses the translation it has, or Detail as it is.
	InWords func(language string) string
	// Links are ways on; the first is drawn as a button.
	Links []Link
	// Refresh is where the page goes on to by itself; empty: nowhere. It stands in the page, not in a header: it may hold
	// what is not for access logs.
	Refresh string
	// RetryAfter is sent as the header of that name when positive.
	RetryAfter time.Duration
	// Extra members of the JSON object, such as "refusal".
	Extra map[string]any
}

// Link is a way on from a problem's page; Post makes it a form.
type Link struct {
	Text, Href string
	Post       bool
}

func (p *Problem) Error() string { return p.Title + ": " + p.Detail }

// Return is the link by which an impersonating person gets back to their own account.
var Return = Link{Text: "Return to my account", Href: "/.impersonate/stop", Post: true}

//go:embed page.html
var pageHTML string

var page = template.Must(template.New("problem").Parse(pageHTML))

// Write answers r with p: a page when the browser asked for one, JSON otherwise.
func Write(w http.ResponseWriter, r *http.Request, p *Problem) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Add("Vary", "Accept, Accept-Language")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Del("Content-Length")
	h.Del("Content-Encoding")
	h.Del("Etag")
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int((p.RetryAfter+time.Second-1)/time.Second)))
	}
	if !WantsPage(r) {
		body := map[string]any{"type": TypePrefix + p.Code, "title": p.Title, "status": p.Status, "detail": p.Detail}
		for k, v := range p.Extra {
			body[k] = v
		}
		h.Set("Content-Type", "application/problem+json")
		w.WriteHeader(p.Status)
		_ = json.NewEncoder(w).Encode(body) // the client went away: nobody to tell
		return
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	// Browsers hold form-action against redirects too: a return ends where the app sends people, perhaps another origin.
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self' https: http:; frame-ancestors 'self'; base-uri 'none'")
	h.Set("Referrer-Policy", "same-origin")
	w.WriteHeader(p.Status)
	_ = page.Execute(w, p.in(lang.Of(r.Header.Get("Accept-Language")))) // likewise
}

// pageView is a problem in its reader's language.
type pageView struct {
	Lang, Refresh, Code string
	Status              int
	Title, Detail       Said
	Links               []linkView
}

type linkView struct {
	Link
	Said Said
}

func (p *Problem) in(language string) *pageView {
	v := &pageView{Lang: language, Refresh: p.Refresh, Code: p.Code, Status: p.Status, Title: say(language, p.Title), Detail: say(language, p.Detail)}
	if p.InWords != nil {
		if text := p.InWords(language); text != "" {
			v.Detail = Said{text, language}
		}
	}
	for _, l := range p.Links {
		v.Links = append(v.Links, linkView{l, say(language, l.Text)})
	}
	return v
}

// WantsPage tells whether the client is a browser that will show the answer to a person: a navigation by
// Sec-Fetch-Mode where it is sent, else an Accept that prefers HTML.
func WantsPage(r *http.Request) bool {
	if strings.HasPrefix(r.URL.Path, "/.impersonate/api/") || strings.HasPrefix(r.URL.Path, "/.impersonate/scim/") {
		return false
	}
	if m := r.Header.Get("Sec-Fetch-Mode"); m != "" {
		return m == "navigate"
	}
	for _, part := range strings.Split(r.Header.Get("Accept"), ",") {
		t, _, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		switch t {
		case "text/html", "application/xhtml+xml":
			return true
		case "application/json", "application/problem+json":
			return false
		}
	}
	return false
}
