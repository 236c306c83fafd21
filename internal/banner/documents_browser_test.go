//go:build browser

package banner

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// shownPages are responses that Chromium shows as HTML, however odd they look, and others beside which it does not.
func shownPages() (cases []shownPage) {
	const html = `<!DOCTYPE html><html><head><title>x</title></head><body><p>hello</p><img src="/hit/NAME"></body></html>`
	const xhtml = `<html xmlns="http://www.w3.org/1999/xhtml"><head><title>x</title></head><body><p>hello</p><img src="/hit/NAME"/></body></html>`
	const div = `<div xmlns="http://www.w3.org/1999/xhtml"><img src="/hit/NAME"/>text`
	add := func(shown bool, status int, body string, headers ...string) {
		h := http.Header{}
		for i := 0; i < len(headers); i += 2 {
			h[headers[i]] = append(h[headers[i]], headers[i+1])
		}
		cases = append(cases, shownPage{status, h, body, shown})
	}
	for _, mime := range []string{
		"text/html", "TEXT/HTML", "text/html charset=utf-8", "text/html(x)", "text/plain, text/html", "html", "", "unknown/unknown", "*/*",
		";text/html", "text/html,", "text/html; charset=utf-8, text/html", `text/html; x="; charset=utf-16"; charset=utf-8`,
		"text/html; charset=shift_jis", "text/html; charset=x-user-defined", "text/html; charset=gb18030",
	} {
		add(true, 200, html, "Content-Type", mime)
	}
	add(true, 200, html)
	add(true, 200, " \n<article>x<img src=/hit/NAME></article>")
	add(true, 200, "<?xml version='1.0'?>"+xhtml)
	for _, mime := range []string{"application/xhtml+xml", "text/xml", "application/xml", "text/xsl", "image/svg+xml"} {
		add(true, 200, xhtml, "Content-Type", mime)
		add(true, 200, div, "Content-Type", mime)
		add(true, 200, div+" & </div>", "Content-Type", mime)
	}
	add(true, 200, "<root>"+xhtml+"</root>", "Content-Type", "text/xml")
	add(true, 200, html, "Content-Type", "application/json", "Content-Type", "text/html")
	for _, disposition := range []string{`"attachment"`, "attachment filename=x", "inline", "filename=x"} {
		add(true, 200, html, "Content-Type", "text/html", "Content-Disposition", disposition)
	}
	for _, status := range []int{201, 300, 305, 306, 399, 400, 401, 404, 416, 500, 503, 999} {
		add(true, status, html, "Content-Type", "text/html", "Location", "/elsewhere")
	}
	add(true, 302, html, "Content-Type", "text/html", "Location", "")
	for _, encoding := range []string{"utf-8", "none", "identity"} {
		add(true, 200, html, "Content-Type", "text/html", "Content-Encoding", encoding)
	}
	add(true, 200, "\xEF\xBB\xBF"+html, "Content-Type", "text/html; charset=utf-16")
	add(true, 200, "<p><meta charset=shift_jis><img src=/hit/NAME>", "Content-Type", "text/html")
	add(true, 200, "<meta charset=iso-2022-jp><title>\x1b$B\"<>\x1b(B</title><body class='\x1b$B\"'\x1b(B'><img src=/hit/NAME>", "Content-Type", "text/html")

	add(false, 200, html, "X-Content-Type-Options", "nosniff")
	for _, mime := range []string{"text/plain", "application/json", "application/octet-stream", "image/png", "text/css", "foo/bar", "text/x-html"} {
		add(false, 200, html, "Content-Type", mime)
	}
	for _, mime := range []string{"multipart/related", "multipart/mixed", "multipart/x-mixed-replace", "multipart/byteranges", "message/rfc822"} {
		add(false, 200, "--x\r\nContent-Type: text/html\r\n\r\n"+html+"\r\n--x--\r\n", "Content-Type", mime+"; boundary=x")
	}
	add(false, 200, `<?xml-stylesheet type="text/xsl" href="/xsl/NAME"?><a/>`, "Content-Type", "text/xml")
	add(false, 200, html, "Content-Type", "text/html", "Content-Disposition", "attachment")
	add(false, 206, html, "Content-Type", "text/html", "Content-Range", "bytes 0-9/10")
	add(false, 200, html, "Content-Type", "text/html", "Content-Encoding", "compress")
	for _, status := range []int{204, 205, 304} {
		add(false, status, "", "Content-Type", "text/html")
	}
	return cases
}

type shownPage struct {
	status  int
	headers http.Header
	body    string
	shown   bool
}

// TestNothingUnmarkedInBrowser: what Chromium shows as a page carries the banner, whatever the app calls it.
func TestNothingUnmarkedInBrowser(t *testing.T) {
	const driver = `<!DOCTYPE html><body><script>
		const frames = Array.from({length: %d}, (_, i) => {
			const f = document.createElement("iframe"); f.src = "/page/" + i; document.body.append(f); return f;
		});
		const marked = (f) => { try { return f.contentDocument.querySelector("impersonate-banner").shadowRoot.querySelector(".bar").getBoundingClientRect().height > 0 } catch { return false } };
		setInterval(() => fetch("/marked", {method: "POST", body: JSON.stringify(frames.map(marked))}), 200);
	</script>`
	cases := shownPages()
	var mu sync.Mutex
	hits, marked := map[string]bool{}, make([]bool, len(cases))
	var s *httptest.Server
	s = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ServeAsset(w, r) {
			return
		}
		switch dir, name, _ := strings.Cut(r.URL.Path[1:], "/"); dir {
		case "":
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprintf(w, driver, len(cases))
		case "marked":
			mu.Lock()
			defer mu.Unlock()
			_ = json.NewDecoder(r.Body).Decode(&marked)
		case "hit":
			mu.Lock()
			defer mu.Unlock()
			hits[name] = true
		case "xsl":
			w.Header().Set("Content-Type", "text/xml")
			_, _ = io.WriteString(w, `<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"><xsl:template match="/"><html><body><img src="/hit/`+name+`"/></body></html></xsl:template></xsl:stylesheet>`)
		case "page":
			var n int
			if _, err := fmt.Sscan(name, &n); err != nil || n >= len(cases) {
				t.Errorf("no page %q", name)
				return
			}
			c := cases[n]
			h := w.Header()
			h["Content-Type"] = nil // otherwise one is guessed here
			for k, v := range c.headers {
				h[k] = append([]string(nil), v...)
			}
			body := strings.ReplaceAll(c.body, "NAME", name)
			info := testInfo
			info.Origin = s.URL
			switch verdict, _ := Decide(request("GET", "Sec-Fetch-Dest", "document"), c.status, h); verdict {
			case Pass:
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, body)
			case Mark:
				bw := NewWriter(w, c.status, &info, Options{})
				if _, err := io.WriteString(bw, body); err == nil {
					err = bw.Close()
					if err != nil && c.shown {
						t.Errorf("page %d: %v", n, err)
					}
				}
				bw.Abort()
			case Unmarkable:
			}
		}
	}))
	defer s.Close()

	ctx, stop := context.WithTimeout(t.Context(), 7*time.Minute)
	defer stop()
	exited := make(chan error, 1)
	go func() {
		_, err := chromium(ctx, t.TempDir(), s.URL, "--remote-debugging-port=0")
		exited <- err
	}()
	// done tells which pages are still to be shown, and which are without the banner.
	done := func() (missing, unmarked []int) {
		mu.Lock()
		defer mu.Unlock()
		for i, c := range cases {
			switch hit := hits[fmt.Sprint(i)]; {
			case hit && !marked[i]:
				unmarked = append(unmarked, i)
			case c.shown && !hit:
				missing = append(missing, i)
			}
		}
		return missing, unmarked
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(5 * time.Minute); time.Now().Before(deadline); <-tick.C {
		if missing, unmarked := done(); len(missing)+len(unmarked) == 0 {
			break
		}
	}
	missing, unmarked := done()
	for _, i := range missing {
		t.Errorf("not shown: %d %v %.200q", cases[i].status, cases[i].headers, cases[i].body)
	}
	for _, i := range unmarked {
		t.Errorf("shown unmarked: %d %v %.200q", cases[i].status, cases[i].headers, cases[i].body)
	}
	stop()
	<-exited
}
