package gateway_test

import (
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit/journal/faultfs"
)

var workerScript = []string{"Service-Worker", "script", "Sec-Fetch-Dest", "serviceworker", "Sec-Fetch-Mode", "same-origin", "Accept", "*/*", "If-None-Match", `"1"`, "Accept-Encoding", "gzip"}

// script is an app with a service worker's script; it answers in pieces.
func script(body, contentType, encoding string) appFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		h := w.Header()
		h.Set("Content-Type", contentType)
		h.Set("Etag", `"1"`)
		if encoding != "" {
			h.Set("Content-Encoding", encoding)
		}
		if r.Header.Get("If-None-Match") != "" {
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
		for piece := range strings.SplitAfterSeq(body, "\n") {
			if _, err := w.Write([]byte(piece)); err != nil {
				return err
			}
		}
		return nil
	}
}

// A service worker's script gets a guard before it, whatever the script, so that the worker never answers for the
// gateway's pages; anything else passes as it is.
func TestWorkerIsGuarded(t *testing.T) {
	const guard = `self.addEventListener("fetch",function(e){if(e.request.url.indexOf(self.location.origin+"/.impersonate/")===0)e.stopImmediatePropagation()});` + "\n"
	w := newWorld(t, func(w *world) { w.options.Public = []string{"/public/*"} })
	person, nobody := w.login("admin"), w.anonymous()
	for _, c := range []struct {
		name, body, contentType, encoding string
		before                            string
	}{
		{"a script", "self.x = 1;\nself.y = 2;\n", "text/javascript", "", guard},
		{"with parameters", "self.x = 1", "application/javascript; charset=utf-8", "", guard},
		{"strict", "'use strict';\nself.x = 1", "text/javascript", "", `"use strict";` + guard},
		{"strict after a licence", "\ufeff/* (c)\n*/ // of the app\n\"use strict\"\nself.x = 1", "text/javascript", "", `"use strict";` + guard},
		{"an open comment", "/* 'use strict'", "text/javascript", "", guard},
		{"a comment without end", "/*" + strings.Repeat(" the licence\n", 3000) + "*/'use strict'", "text/javascript", "", guard},
		{"nearly strict", "'use stri", "text/javascript", "", guard},
		{"compressed, unasked", "\x1f\x8b\x08", "text/javascript", "br", ""},
		{"no script", "<!doctype html>", "text/html", "", ""},
		{"an odd type", "self.x = 1", "text/javascript;;;=", "", ""},
		{"empty", "", "text/javascript", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.serve(script(c.body, c.contentType, c.encoding))
			for _, a := range []*answer{person.do("GET", "/sw.js", "", workerScript...), nobody.do("GET", "/public/sw.js", "", workerScript...)} {
				a.want(http.StatusOK)
				if a.body != c.before+c.body {
					t.Errorf("got %q, want %q before it", a.body, c.before)
				}
				if guarded := c.before != ""; guarded == (a.Header.Get("Etag") != "") && c.body != "" {
					t.Errorf("guarded: %v, ETag %q", guarded, a.Header.Get("Etag"))
				}
			}
			// Not as a worker: untouched, and the cache's question is the app's to answer.
			if a := person.do("GET", "/sw.js", "", "Sec-Fetch-Dest", "script", "Accept-Encoding", "gzip"); a.body != c.body {
				t.Errorf("as a plain script: %q", a.body)
			}
			person.do("GET", "/sw.js", "", "Sec-Fetch-Dest", "script", "If-None-Match", `"1"`).want(http.StatusNotModified)
		})
	}
}

// While impersonating the app is not asked for a service worker: the browser gets one that takes its place and leaves.
// It is written down like any request, or not answered.
func TestWorkerRetires(t *testing.T) {
	w := newWorld(t, func(w *world) { w.options.Deny = []string{"/secret/*"} })
	w.serve(script("self.x = 1", "text/javascript", ""))
	b := w.login("admin").begin("sam")
	served := w.served.Load()
	a := b.do("GET", "/deep/sw.js?v=2", "", workerScript...).want(http.StatusOK, "unregister()", "caches.delete", "skipWaiting()")
	for name, want := range map[string]string{
		"Content-Type": "text/javascript; charset=utf-8", "Cache-Control": "no-store", "Service-Worker-Allowed": "/", "X-Content-Type-Options": "nosniff",
	} {
		if got := a.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	b.do("GET", "/secret/sw.js", "", workerScript...).want(http.StatusForbidden)
	if w.served.Load() != served {
		t.Error("the app was asked")
	}
	b.do("POST", "/sw.js", "x=1", workerScript...).want(http.StatusNotModified) // no browser asks for one like that
	rows := w.rows(3)
	if r := rows[0]; r.Path != "/deep/sw.js" || r.Status != 200 || r.Outcome != "completed" || r.Sent != int64(len(a.body)) || r.Actor != "admin" || r.Target != "sam" {
		t.Errorf("%+v", r)
	}

	w.fs.Fail(faultfs.Write, -1, syscall.ENOSPC)
	b.do("GET", "/sw.js", "", workerScript...).want(http.StatusServiceUnavailable)
}

// TestClearStorage: where the operator asks for it, what pages stored is cleared at the start and at each kind of end.
func TestClearStorage(t *testing.T) {
	w := newWorld(t, func(w *world) { w.options.ClearStorage = true })
	const both = `"cache", "storage"`
	b := w.login("admin")
	if got := b.get("/").Header.Get("Clear-Site-Data"); got != "" {
		t.Errorf("own account: Clear-Site-Data %q", got)
	}
	cleared := func(when string, a *answer) {
		t.Helper()
		if got := a.Header.Get("Clear-Site-Data"); got != both {
			t.Errorf("%s: Clear-Site-Data %q, want %q", when, got, both)
		}
	}
	cleared("start", b.post("/.impersonate/start", map[string][]string{"target": {"sam"}}).want(http.StatusSeeOther))
	if got := b.get("/").Header.Get("Clear-Site-Data"); got != "" {
		t.Errorf("while impersonating: Clear-Site-Data %q", got)
	}
	cleared("stop", b.stop())
	b.begin("sam").get("/")
	w.clock.Advance(31 * time.Minute)
	cleared("after expiry, on a page", b.get("/"))
	b.begin("sam").get("/")
	w.clock.Advance(31 * time.Minute)
	cleared("after expiry, by a script", b.fetch("GET", "/data", ""))
	if got := b.fetch("GET", "/data", "").Header.Get("Clear-Site-Data"); got != "" {
		t.Errorf("a second time: Clear-Site-Data %q", got)
	}
	b.begin("sam").get("/")
	w.restart()
	w.clock.Advance(31 * time.Minute)
	cleared("after a restart", b.get("/"))
	b.begin("sam").get("/")
	cleared("logout", b.post("/.impersonate/logout", nil))

	b.relogin("admin", "")
	b.begin("sam").get("/")
	w.must(w.node.Sessions.Delete(t.Context(), b.id))
	cleared("a session that ended elsewhere", b.get("/"))
}
