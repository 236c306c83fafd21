package gateway

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strings"

	"github.com/seed-240d5494/caddy-impersonate/internal/problem"
)

// refusedPath is a page that says why something was not carried out, for scripts that send the browser there.
const refusedPath = Prefix + "refused"

// writeRefusal answers what the gateway does not pass on to the app, so that whoever asked can make something of it: a
// page for a person, JSON for a program; and for libraries that put what they get into the page, what they show.
func writeRefusal(w http.ResponseWriter, r *http.Request, p *problem.Problem) {
	h := w.Header()
	if r.Method != http.MethodHead && len(p.Links) > 0 {
		if back := cameFrom(r); back != "" {
			c := *p
			c.Links = append([]problem.Link{{Text: "Back to the page", Href: back}}, p.Links[1:]...)
			p = &c
		}
	}
	accept := r.Header.Get("Accept")
	switch {
	case r.Header.Get("Hx-Request") == "true":
		// htmx shows nothing of an error, but does as this header says.
		h.Set("Hx-Redirect", refusedPath+"?"+url.Values{"why": {p.Code}}.Encode())
	case strings.Contains(accept, turboStream):
		writeTurbo(w, p)
		return
	case !problem.WantsPage(r) && strings.HasPrefix(accept, "text/html"):
		// Scripts that ask for HTML show it.
		page := *r
		page.Header = http.Header{"Accept": {"text/html"}}
		r = &page
	}
	h.Add("Vary", "Hx-Request, Sec-Fetch-Mode")
	problem.Write(w, r, p)
}

const turboStream = "text/vnd.turbo-stream.html"

// writeTurbo adds a message to the page that stays: Turbo carries out what a stream says, whatever the status.
func writeTurbo(w http.ResponseWriter, p *problem.Problem) {
	h := w.Header()
	h.Set("Content-Type", turboStream+"; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Del("Content-Length")
	w.WriteHeader(p.Status)
	_, _ = fmt.Fprintf(w, `<turbo-stream action="append" targets="body"><template><dialog open role="alertdialog" aria-label="%[1]s">`+
		`<p><strong>%[1]s</strong></p><p>%[2]s</p><form method="dialog"><button autofocus>OK</button></form></dialog></template></turbo-stream>`,
		html.EscapeString(p.Title), html.EscapeString(p.Detail)) // the client went away: nobody to tell
}

// cameFrom is the page of the same site that a request was made from; empty: it is not known.
func cameFrom(r *http.Request) string {
	u, err := url.Parse(r.Header.Get("Referer"))
	if err != nil || u.Host != r.Host || u.Scheme != "http" && u.Scheme != "https" || u.Path == "" {
		return ""
	}
	if own, disguised := ownPath(u.Path); own || disguised || strings.HasPrefix(u.Path, "//") || strings.Contains(u.Path, `\`) {
		return ""
	}
	return u.RequestURI()
}

// serveRefused is refusedPath.
func (g *Gateway) serveRefused(w http.ResponseWriter, r *http.Request) {
	for _, p := range []*problem.Problem{readOnly, denied, methodRefused} {
		if p.Code == r.URL.Query().Get("why") {
			writeRefusal(w, r, p)
			return
		}
	}
	problem.Write(w, r, notFound)
}
