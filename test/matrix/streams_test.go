package matrix

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// streaming is how to hold connections open to an app that has such.
type streaming struct {
	app  app
	addr string
	// page is a path whose answer is no HTML: a page with the banner leaves by itself when the impersonation ends.
	page string
	// kinds are the connections, by what opens them, to path: EventSource, WebSocket, fetch.
	kinds []string
	path  string
	// first is what a WebSocket sends first.
	first string
	// said makes the app send a message to all of one account's connections; nil: it does so by itself, soon.
	said func(ctx context.Context, text string) error
	// held is how many connections the app holds for an account; nil: it can't tell.
	held func(ctx context.Context, addr, username string) (int, error)
}

var streamings = []streaming{
	{
		app: nchan, page: "/plain", path: "/mine", kinds: []string{"EventSource", "WebSocket", "fetch"},
		said: func(ctx context.Context, text string) error {
			_, err := eval[bool](ctx, fmt.Sprintf(`fetch("/publish", { method: "POST", body: %q }).then(r => { if (!r.ok) throw new Error(r.status); return true })`, text))
			return err
		},
		held: func(ctx context.Context, addr, username string) (int, error) {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/publish", http.NoBody)
			if err != nil {
				return 0, err
			}
			req.Header.Set("Remote-User", username)
			req.Header.Set("Accept", "text/plain")
			res, err := client.Do(req)
			if err != nil {
				return 0, err
			}
			defer res.Body.Close()
			if res.StatusCode == http.StatusNotFound { // there is no such channel yet
				return 0, nil
			}
			b, err := io.ReadAll(res.Body)
			if err != nil {
				return 0, err
			}
			_, count, _ := strings.Cut(string(b), "active subscribers: ")
			count, _, _ = strings.Cut(count, "\r\n")
			return strconv.Atoi(count)
		},
	},
	{app: nodeRED, page: "/settings", path: "/comms", kinds: []string{"WebSocket"}, first: `{"subscribe":"hb"}`},
}

// hold opens the connections on the page and keeps what becomes of them in window.streams. A fetch is open when it was
// sent, because its answer comes with the message.
const hold = `(() => {
	window.streams = {};
	const kinds = {
		EventSource(s, path) {
			const e = new EventSource(path);
			e.onopen = () => { s.state = "open" };
			e.onmessage = () => { s.messages++ };
			e.onerror = () => { s.state = "cut"; e.close() };
		},
		WebSocket(s, path, first) {
			const w = new WebSocket("wss://" + location.host + path);
			w.onopen = () => { s.state = "open"; if (first) w.send(first) };
			w.onmessage = () => { s.messages++ };
			w.onclose = () => { s.state = "cut" };
		},
		fetch(s, path) {
			s.state = "open";
			fetch(path, { cache: "no-store" }).then(async r => {
				await r.text();
				if (r.ok) s.messages++;
				s.state = r.ok ? "answered" : "cut";
			}, () => { s.state = "cut" });
		},
	};
	for (const kind of %[1]s) kinds[kind](window.streams[kind] = { state: "opening", messages: 0 }, %[2]q, %[3]q);
	return true;
})()`

// TestStreamsAreCut: what a page of Sam's holds open to the app is cut when Alice returns, at the browser and at the
// app. What she holds open in another browser, in her own account, stays and works.
func TestStreamsAreCut(t *testing.T) {
	for _, st := range streamings {
		t.Run(st.app.name, func(t *testing.T) {
			t.Parallel()
			start := st.app.start
			st.app.start = func(t *testing.T, dir, origin string) string {
				st.addr = start(t, dir, origin)
				return st.addr
			}
			site := startSite(t, st.app)
			helping := &story{browser: newBrowser(t, site.origin), app: st.app, site: site}
			own := &story{browser: newBrowser(t, site.origin), app: st.app, site: site}
			own.logIn("alice")
			own.is(own.tab, "alice", false)
			own.holds(own.tab, st)
			helping.logIn("alice")
			helping.become("30m")
			helping.is(helping.tab, "sam", true)
			second := helping.newTab()
			helping.holds(second, st)
			helping.held(st, "sam", len(st.kinds)+1) // and what the app's page in the first tab holds
			helping.held(st, "alice", len(st.kinds))

			helping.returns()
			for _, kind := range st.kinds {
				helping.do("Sam's "+kind+" is cut", wait(second, fmt.Sprintf("window.streams[%q].state === 'cut'", kind)))
			}
			helping.held(st, "sam", 0)
			helping.held(st, "alice", len(st.kinds))

			_, err := eval[bool](own.tab, "window.before = Object.fromEntries(Object.entries(window.streams).map(([k, s]) => [k, s.messages])), true")
			own.do("counting what Alice got", err)
			if st.said != nil {
				own.do("publishing", st.said(own.tab, "for Alice"))
			}
			for _, kind := range st.kinds {
				own.do("Alice's "+kind+" is alive", wait(own.tab, fmt.Sprintf("window.streams[%[1]q].messages > window.before[%[1]q]", kind)))
				state, err := eval[string](own.tab, fmt.Sprintf("window.streams[%q].state", kind))
				if own.do("Alice's "+kind, err); state != "open" && (kind != "fetch" || state != "answered") {
					t.Errorf("Alice's %s is %s", kind, state)
				}
			}
			site.audit("the requests that were cut are recorded", fmt.Sprintf("SELECT min(count(*), %d) FROM requests WHERE outcome = 'severed' AND path = '%s'", len(st.kinds), st.path), len(st.kinds))
		})
	}
}

// holds opens an app's connections in a tab.
func (s *story) holds(tab context.Context, st streaming) {
	s.t.Helper()
	s.do("opening "+st.page, visit(tab, st.page))
	_, err := eval[bool](tab, fmt.Sprintf(hold, `["`+strings.Join(st.kinds, `","`)+`"]`, st.path, st.first))
	s.do("opening connections", err)
	for _, kind := range st.kinds {
		s.do("opening "+kind, wait(tab, fmt.Sprintf("window.streams[%q].state === 'open'", kind)))
	}
}

// held waits until the app holds that many connections for an account.
func (s *story) held(st streaming, username string, want int) {
	s.t.Helper()
	if st.held == nil {
		return
	}
	s.do("the app's connections with "+username, poll(s.tab, "the app's connections", func() error {
		n, err := st.held(s.t.Context(), st.addr, username)
		if err != nil || n != want {
			return errors.Join(fmt.Errorf("%d connections of %s, not %d", n, username, want), err)
		}
		return nil
	}))
}
