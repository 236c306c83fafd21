package e2e

import (
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// offlineWorker is what tools for offline pages generate: it answers every navigation with the start page it keeps, and
// data from its cache once it has it. It wants to be there for good.
const offlineWorker = `"use strict";
// strict: without a receiver there is no this
if ((function () { return this; })()) throw new Error("not strict");
self.addEventListener("install", function (e) {
	e.waitUntil(caches.open("pages").then(function (c) { return c.add("/"); }).then(function () { return self.skipWaiting(); }));
});
self.addEventListener("activate", function (e) { e.waitUntil(self.clients.claim()); });
self.addEventListener("fetch", function (e) {
	var key = e.request.mode === "navigate" ? "/" : e.request;
	e.respondWith(caches.match(key).then(function (kept) {
		return kept || fetch(e.request).then(function (res) {
			var copy = res.clone();
			return caches.open("pages").then(function (c) { return c.put(key, copy); }).then(function () { return res; });
		});
	}));
});
`

const offlinePage = `<!doctype html><html lang="en"><head><title>Field service</title><link rel="icon" href="data:,"></head>
<body><h1>Field service</h1><p id="who">%s</p><p id="data"></p><script src="/app.js"></script></body></html>`

const offlineScript = `navigator.serviceWorker.register("/sw.js").catch(function () {});
localStorage.setItem("draft of " + document.getElementById("who").textContent, "unsent");
fetch("/me").then(function (res) { return res.text(); }).then(function (name) { document.getElementById("data").textContent = name; });
`

// startOfflineApp is an app that goes on working without a network. It returns host:port.
func startOfflineApp(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /sw.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		w.Header().Set("Etag", `"1"`)
		_, _ = w.Write([]byte(offlineWorker))
	})
	mux.HandleFunc("GET /app.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		_, _ = w.Write([]byte(offlineScript))
	})
	mux.HandleFunc("GET /me", func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(r.Header.Get("Remote-User"))) })
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = fmt.Fprintf(w, offlinePage, html.EscapeString(r.Header.Get("Remote-User")))
	})
	app := httptest.NewServer(mux)
	t.Cleanup(app.Close)
	return strings.TrimPrefix(app.URL, "http://")
}

// promised evaluates an asynchronous expression.
func (b *browser) promised(what, js, want string) {
	b.t.Helper()
	if _, err := try[bool](b, "(window.promised = undefined, Promise.resolve("+js+").then(v => { window.promised = String(v); }, e => { window.promised = String(e); }), true)"); err != nil {
		b.t.Fatalf("%s's browser: %s: %v", b.name, what, err)
	}
	var got string
	waitFor(b.t, patience, b.name+"'s browser: "+what, func() bool {
		v, err := try[string](b, "window.promised")
		got = v
		return err == nil
	})
	if got != want {
		b.t.Errorf("%s's browser: %s: %s, not %s", b.name, what, got, want)
	}
}

const (
	workers = `navigator.serviceWorker.getRegistrations().then(r => r.length)`
	kept    = `caches.keys().then(async names => { let all = ""; for (const n of names) for (const q of await (await caches.open(n)).keys()) all += await (await caches.match(q)).text(); return all })`
	drafts  = `Object.keys(localStorage).sort().join(", ")`
)

// controlled has the app's worker answer for its pages.
func (b *browser) controlled(origin string) {
	b.t.Helper()
	b.open(origin + "/")
	b.promised("the app's worker is there", `navigator.serviceWorker.ready.then(() => true)`, "true")
	b.open(origin + "/") // one that was loading meanwhile it may have missed
	b.wait("the app's worker has taken over", `navigator.serviceWorker.controller && `+css("#data")+`.textContent === "alice"`)
	b.open(origin + "/bookings")
	b.wait("the app's worker answers with the page it keeps", `performance.getEntriesByType("navigation")[0].workerStart > 0 && `+css("#who")+`.textContent === "alice"`)
}

// Whatever an app's service worker keeps: the portal is reached, the first page as somebody else is that one's and
// bears the banner, and afterwards nothing of it is shown to the actor.
func TestServiceWorkersNeitherHideNorKeep(t *testing.T) {
	p := newParts(t)
	p.App = startOfflineApp(t)
	startGateway(t, p)
	origin := p.origin()

	alice := newBrowser(t, "workers-alice")
	alice.logIn(origin+"/", "alice", "demo")
	alice.controlled(origin)

	// The portal is the gateway's, not the start page the worker answers navigations with.
	alice.find(origin, "sam", "Sam Reed")
	alice.fill(css("#ask textarea[name=reason]"), "Sam sees an old page")
	alice.pressAway(named("#ask button", "Log in as Sam Reed"))
	alice.bannerSays("Alice Ng", "Sam Reed", "Return to my account")
	alice.wait("the page is Sam's", css("#who")+`.textContent === "sam" && `+css("#data")+`.textContent === "sam"`)

	// The page registers its worker; it retires at once.
	alice.reload()
	alice.bannerSays("Alice Ng", "Sam Reed", "Return to my account")
	alice.wait("no worker answers", `!navigator.serviceWorker.controller`)
	alice.wait("no worker stays", `(`+workers+`.then(n => { window.left = n; }), window.left === 0)`)
	alice.promised("nothing is kept", kept, "")

	alice.returns()
	alice.open(origin + "/")
	alice.wait("the page is Alice's", css("#who")+`.textContent === "alice" && `+css("#data")+`.textContent === "alice"`)
	alice.noBanner()
	alice.controlled(origin) // and works offline again
	alice.promised("her drafts are there, Sam's too: storage is not cleared unasked", drafts, "draft of alice, draft of sam")
}

// A start behind the worker's back, by a program in a page it answers for: the worker is replaced as soon as the
// browser looks for a newer one, which it does with every page.
func TestServiceWorkerOfAStartElsewhere(t *testing.T) {
	p := newParts(t)
	p.App = startOfflineApp(t)
	startGateway(t, p)
	origin := p.origin()

	alice := newBrowser(t, "workers-elsewhere")
	alice.logIn(origin+"/", "alice", "demo")
	alice.controlled(origin)
	alice.promised("starting by the API", `fetch("/.impersonate/api/v1/impersonations", {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify({target: "sam", reason: "from a help desk"})}).then(r => r.status)`, "201")
	alice.open(origin + "/bookings")
	alice.bannerSays("Alice Ng", "Sam Reed", "Return to my account")
	alice.wait("the page is Sam's", css("#who")+`.textContent === "sam"`)
	alice.returns()
	alice.open(origin + "/")
	alice.wait("the page is Alice's", css("#who")+`.textContent === "alice" && `+css("#data")+`.textContent === "alice"`)
}

// A site that asks for it has the browser's storage emptied at the start and at the end.
func TestClearStorage(t *testing.T) {
	p := newParts(t)
	p.App = startOfflineApp(t)
	p.Site = "clear_storage on"
	startGateway(t, p)
	origin := p.origin()

	alice := newBrowser(t, "workers-clear")
	alice.logIn(origin+"/", "alice", "demo")
	alice.controlled(origin)
	alice.promised("a draft of hers", drafts, "draft of alice")
	alice.promised("starting by the API", `fetch("/.impersonate/api/v1/impersonations", {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify({target: "sam", reason: "from a help desk"})}).then(r => r.status)`, "201")
	alice.promised("no worker is left", workers, "0")
	alice.open(origin + "/bookings")
	alice.bannerSays("Alice Ng", "Sam Reed", "Return to my account")
	alice.wait("the page is Sam's", css("#who")+`.textContent === "sam" && `+css("#data")+`.textContent === "sam"`)
	alice.promised("Sam's draft alone", drafts, "draft of sam")

	alice.returns()
	alice.open(origin + "/")
	alice.wait("the page is Alice's", css("#who")+`.textContent === "alice" && `+css("#data")+`.textContent === "alice"`)
	alice.promised("Alice's draft alone", drafts, "draft of alice")
}
