package portal_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
)

func TestListShowsEverybodyWithTheirDecision(t *testing.T) {
	g := newRig(t)
	page := g.login("admin").get("/.impersonate/").want(t, 200, "Log in as another user", "8 people")
	doc := parse(t, page.body)
	rows := find(doc, func(n *html.Node) bool { return n.Data == "li" && hasClass(n, "person") })
	if len(rows) != 8 {
		t.Fatalf("%d rows, want 8", len(rows))
	}
	// Those they may log in as come first; the others say why not, in the text that describes the button.
	for i, want := range []struct{ name, why string }{
		{"Kim Field", ""},
		{"Otto Office", ""},
		{"Sam Reed", ""},
		{"Alice Ng", "your own account"},
		{"Aud Itor", "more power here than yours"},
		{"Fay Former", "deactivated"},
		{"Olga Owner", "protected"},
		{"Sue Pervisor", "but not this one"},
	} {
		row := rows[i]
		if got := text(row); !strings.Contains(got, want.name) {
			t.Errorf("row %d is %q, want %s", i, got, want.name)
		}
		button := find(row, func(n *html.Node) bool { return n.Data == "button" })[0]
		if text(button) != "Log in as this user" {
			t.Errorf("button says %q", text(button))
		}
		_, disabled := attr(button, "disabled")
		if disabled != (want.why != "") {
			t.Errorf("%s: disabled %v", want.name, disabled)
		}
		if want.why == "" {
			continue
		}
		by, _ := attr(button, "aria-describedby")
		note := find(doc, func(n *html.Node) bool { id, _ := attr(n, "id"); return id == by })
		if len(note) != 1 || !strings.Contains(text(note[0]), want.why) {
			t.Errorf("%s: no reason with %q", want.name, want.why)
		}
	}
	if !strings.Contains(page.body, "Deactivated") {
		t.Error("does not say who is deactivated")
	}
}

func TestSearchAndFilter(t *testing.T) {
	g := newRig(t)
	b := g.login("super")
	b.get("/.impersonate/?q=reed").want(t, 200, "Sam Reed", "1 person found for “reed”")
	b.get("/.impersonate/?only=1").want(t, 200, "Sam Reed", "2 people you can log in as")
	if strings.Contains(b.get("/.impersonate/?only=1").body, "Olga Owner") {
		t.Error("the filter lets others through")
	}
	b.get("/.impersonate/?q=zzz").want(t, 200, "Nobody found", "0 people found for “zzz”")
	b.get("/.impersonate/?q=olga&only=1").want(t, 200, "Nobody you may log in as", "Search everyone")
	piece := b.get("/.impersonate/?q=sam&part=1").want(t, 200, "Sam Reed").body
	if strings.Contains(piece, "<html") || !strings.HasPrefix(piece, `<div data-count="1 person`) {
		t.Errorf("the piece is not one: %.100s", piece)
	}
	b.get("/.impersonate/?cursor=made-up").to(t, http.StatusSeeOther, "/.impersonate/")
	b.get("/.impersonate/?q="+strings.Repeat("%C3%A9", 5000)).want(t, 200)
}

// TestWithoutScript goes all the way with a browser that only follows links and sends forms.
func TestWithoutScript(t *testing.T) {
	g := newRig(t)
	b := g.login("admin")
	page := b.get("/.impersonate/?q=sam&next=/bookings/7").want(t, 200)
	form := formTo(t, page.body, "/.impersonate/confirm")
	button := find(parse(t, page.body), func(n *html.Node) bool { f, _ := attr(n, "form"); return n.Data == "button" && f == "pick" })
	if len(button) != 1 {
		t.Fatalf("%d buttons to press", len(button))
	}
	name, _ := attr(button[0], "name")
	value, _ := attr(button[0], "value")
	form.Set(name, value)
	confirm := b.get("/.impersonate/confirm?"+form.Encode()).want(t, 200, "Log in as Sam Reed?", "Full access", "Read only", "(required)", "Everything you do is recorded with your name.")
	fields := formTo(t, confirm.body, "/.impersonate/start")
	fields.Set("reason", "ticket says so")
	fields.Set("mode", "read_only")
	fields.Set("duration", "900")
	res := b.post("/.impersonate/start", fields).to(t, http.StatusSeeOther, "/bookings/7")
	if res.Header.Get("Clear-Site-Data") == "" || len(g.started) != 1 {
		t.Error("OnStart was not called before the answer")
	}
	ev := g.events.of(audit.EventImpersonationStarted)
	if len(ev) != 1 || ev[0].ActorUsername != "admin" || ev[0].TargetUsername != "sam" || ev[0].Reason != "ticket says so" || ev[0].ClientIP != "192.0.2.7" {
		t.Fatalf("recorded %+v", ev)
	}

	// The portal says whose account it is, and starts no other.
	page = b.get("/.impersonate/").want(t, 200, "You are using the account of Sam Reed (sam).", "Read only", "15 minutes left", "Return to my account")
	if strings.Contains(page.body, `form="pick"`) {
		t.Error("offers another start")
	}
	b.get("/.impersonate/?only=1").want(t, 200, "8 people")
	b.post("/.impersonate/start", url.Values{"target": {"kim"}, "reason": {"more of it"}}).want(t, 403, "impersonating someone already")
	b.get("/.impersonate/stop").want(t, 200, "Return to your own account?", `action="/.impersonate/stop"`)
	if got := b.json("GET", "/.impersonate/api/v1/me", "").object(t); got["impersonation"] == nil {
		t.Fatal("the question alone ended it")
	}
	b.post("/.impersonate/stop", nil).to(t, http.StatusSeeOther, "/.impersonate/?next=%2Fbookings%2F7&q=sam")
	if len(g.stopped) != 1 {
		t.Error("OnStop was not called")
	}
	// Pressed twice, and by someone whose session is gone.
	b.post("/.impersonate/stop", nil).to(t, http.StatusSeeOther, "/.impersonate/")
	g.anonymous().post("/.impersonate/stop", nil).to(t, http.StatusSeeOther, "/.impersonate/")
	b.get("/.impersonate/stop").want(t, 200, "You are using your own account")
}

func TestRefusedStartShowsTheFormAgain(t *testing.T) {
	g := newRig(t)
	b := g.login("admin")
	page := b.post("/.impersonate/start", url.Values{"target": {"sam"}, "reason": {"x"}, "ticket": {"T-<1>"}, "mode": {"read_only"}, "duration": {"900"}, "next": {"/a"}, "return_to": {"/b"}}).
		want(t, 403, "Write down why you need this account", `aria-invalid="true"`)
	again := formTo(t, page.body, "/.impersonate/start")
	for k, v := range map[string]string{"target": "sam", "ticket": "T-<1>", "mode": "read_only", "duration": "900", "next": "/a", "return_to": "/b", "reason": "x"} {
		if again.Get(k) != v {
			t.Errorf("%s is %q, want %q kept", k, again.Get(k), v)
		}
	}
	for target, why := range map[string]string{
		"owner": "protected", "former": "deactivated", "admin": "your own account", "ghost": "no account with that username", "super": "but not this one", "": "no account",
	} {
		p := b.post("/.impersonate/start", url.Values{"target": {target}, "reason": {"because"}}).want(t, 403, why)
		if strings.Contains(p.body, `action="/.impersonate/start"`) {
			t.Errorf("%q: offers the form again", target)
		}
		if target != "" {
			b.get("/.impersonate/confirm?target="+target).want(t, 200, why)
		}
	}
	// Somebody who sends a form without being a browser gets JSON.
	res := b.do("POST", "/.impersonate/start", "target=owner&reason=because", "Content-Type", "application/x-www-form-urlencoded")
	if res.want(t, 403).object(t)["type"] != "urn:caddy-impersonate:problem:impersonation-refused" {
		t.Error(res.body)
	}
	for _, tc := range []struct {
		body, kind string
		status     int
	}{
		{"target=sam&duration=-5&reason=because", "application/x-www-form-urlencoded", 400},
		{"target=sam&duration=9h&reason=because", "application/x-www-form-urlencoded", 403},
		{"target=sam&mode=god&reason=because", "application/x-www-form-urlencoded", 403},
		{"target=%zz", "application/x-www-form-urlencoded", 400},
		{"target=sam", "text/plain", 415},
		{"target=sam", "multipart/form-data; boundary=x", 415},
		{"target=sam&reason=" + strings.Repeat("a", 70<<10), "application/x-www-form-urlencoded", 413},
		{"target=sam&reason=" + strings.Repeat("a", 501), "application/x-www-form-urlencoded", 403},
		{"target=sam&reason=because&ticket=" + strings.Repeat("a", 201), "application/x-www-form-urlencoded", 403},
	} {
		b.do("POST", "/.impersonate/start", tc.body, "Content-Type", tc.kind, "Accept", "text/html").want(t, tc.status)
	}
	if n := len(g.events.of(audit.EventImpersonationStarted)); n != 0 {
		t.Errorf("%d started", n)
	}
	if n := len(g.events.of(audit.EventImpersonationRefused)); n < 10 {
		t.Errorf("only %d refusals recorded", n)
	}
}

func TestWhatTheConfirmPageOffers(t *testing.T) {
	g := newRig(t)
	// One mode is no choice; no reason is needed; two hours are the most.
	page := g.login("super").get("/.impersonate/confirm?target=sam&reason=hello&ticket=T-1").want(t, 200, "Read only: you can look", "2 hours", "1 hour", ">hello</textarea>", `value="T-1"`)
	if strings.Contains(page.body, `type="radio"`) || strings.Contains(page.body, "4 hours") || strings.Contains(page.body, "<textarea required") {
		t.Error("offers what can't be had")
	}
	f := formTo(t, page.body, "/.impersonate/start")
	if f.Get("duration") != "7200" || f.Get("mode") != "read_only" {
		t.Errorf("preset %v", f)
	}
	g.login("super").get("/.impersonate/confirm").to(t, http.StatusSeeOther, "/.impersonate/")
}

func TestDeepLinkOpensTheQuestion(t *testing.T) {
	g := newRig(t)
	b := g.login("admin")
	page := b.get("/.impersonate/?target=sam&reason=Ticket+says&ticket=HD-12").want(t, 200, `<dialog id="ask" aria-labelledby="ask-title" open>`, "Log in as Sam Reed?", "Ticket says</textarea>", `value="HD-12"`)
	if formTo(t, page.body, "/.impersonate/start").Get("target") != "sam" {
		t.Error("asks for somebody else")
	}
	b.get("/.impersonate/?target=owner").want(t, 200, "You can&#39;t log in as this user", "Owners and other protected")
	// Not logged in: to the login, and back to exactly this.
	g.anonymous().get("/.impersonate/?target=sam&reason=a+b").to(t, http.StatusFound, "/.impersonate/login?return_to=%2F.impersonate%2F%3Ftarget%3Dsam%26reason%3Da%2Bb")
}

func TestStates(t *testing.T) {
	t.Run("no permission", func(t *testing.T) {
		g := newRig(t)
		b := g.login("sam")
		page := b.get("/.impersonate/").want(t, 200, "You can&#39;t log in as other users")
		if strings.Contains(page.body, "Olga") || strings.Contains(page.body, "kim@") {
			t.Error("shows the directory to someone who may do nothing with it")
		}
		b.get("/.impersonate/?part=1").want(t, 200)
		// Nor do refusals tell who exists, or is deactivated.
		for _, target := range []string{"owner", "ghost", "former", "kim"} {
			p := b.get("/.impersonate/confirm?target="+target).want(t, 200, "You may not impersonate anyone")
			if strings.Contains(p.body, "@example.com · ") || strings.Contains(p.body, target+"@") {
				t.Errorf("%s: tells who that is", target)
			}
			b.post("/.impersonate/start", url.Values{"target": {target}, "reason": {"because"}}).want(t, 403, "You may not impersonate anyone")
		}
	})
	t.Run("auditor", func(t *testing.T) {
		g := newRig(t)
		page := g.login("auditor").get("/.impersonate/").want(t, 200, "You may see who is here", "8 people")
		if strings.Contains(page.body, `form="pick"`) || strings.Contains(page.body, `name="only"`) {
			t.Error("offers what they can't do")
		}
	})
	t.Run("nobody", func(t *testing.T) {
		g := newRig(t, []directory.User{}...)
		g.use(policy.Rules{Policies: []policy.Policy{{Name: "all", Actor: policy.Match{Users: []string{"admin"}}, Target: policy.Match{Groups: []string{"x"}}}}})
		g.people.mu.Lock()
		g.people.users = nil
		g.people.mu.Unlock()
		if err := g.dir.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		g.login("admin").get("/.impersonate/").want(t, 200, "Nobody here yet")
		g.login("admin").get("/.impersonate/?only=1").want(t, 200, "There is nobody you may log in as")
		g.breakSource()
		g.login("admin").get("/.impersonate/").want(t, 200, "The directory can&#39;t be read right now")
	})
	t.Run("broken source", func(t *testing.T) {
		g := newRig(t)
		g.breakSource()
		p := g.login("admin").get("/.impersonate/").want(t, 200, "This list may be out of date", "Sam Reed")
		if strings.Contains(p.body, "mangled") {
			t.Error("tells an admin about the server's files")
		}
		g.login("owner").get("/.impersonate/").want(t, 200, "test people: line 7: &lt;b&gt;mangled&lt;/b&gt;")
	})
	t.Run("deactivated actor", func(t *testing.T) {
		g := newRig(t)
		b := g.login("admin")
		b.begin("sam")
		g.change("admin", func(u *directory.User) { u.Active = false })
		b.get("/.impersonate/").want(t, 403, "Your account is deactivated")
		b.json("GET", "/.impersonate/api/v1/me", "").want(t, 403, "account-deactivated")
		b.post("/.impersonate/stop", nil).want(t, http.StatusSeeOther)
		b.get("/.impersonate/stop").want(t, 200)
	})
	t.Run("journal down", func(t *testing.T) {
		g := newRig(t)
		b := g.login("admin")
		b.begin("sam")
		g.events.mu.Lock()
		g.events.fail = errors.New("no space left on /secret/path")
		g.events.mu.Unlock()
		b.post("/.impersonate/stop", nil).want(t, http.StatusSeeOther)
		p := b.post("/.impersonate/start", url.Values{"target": {"sam"}, "reason": {"because"}}).want(t, 503, "Not possible right now")
		if strings.Contains(p.body, "secret") || p.Header.Get("Retry-After") == "" {
			t.Error("tells too much, or too little")
		}
		if !strings.Contains(g.log.String(), "no space left") {
			t.Error("not logged")
		}
	})
}

func TestEndedByTheClock(t *testing.T) {
	g := newRig(t)
	b := g.login("admin")
	b.post("/.impersonate/start", url.Values{"target": {"sam"}, "reason": {"because"}, "duration": {"300"}, "return_to": {"/bookings?day=1"}}).to(t, http.StatusSeeOther, "/")
	// The browser's clock is ahead: still theirs.
	b.get("/.impersonate/ended?from=/x").want(t, 200, "You are still using another account", "5 minutes left")
	g.clock.Advance(5 * time.Minute)
	// Where they would have landed by themselves; whoever presses Return a moment late lands there too.
	b.get("/.impersonate/ended?from=/x").to(t, http.StatusSeeOther, "/bookings?day=1")
	b.post("/.impersonate/stop", nil).to(t, http.StatusSeeOther, "/bookings?day=1")
	// The portal tells it, once.
	b.get("/.impersonate/?part=1").want(t, 200)
	b.do("HEAD", "/.impersonate/", "", "Accept", "text/html").want(t, 200)
	b.get("/.impersonate/").want(t, 200, "You are no longer using Sam Reed’s account: the time was up.")
	if strings.Contains(b.get("/.impersonate/").body, "no longer") {
		t.Error("told twice")
	}
	b.get("/.impersonate/ended").want(t, 200, "You are back in your own account")
	b.post("/.impersonate/stop", nil).to(t, http.StatusSeeOther, "/.impersonate/")
	g.anonymous().get("/.impersonate/ended").to(t, http.StatusFound, "/.impersonate/login?return_to=%2F.impersonate%2Fended")
}

// TestReturnNeedsNothing: the directory is broken and the journal and the store refuse to write.
func TestReturnNeedsNothing(t *testing.T) {
	g := newRig(t)
	b := g.login("admin")
	b.begin("sam")
	g.breakSource()
	g.events.mu.Lock()
	g.events.fail = errors.New("disk full")
	g.events.mu.Unlock()
	_ = g.store.Close()
	b.get("/.impersonate/stop").want(t, 200, "Return to my account")
	b.post("/.impersonate/stop", nil).to(t, http.StatusSeeOther, "/.impersonate/")
	if got := b.json("GET", "/.impersonate/api/v1/me", "").want(t, 200).object(t); got["impersonation"] != nil {
		t.Error("still impersonating")
	}
}

func TestReturnToStaysHere(t *testing.T) {
	for _, tc := range []struct{ in, out string }{
		{"/bookings/7?x=1#top", "/bookings/7?x=1#top"},
		{"", "/.impersonate/"},
		{"//evil.example", "/"},
		{"https://evil.example/", "/"},
		{`/\evil.example`, "/"},
		{`\\evil.example`, "/"},
		{"/%2fevil.example", "/"},
		{"/\t/evil.example", "/"},
		{"/x/..//evil.example", "/"},
		{"javascript:alert(1)", "/"},
		{"/a\r\nSet-Cookie: a=b", "/"},
		{"/.impersonate/ended", "/.impersonate/"},
		{"/.impersonate/stop", "/"},
		{"/.impersonate/logout", "/"},
		{"/.impersonate/api/v1/me", "/.impersonate/"},
		{"/.impersonate/?q=sam", "/.impersonate/?q=sam"},
		{"/.impersonate", "/.impersonate/"},
	} {
		g := newRig(t)
		b := g.login("admin")
		form := url.Values{"target": {"sam"}, "reason": {"because"}, "return_to": {tc.in}, "next": {tc.in}}
		next := b.post("/.impersonate/start", form).want(t, http.StatusSeeOther).Header.Get("Location")
		if want := tc.out; strings.HasPrefix(want, "/.impersonate") {
			if next != "/" {
				t.Errorf("next=%q leads to %q, want /", tc.in, next)
			}
		} else if next != want {
			t.Errorf("next=%q leads to %q, want %q", tc.in, next, want)
		}
		b.post("/.impersonate/stop", nil).to(t, http.StatusSeeOther, tc.out)
	}
}

func TestCrossOriginIsRefused(t *testing.T) {
	g := newRig(t)
	b := g.login("admin")
	b.begin("sam")
	form := "application/x-www-form-urlencoded"
	for _, h := range [][]string{
		{"Origin", "https://evil.example"},
		{"Origin", "null"},
		{"Sec-Fetch-Site", "cross-site"},
		{"Sec-Fetch-Site", "same-site"},
		{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"},
	} {
		for _, path := range []string{"/.impersonate/start", "/.impersonate/stop"} {
			if path == "/.impersonate/stop" && len(h) == 2 && h[1] == "null" {
				continue // below
			}
			b.do("POST", path, "target=kim&reason=because", append(h, "Content-Type", form)...).want(t, 403, "cross-origin")
		}
		b.do("POST", "/.impersonate/api/v1/impersonations", `{"target":"kim"}`, append(h, "Content-Type", "application/json")...).want(t, 403, "cross-origin")
		b.do("DELETE", "/.impersonate/api/v1/impersonations/current", "", h...).want(t, 403, "cross-origin")
	}
	if b.json("GET", "/.impersonate/api/v1/me", "").object(t)["impersonation"] == nil {
		t.Fatal("another site ended it")
	}
	// Whoever was refused a return can still press one here.
	b.do("POST", "/.impersonate/stop", "", "Sec-Fetch-Site", "cross-site", "Accept", "text/html").want(t, 403, `action="/.impersonate/stop"`)
	// An app's page that hides its referrer sends "Origin: null", and yet it is this site.
	b.do("POST", "/.impersonate/stop", "", "Origin", "null", "Sec-Fetch-Site", "same-origin").want(t, http.StatusSeeOther)
	b.do("POST", "/.impersonate/stop", "", "Origin", "null").want(t, http.StatusSeeOther) // on plain http no more is said
}
