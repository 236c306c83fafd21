package gateway_test

import (
	"maps"
	"net/http"
	"testing"

	"github.com/seed-240d5494/caddy-impersonate/internal/gateway"
)

// TestDocuments: what becomes of what a browser opens on its own is in the audit and counted, whatever it is.
func TestDocuments(t *testing.T) {
	w := newWorld(t)
	b := w.login("admin").begin("sam")
	const page = "<!DOCTYPE html><html><head><title>x</title></head><body>x</body></html>"
	tests := []struct {
		name, mime, body string
		request          []string
		marked           bool
		banner, cached   string
	}{
		{"a page", "text/html", page, navigation, true, "marked", "no-store"},
		{"a page by a service worker", "text/html", page, []string{"Sec-Fetch-Dest", "empty", "Sec-Fetch-Mode", "navigate", "Accept", "text/html"}, true, "marked", "no-store"},
		{"a page that does not say so", "", page, navigation, true, "marked", "no-store"},
		{"XHTML as XML", "text/xml", `<html xmlns="http://www.w3.org/1999/xhtml"><body/></html>`, navigation, true, "marked", "no-store"},
		{"XML", "text/xml", `<rss/>`, navigation, false, "not_html", "no-store"},
		{"a PDF", "application/pdf", `%PDF-1.4`, navigation, false, "not_html", "no-store"},
		{"JSON", "application/json", `{}`, navigation, false, "not_html", "no-store"},
		{"an image", "image/png", `x`, navigation, false, "not_html", "no-store"},
		{"a fetch", "text/html", page, []string{"Sec-Fetch-Dest", "empty", "Sec-Fetch-Mode", "cors"}, false, "", "no-store"},
		{"a frame", "text/html", page, []string{"Sec-Fetch-Dest", "iframe", "Sec-Fetch-Site", "same-origin"}, false, "", "no-store"},
		{"an image in a page", "image/png", `x`, []string{"Sec-Fetch-Dest", "image"}, false, "", "max-age=60"},
		// The cache would answer with it when it is opened.
		{"a page as an image", "text/html", page, []string{"Sec-Fetch-Dest", "image"}, false, "", "no-store"},
		{"an empty page", "text/html", "", navigation, true, "marked", "no-store"},
	}
	for _, tt := range tests {
		w.serve(func(rw http.ResponseWriter, _ *http.Request) error {
			rw.Header()["Content-Type"] = []string{tt.mime}
			if tt.mime == "" {
				rw.Header()["Content-Type"] = nil
			}
			rw.Header().Set("Cache-Control", "max-age=60")
			_, err := rw.Write([]byte(tt.body))
			return err
		})
		a := b.do("GET", "/x", "", tt.request...)
		if tt.marked {
			a.want(200, "<impersonate-banner")
		} else {
			a.want(200, tt.body).without("impersonate-banner")
		}
		if got := a.Header.Get("Cache-Control"); got != tt.cached {
			t.Errorf("%s: Cache-Control %q", tt.name, got)
		}
	}
	for i, r := range w.rows(len(tests)) {
		if r.Banner != tests[i].banner {
			t.Errorf("%s is recorded as %q, not %q", tests[i].name, r.Banner, tests[i].banner)
		}
	}
	if got, want := w.node.Banners.Stats(), (map[gateway.BannerOutcome]uint64{
		{Banner: "marked"}: 5, {Banner: "not_html"}: 4,
	}); !maps.Equal(got, want) {
		t.Errorf("counted %v, want %v", got, want)
	}
}
