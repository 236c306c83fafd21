//go:build browser

package banner

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The tests in this file run the banner in Chromium: go test -tags browser ./internal/banner

// chromium runs a headless browser over url, with a profile of its own, till it ends or ctx does, and returns what it
// prints.
func chromium(ctx context.Context, profile, url string, args ...string) ([]byte, error) {
	args = append([]string{
		"--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--hide-scrollbars", "--user-data-dir=" + profile,
	}, args...)
	cmd := exec.CommandContext(ctx, "chromium", append(args, url)...)
	cmd.WaitDelay = 10 * time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("running chromium: %w: %s", err, stderr.Bytes())
	}
	return out, nil
}

// app is a page's app behind something that marks it.
type app struct {
	*httptest.Server
	info  Info
	pages map[string]testPage
	log   chan string // paths asked for
	me    http.HandlerFunc
	files http.Handler // under /app/

	results chan []byte // what the driver's page posts
}

type testPage struct {
	headers map[string]string
	body    string
	bare    bool // without banner
	info    func(*Info)
}

const framePath = "/.impersonate/banner"

func newApp(t *testing.T) *app {
	a := &app{info: testInfo, pages: map[string]testPage{}, log: make(chan string, 10_000)}
	a.info.Now = time.Now()
	a.info.ExpiresAt = a.info.Now.Add(29*time.Minute + 55*time.Second)
	a.Server = httptest.NewServer(a)
	a.info.Origin = a.URL
	t.Cleanup(a.Close)
	return a
}

// expires is as far away as the pages say, however long the test has been going on.
func (a *app) expires() time.Time { return time.Now().Add(a.info.ExpiresAt.Sub(a.info.Now)) }

func (a *app) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case a.log <- r.Method + " " + r.URL.RequestURI():
	default:
	}
	if r.URL.Path == "/driver/results" {
		if body, err := io.ReadAll(r.Body); err == nil {
			a.results <- body
		}
		return
	}
	if ServeAsset(w, r) {
		return
	}
	if r.URL.Path == pathMe {
		if a.me != nil {
			a.me(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"impersonation":{"id":%q,"expires_at":%q}}`, a.info.ImpersonationID, a.expires().UTC().Format(time.RFC3339))
		return
	}
	if strings.HasPrefix(r.URL.Path, "/app/") {
		http.StripPrefix("/app", a.files).ServeHTTP(w, r)
		return
	}
	if r.URL.Path == framePath {
		ServeFrame(w, &a.info)
		return
	}
	p, ok := a.pages[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	for k, v := range p.headers {
		if k == "Set-Headers" { // several policies
			w.Header()[cspHeader] = strings.Split(v, "\n")
			continue
		}
		w.Header().Set(k, v)
	}
	if p.bare {
		_, _ = w.Write([]byte(p.body))
		return
	}
	info := a.info
	if p.info != nil {
		p.info(&info)
	}
	bw := NewWriter(w, http.StatusOK, &info, Options{FramePath: framePath})
	_, _ = bw.Write([]byte(p.body))
	_ = bw.Close()
}

// TestScreenshots writes pictures for people to look at into the directory BANNER_SHOTS, or a temporary one.
func TestScreenshots(t *testing.T) {
	dir := os.Getenv("BANNER_SHOTS")
	if dir == "" {
		dir = t.TempDir()
	}
	a := newApp(t)
	const style = `<style>body{font:16px system-ui;margin:0;background:Canvas;color:CanvasText}:root{color-scheme:light dark}header{padding:12px 16px;background:#0f4c81;color:#fff}main{padding:16px}.card{border:1px solid #8888;border-radius:8px;padding:12px;margin:0 0 12px}</style>`
	const viewport = `<meta name="viewport" content="width=device-width,initial-scale=1">`
	content := `<header>Field service</header><main>` + strings.Repeat(`<div class="card"><h2>Booking</h2><p>Replace the filter, check the pressure, take a picture.</p></div>`, 12) + `</main>`
	page := func(html string, more string) string {
		return "<!DOCTYPE html><html " + html + "><head>" + viewport + style + more + "</head><body>" + content + "</body></html>"
	}
	a.pages["/plain"] = testPage{body: page("lang=en", "")}
	a.pages["/rtl"] = testPage{body: page("dir=rtl lang=ar", ""), info: func(i *Info) { i.Target = "سامي رشيد"; i.Actor = "ليلى" }}
	a.pages["/de"] = testPage{body: page("lang=de", ""), info: func(i *Info) {
		i.Languages, i.Mode, i.Actor, i.Target = "de", "read_only", "Dr. Maximiliane Freifrau von Hohenstein-Wittelsbach", "Konstantin Papadimitropoulos"
	}}
	a.pages["/bottom"] = testPage{body: page("lang=en", ""), info: func(i *Info) { i.Position, i.Color, i.Languages = "bottom", "#fbbf24", "ja" }}
	a.pages["/fixed"] = testPage{body: page("lang=en", "<style>header{position:fixed;inset:0 0 auto 0}main{padding-top:60px}</style>")}
	a.pages["/shell"] = testPage{body: page("lang=en", "<style>html,body{height:100%;overflow:hidden}body{display:flex;flex-direction:column}main{overflow:auto;flex:1}</style>")}
	a.pages["/shellvh"] = testPage{body: page("lang=en", "<style>body{height:100vh;overflow:hidden;display:flex;flex-direction:column}main{overflow:auto;flex:1}</style>")}
	a.pages["/folded"] = testPage{body: page("lang=en", "<style>header,footer{position:fixed;inset:0 0 auto}footer{inset:auto 0 0;padding:12px;background:#0f4c81}main{padding:60px 16px}</style><script>addEventListener('load',()=>document.body.insertAdjacentHTML('beforeend','<footer>.</footer>'))</script>")}
	a.pages["/noscript"] = testPage{body: page("lang=en", ""), headers: map[string]string{"Content-Security-Policy": "script-src 'strict-dynamic'; style-src 'unsafe-inline'"}}
	a.pages["/soon"] = testPage{body: page("lang=en", ""), info: func(i *Info) { i.ExpiresAt = i.Now.Add(45 * time.Second) }}
	a.pages["/notice"] = testPage{body: page("lang=en", ""), info: func(i *Info) { i.Notice = "expired" }}
	a.pages["/long"] = testPage{body: page("lang=en", ""), info: func(i *Info) { i.Text = strings.Repeat("A text the operator wrote. ", 12) }}
	sizes := map[string]string{"phone": "360,740", "desktop": "1280,800", "narrow": "320,640"}
	for path := range a.pages {
		for size, wh := range sizes {
			for scheme, n := range map[string]string{"light": "1", "dark": "0"} {
				if scheme == "dark" && path != "/plain" && path != "/notice" || size == "narrow" && path != "/plain" && path != "/de" {
					continue
				}
				if only := os.Getenv("BANNER_SHOT"); only != "" && !strings.Contains(path+" "+size+" "+scheme, only) {
					continue
				}
				out := filepath.Join(dir, strings.Trim(path, "/")+"-"+size+"-"+scheme+".png")
				// A browser's window is no narrower than 500: a phone's is a frame in it.
				width, height, _ := strings.Cut(wh, ",")
				a.pages["/frame"] = testPage{bare: true, body: fmt.Sprintf("<body style='margin:0;background:#888'><iframe style='border:0;width:%spx;height:%spx' src=%s></iframe>", width, height, path)}
				ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
				_, err := chromium(ctx, t.TempDir(), a.URL+"/frame", "--window-size="+wh, "--screenshot="+out, "--virtual-time-budget=3000",
					"--force-device-scale-factor=1", "--blink-settings=preferredColorScheme="+n)
				stop()
				if err != nil {
					t.Fatal(err)
				}
				if _, err := os.Stat(out); err != nil {
					t.Error(err)
				}
			}
		}
	}
}
