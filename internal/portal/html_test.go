package portal_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/net/html"
)

func parse(t testing.TB, body string) *html.Node {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func find(n *html.Node, ok func(*html.Node) bool) []*html.Node {
	var out []*html.Node
	for d := range n.Descendants() {
		if d.Type == html.ElementNode && ok(d) {
			out = append(out, d)
		}
	}
	return out
}

func attr(n *html.Node, name string) (string, bool) {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val, true
		}
	}
	return "", false
}

func hasClass(n *html.Node, class string) bool {
	v, _ := attr(n, "class")
	for _, c := range strings.Fields(v) {
		if c == class {
			return true
		}
	}
	return false
}

func text(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return strings.TrimSpace(b.String())
}

// formTo is what the first form to that address would send.
func formTo(t testing.TB, body, action string) url.Values {
	t.Helper()
	forms := find(parse(t, body), func(n *html.Node) bool { a, _ := attr(n, "action"); return n.Data == "form" && a == action })
	if len(forms) == 0 {
		t.Fatalf("no form to %s in: %s", action, body)
	}
	v := url.Values{}
	for _, n := range find(forms[0], func(n *html.Node) bool { name, _ := attr(n, "name"); return name != "" }) {
		name, _ := attr(n, "name")
		kind, _ := attr(n, "type")
		_, checked := attr(n, "checked")
		switch {
		case n.Data == "select":
			for _, o := range find(n, func(n *html.Node) bool { _, on := attr(n, "selected"); return n.Data == "option" && on }) {
				val, _ := attr(o, "value")
				v.Set(name, val)
			}
		case n.Data == "textarea":
			v.Set(name, text(n))
		case kind == "radio" || kind == "checkbox":
			if val, _ := attr(n, "value"); checked {
				v.Set(name, val)
			}
		default:
			val, _ := attr(n, "value")
			v.Set(name, val)
		}
	}
	return v
}

var jsURL = regexp.MustCompile(`(?i)^\s*(javascript|data|vbscript):`)

// sound checks what must hold for every page: nothing inline, no element or handler that the templates don't have,
// every control labelled, ids unique, what refers to an id finds it.
func sound(t *testing.T, where, body string) {
	t.Helper()
	doc := parse(t, body)
	ids := map[string]int{}
	for _, n := range find(doc, func(*html.Node) bool { return true }) {
		if id, ok := attr(n, "id"); ok {
			ids[id]++
		}
	}
	labels := map[string]bool{}
	for _, n := range find(doc, func(n *html.Node) bool { return n.Data == "label" }) {
		f, _ := attr(n, "for")
		labels[f] = true
	}
	for id, n := range ids {
		if n > 1 {
			t.Errorf("%s: id %q is there %d times", where, id, n)
		}
	}
	scripts := 0
	for _, n := range find(doc, func(*html.Node) bool { return true }) {
		for _, a := range n.Attr {
			switch {
			case strings.HasPrefix(a.Key, "on"), a.Key == "style", a.Key == "srcdoc":
				t.Errorf("%s: <%s %s=%q>", where, n.Data, a.Key, a.Val)
			case (a.Key == "href" || a.Key == "action" || a.Key == "src") && (jsURL.MatchString(a.Val) || !strings.HasPrefix(a.Val, "/") && !strings.HasPrefix(a.Val, "#") || strings.HasPrefix(a.Val, "//")):
				t.Errorf("%s: <%s %s=%q> leaves the site", where, n.Data, a.Key, a.Val)
			case a.Key == "aria-describedby" || a.Key == "aria-labelledby":
				for _, id := range strings.Fields(a.Val) {
					if ids[id] == 0 && (id != "ask-title" || len(find(n, func(*html.Node) bool { return true })) > 0) { // the empty pop-up's title comes with its content
						t.Errorf("%s: <%s %s=%q>: no such id", where, n.Data, a.Key, a.Val)
					}
				}
			}
		}
		switch n.Data {
		case "script":
			scripts++
			if src, _ := attr(n, "src"); !strings.HasPrefix(src, "/.impersonate/assets/portal.") || n.FirstChild != nil {
				t.Errorf("%s: a script of its own", where)
			}
		case "style", "iframe", "object", "embed", "base", "img", "video", "marquee", "b0rk":
			t.Errorf("%s: <%s>", where, n.Data)
		case "input", "select", "textarea":
			kind, _ := attr(n, "type")
			id, _ := attr(n, "id")
			if kind != "hidden" && !labels[id] && (n.Parent == nil || n.Parent.Data != "label") {
				t.Errorf("%s: <%s> without a label", where, n.Data)
			}
		case "button", "a":
			aria, _ := attr(n, "aria-label")
			if text(n) == "" && aria == "" {
				t.Errorf("%s: <%s> without a text", where, n.Data)
			}
		case "html":
			if l, _ := attr(n, "lang"); l == "" && strings.HasPrefix(body, "<!DOCTYPE") {
				t.Errorf("%s: no language", where)
			}
		}
	}
	if strings.HasPrefix(body, "<!DOCTYPE") {
		if h := find(doc, func(n *html.Node) bool { return n.Data == "h1" }); len(h) != 1 {
			t.Errorf("%s: %d h1", where, len(h))
		}
		if scripts > 1 {
			t.Errorf("%s: %d scripts", where, scripts)
		}
		if len(body) > 60_000 {
			t.Errorf("%s: %d bytes", where, len(body))
		}
	}
	if strings.Contains(body, "ZgotmplZ") {
		t.Errorf("%s: a value in a place where it can't be", where)
	}
}

var nasty = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onfocus=alert(1) autofocus x='`, `</textarea><b0rk>`, `</title><script src=//evil>`,
	"{{.}}{{template \"x\"}}", "javascript:alert(1)", "\u202egnp.exe\u202c", "a\u2028b\u0000c", "\xff\xfe broken", "<!--", "&lt;b0rk&gt;<b0rk>", strings.Repeat("W", 20_000), strings.Repeat("é ", 3000), "=cmd|' /C calc'!A0", "",
}

func TestNastyNames(t *testing.T) {
	users := crew()
	for i, n := range nasty {
		u := user("n"+string(rune('a'+i)), n, i%2 == 0, "fieldworkers")
		u.Email = n
		for range 40 {
			u.Groups = append(u.Groups, n)
		}
		users = append(users, u)
		if n != "" && n != "\xff\xfe broken" && len(n) < 200 {
			v := user(n+string(rune('a'+i)), n, true, "fieldworkers")
			users = append(users, v)
		}
	}
	// The actor's own name is no nicer.
	users[1].Name = nasty[1]
	for _, n := range nasty { // as far as a directory takes such groups
		if n != "" && len(n) < 200 && utf8.ValidString(n) && !strings.ContainsAny(n, "\u0000\u2028\u202e") {
			users[1].Groups = append(users[1].Groups, n)
		}
	}
	g := newRig(t, users...)
	b := g.login("admin")
	check := func(path string) {
		t.Helper()
		res := b.get(path)
		sound(t, path, res.body)
		csp := res.Header.Get("Content-Security-Policy")
		if strings.Contains(csp, "unsafe") || !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") && res.StatusCode == 200 {
			t.Errorf("%s: policy %q", path, csp)
		}
	}
	check("/.impersonate/")
	check("/.impersonate/?only=1&part=1")
	for _, n := range nasty {
		q := url.QueryEscape(n)
		for _, p := range []string{"?q=" + q, "?target=" + q, "?target=sam&reason=" + q + "&ticket=" + q, "confirm?target=" + q, "confirm?target=sam&reason=" + q + "&ticket=" + q + "&return_to=" + q + "&next=" + q, "?q=sam&next=" + q + "&return_to=" + q} {
			if len(p) < 30_000 {
				check("/.impersonate/" + p)
			}
		}
		res := b.post("/.impersonate/start", url.Values{"target": {n}, "reason": {n}, "ticket": {n}, "mode": {n}, "return_to": {n}, "next": {n}})
		sound(t, "start", res.body)
	}
	for _, u := range users {
		check("/.impersonate/confirm?target=" + url.QueryEscape(u.Username))
	}
	// And as a target: in the portal, on the way back, and in JSON.
	b.begin("n" + string(rune('a'+0)))
	for _, p := range []string{"", "stop", "ended", "?q=x"} {
		check("/.impersonate/" + p)
	}
	b.json("GET", "/.impersonate/api/v1/me", "").want(t, 200).object(t)
	if ct := b.json("GET", "/.impersonate/api/v1/users?limit=100", "").want(t, 200).Header; ct.Get("Content-Type") != "application/json" || ct.Get("X-Content-Type-Options") != "nosniff" {
		t.Error(ct)
	}
}

func TestPagesAreSound(t *testing.T) {
	g := newRig(t)
	for _, who := range []string{"owner", "admin", "super", "auditor", "sam"} {
		b := g.login(who)
		for _, p := range []string{"", "?q=sam", "?q=zzz", "?only=1", "?target=sam", "?target=owner", "confirm?target=sam", "confirm?target=owner", "confirm?target=sam&part=1", "?part=1", "stop", "ended"} {
			res := b.get("/.impersonate/" + p)
			sound(t, who+" "+p, res.body)
			for k, want := range map[string]string{"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "X-Frame-Options": "DENY"} {
				if got := res.Header.Get(k); got != want {
					t.Errorf("%s: %s is %q", p, k, got)
				}
			}
		}
	}
}

func TestWorstPageIsSmall(t *testing.T) {
	users := crew()
	wide := strings.Repeat("\U0001F600", 300) // four bytes each, and as long as anything gets
	for i := range 40 {
		u := user(strings.Repeat("u", 200)+string(rune('A'+i)), wide, true, "fieldworkers")
		u.Email = strings.Repeat("m", 300)
		u.Groups = append(u.Groups, wide, wide, wide, wide, wide, wide, wide, wide)
		users = append(users, u)
	}
	g := newRig(t, users...)
	q := url.QueryEscape(strings.Repeat("&", 200))
	res := g.login("admin").get("/.impersonate/?only=1&return_to=/"+strings.Repeat("r", 500)).want(t, 200)
	t.Logf("%d bytes", len(res.body))
	sound(t, "wide", res.body)
	sound(t, "wide search", g.login("admin").get("/.impersonate/?q="+q).body)
}
