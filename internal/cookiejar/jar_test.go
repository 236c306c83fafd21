package cookiejar

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func get(path string, cookies ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "https://app.example.com"+path, nil)
	for _, c := range cookies {
		r.Header.Add("Cookie", c)
	}
	return r
}

// Most apps believe their own session cookie over a changed header (gitea #27821, graylog #9459, OctoPrint #5279):
// with the actor's cookie the app would show the actor, whatever the headers say.
func TestAppSeesAFreshBrowser(t *testing.T) {
	own := NewOwn()
	own.Learn(get("/"), true, []string{"sid=actor; Path=/; HttpOnly; Secure", "csrftoken=a1; Path=/; Secure; SameSite=Lax"}, now)
	j := NewJar(true, own, []string{"sid=actor; csrftoken=a1; old=x"}, now)

	if d := cmp.Diff([]string{"csrftoken=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Secure; SameSite=Lax"}, j.Begin(now)); d != "" {
		t.Errorf("readable cookies of the actor's are taken from the browser (-want +got):\n%s", d)
	}
	if got := j.Request(get("/", "sid=actor; old=x"), now); got != "" {
		t.Errorf("the app got %q on the first request", got)
	}
	mirror, displaces := j.Response(get("/"), []string{"sid=target; Path=/; HttpOnly; Secure", "csrftoken=t1; Path=/; Secure; SameSite=Lax"}, now)
	if d := cmp.Diff([]string{"csrftoken=t1; Path=/; Secure; SameSite=Lax"}, mirror); d != "" || !displaces {
		t.Errorf("mirrored (-want +got), displaces %v:\n%s", displaces, d)
	}
	if got := j.Request(get("/x", "sid=actor; old=x; csrftoken=t1"), now); got != "csrftoken=t1; sid=target" && got != "sid=target; csrftoken=t1" {
		t.Errorf("the app got %q", got)
	}
	// A script changes the readable one, and makes another.
	if got := j.Request(get("/x", "sid=actor; old=x; csrftoken=t2; theme=dark"), now); !strings.Contains(got, "csrftoken=t2") || !strings.Contains(got, "theme=dark") || strings.Contains(got, "actor") {
		t.Errorf("the app got %q", got)
	}

	// The end: the actor's request, though the browser still sends the target's.
	if got := j.Own(get("/x", "sid=actor; old=x; csrftoken=t2; theme=dark"), now); got != "sid=actor; old=x; csrftoken=a1" {
		t.Errorf("after the end the app got %q", got)
	}
	want := []string{
		"theme=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Secure",
		"theme=; Path=/x; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Secure",
		"csrftoken=a1; Path=/; Secure; SameSite=Lax",
	}
	if d := cmp.Diff(want, j.Restore(now)); d != "" {
		t.Errorf("restored (-want +got):\n%s", d)
	}
}

func TestSurvivesTheStore(t *testing.T) {
	own := NewOwn()
	own.Learn(get("/"), true, []string{"a=\xff1; Path=/; Secure"}, now)
	back, err := UnmarshalOwn(own.Marshal())
	if err != nil {
		t.Fatal(err)
	}
	j := NewJar(true, back, []string{"a=\xff1; b=2"}, now)
	j.Begin(now)
	j.Response(get("/"), []string{"sid=t; HttpOnly", "b=9"}, now)
	j.Request(get("/q/r", "b=9"), now)
	j.Request(get("/q/r", "b=9; made=1"), now)
	again, err := UnmarshalJar(j.Marshal())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(j.Restore(now), again.Restore(now)); d != "" {
		t.Errorf("-before +after:\n%s", d)
	}
	if !slices.Contains(again.Restore(now), "b=2; Path=/") || !slices.Contains(again.Restore(now), "a=\xff1; Path=/; Secure") {
		t.Errorf("restored %q", again.Restore(now))
	}
	for _, bad := range [][]byte{nil, []byte("x"), j.Marshal()[:20]} {
		if _, err := UnmarshalJar(bad); err == nil {
			t.Errorf("read %d broken bytes", len(bad))
		}
	}
}

func TestResponse(t *testing.T) {
	tests := map[string]struct {
		path, set string
		mirror    bool
		sent      map[string]string // path → Cookie
	}{
		"host-only":                {"/", "a=1", true, map[string]string{"/": "a=1", "/x/y": "a=1"}},
		"default path":             {"/app/login", "a=1; HttpOnly", false, map[string]string{"/": "", "/app": "a=1", "/app/x": "a=1", "/apple": ""}},
		"path":                     {"/", "a=1; HttpOnly; path=/app/", false, map[string]string{"/app": "", "/app/": "a=1"}},
		"value with =":             {"/", "a=b=c==; HttpOnly", false, map[string]string{"/": "a=b=c=="}},
		"no name":                  {"/", "abc; HttpOnly", false, map[string]string{"/": "abc"}},
		"nameless pair":            {"/", "=a=b; HttpOnly", false, map[string]string{"/": ""}},
		"nameless host prefix":     {"/", "=__Host-x; HttpOnly; Secure; Path=/", false, map[string]string{"/": ""}},
		"spaces":                   {"/", "  a = 1  ;HttpOnly", false, map[string]string{"/": "a=1"}},
		"quotes stay":              {"/", `a="x y"; HttpOnly`, false, map[string]string{"/": `a="x y"`}},
		"control character":        {"/", "a=1\x01; HttpOnly", false, map[string]string{"/": ""}},
		"too large":                {"/", "a=" + strings.Repeat("x", MaxBytes) + "; HttpOnly", false, map[string]string{"/": ""}},
		"parent domain":            {"/", "a=1; HttpOnly; Domain=.example.com", false, map[string]string{"/": "a=1"}},
		"foreign domain":           {"/", "a=1; Domain=other.com", false, map[string]string{"/": ""}},
		"public suffix":            {"/", "a=1; Domain=com", false, map[string]string{"/": ""}},
		"sibling":                  {"/", "a=1; Domain=b.app.example.com", false, map[string]string{"/": ""}},
		"max-age wins":             {"/", "a=1; HttpOnly; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT", false, map[string]string{"/": "a=1"}},
		"max-age 0":                {"/", "a=1; HttpOnly; Max-Age=0", false, map[string]string{"/": ""}},
		"max-age huge":             {"/", "a=1; HttpOnly; Max-Age=99999999999999999999", false, map[string]string{"/": "a=1"}},
		"max-age no number":        {"/", "a=1; HttpOnly; Max-Age=1e9", false, map[string]string{"/": "a=1"}},
		"expired":                  {"/", "a=1; HttpOnly; Expires=Sun, 01 Mar 2026 11:59:59 GMT", false, map[string]string{"/": ""}},
		"odd date":                 {"/", "a=1; HttpOnly; Expires=01-Mar-27 12h 10:00:00", false, map[string]string{"/": "a=1"}},
		"unreadable date":          {"/", "a=1; HttpOnly; Expires=soon", false, map[string]string{"/": "a=1"}},
		"__Host- right":            {"/", "__Host-a=1; Secure; Path=/; HttpOnly", false, map[string]string{"/": "__Host-a=1"}},
		"__Host- with domain":      {"/", "__Host-a=1; Secure; Path=/; Domain=app.example.com", false, map[string]string{"/": ""}},
		"__Host- without path":     {"/", "__hOsT-a=1; Secure", false, map[string]string{"/": ""}},
		"__Secure- plain":          {"/", "__Secure-a=1", false, map[string]string{"/": ""}},
		"SameSite=None plain":      {"/", "a=1; SameSite=None", false, map[string]string{"/": ""}},
		"Partitioned":              {"/", "a=1; Secure; SameSite=None; Partitioned", true, map[string]string{"/": "a=1"}},
		"Partitioned plain":        {"/", "a=1; Partitioned", false, map[string]string{"/": ""}},
		"unknown attributes":       {"/", "a=1; Priority=High; foo; HttpOnly", false, map[string]string{"/": "a=1"}},
		"attribute over the limit": {"/", "a=1; HttpOnly; Path=/" + strings.Repeat("x", 1025), false, map[string]string{"/": "a=1"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			j := NewJar(true, NewOwn(), nil, now)
			mirror, _ := j.Response(get(tc.path), []string{tc.set}, now)
			if got := len(mirror) > 0; got != tc.mirror {
				t.Errorf("mirrored %q", mirror)
			}
			for path, want := range tc.sent {
				if got := j.Request(get(path), now); got != want {
					t.Errorf("%s: the app got %q, want %q", path, got, want)
				}
			}
		})
	}
}

func TestLongerPathsComeFirst(t *testing.T) {
	j := NewJar(true, NewOwn(), nil, now)
	j.Response(get("/"), []string{"a=root; HttpOnly; Path=/", "a=deep; HttpOnly; Path=/x", "b=2; HttpOnly; Path=/"}, now)
	if got := j.Request(get("/x/y"), now); got != "a=deep; a=root; b=2" {
		t.Errorf("got %q", got)
	}
}

func TestExpiryAndRemoval(t *testing.T) {
	j := NewJar(true, NewOwn(), nil, now)
	j.Response(get("/"), []string{"short=1; HttpOnly; Max-Age=60", "gone=1; HttpOnly", "shown=1"}, now)
	if got := j.Request(get("/", "shown=1"), now.Add(61*time.Second)); got != "gone=1; shown=1" {
		t.Errorf("after a minute the app got %q", got)
	}
	mirror, _ := j.Response(get("/"), []string{"gone=; Max-Age=0", "shown=; Max-Age=0"}, now)
	if len(mirror) != 1 || !strings.HasPrefix(mirror[0], "shown=;") {
		t.Errorf("removal told the browser %q", mirror)
	}
	if got := j.Request(get("/"), now); got != "short=1" {
		t.Errorf("after removal the app got %q", got)
	}
	// A cookie the browser had and no longer sends was removed by a script.
	j.Response(get("/"), []string{"s=1"}, now)
	j.Request(get("/", "s=1"), now)
	if got := j.Request(get("/"), now); got != "short=1" {
		t.Errorf("after a script removed it the app got %q", got)
	}
	// One that became HttpOnly is taken out of the browser.
	j.Response(get("/"), []string{"h=1"}, now)
	if mirror, _ := j.Response(get("/"), []string{"h=2; HttpOnly"}, now); len(mirror) != 1 || !strings.Contains(mirror[0], "1970") {
		t.Errorf("the browser was told %q", mirror)
	}
}

func TestBounded(t *testing.T) {
	j := NewJar(true, NewOwn(), nil, now)
	for i := range 200 {
		j.Response(get("/"), []string{"c" + strings.Repeat("x", i) + "=1; HttpOnly"}, now.Add(time.Duration(i)*time.Second))
	}
	if n := strings.Count(j.Request(get("/"), now.Add(time.Hour)), "="); n != MaxCookies {
		t.Errorf("%d cookies are kept", n)
	}
	for i := range 2000 {
		j.Request(get("/"+strings.Repeat("y", i%500)+"/a", "s"+strings.Repeat("z", i)+"=1"), now)
	}
	if len(j.script) > MaxCookies || len(j.actor) > 4*MaxCookies || len(j.seen) > maxSeen {
		t.Errorf("%d script cookies, %d of the actor's, %d paths", len(j.script), len(j.actor), len(j.seen))
	}
}

// A cookie of the actor's kept for /admin only is met first when the target's pages go there: it must not reach
// the app. A page's own script makes a cookie for the whole site: the gateway's own pages see it too, and it must.
func TestNarrowCookiesOfTheActorStayWithheld(t *testing.T) {
	j := NewJar(true, NewOwn(), nil, now)
	j.Request(get("/"), now)
	if got := j.Request(get("/admin/", "adminsid=actor"), now); got != "" {
		t.Errorf("the app got %q", got)
	}
	if got := j.Request(get("/admin/", "adminsid=actor"), now); got != "" {
		t.Errorf("the app got %q the second time", got)
	}
	if got := j.Request(get("/api/x", "XSRF=made"), now); got != "" {
		t.Errorf("an unproven cookie reached the app: %q", got)
	}
	j.Observe(get("/.impersonate/api/v1/me", "XSRF=made"))
	if got := j.Request(get("/api/x", "XSRF=made"), now); got != "XSRF=made" {
		t.Errorf("a script's cookie did not reach the app: %q", got)
	}
}

func TestSameSiteStrictStaysHomeOnCrossSiteNavigation(t *testing.T) {
	j := NewJar(true, NewOwn(), nil, now)
	j.Response(get("/"), []string{"strict=1; HttpOnly; SameSite=Strict", "lax=1; HttpOnly; SameSite=Lax", "none=1; HttpOnly; Secure; SameSite=None"}, now)
	r := get("/")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("Sec-Fetch-Dest", "document")
	if got := j.Request(r, now); got != "lax=1; none=1" {
		t.Errorf("on a link from another site the app got %q", got)
	}
	r.Header.Set("Sec-Fetch-Mode", "no-cors")
	r.Header.Set("Sec-Fetch-Dest", "image")
	if got := j.Request(r, now); got != "none=1" {
		t.Errorf("for an image on another site the app got %q", got)
	}
}

func TestPlainHTTP(t *testing.T) {
	j := NewJar(false, NewOwn(), nil, now)
	if m, _ := j.Response(get("/"), []string{"a=1; Secure"}, now); m != nil || j.Request(get("/"), now) != "" {
		t.Error("a Secure cookie was taken over http")
	}
	r := httptest.NewRequest(http.MethodGet, "http://localhost:8080/", nil)
	j.Response(r, []string{"a=1; Secure; HttpOnly"}, now)
	if got := j.Request(r, now); got != "a=1" {
		t.Errorf("localhost got %q", got)
	}
}

func TestDates(t *testing.T) {
	for s, want := range map[string]string{
		"Wed, 09 Jun 2027 10:18:14 GMT":     "2027-06-09T10:18:14Z",
		"Wednesday, 09-Jun-27 10:18:14 GMT": "2027-06-09T10:18:14Z",
		"Wed Jun  9 10:18:14 2027":          "2027-06-09T10:18:14Z",
		"09 jun 2027 1:2:3":                 "2027-06-09T01:02:03Z",
		"2027 June 9th 10:18:14":            "2027-06-09T10:18:14Z",
		"9 Jun 1600 10:18:14":               "",
		"31 Feb 2027 10:00:00":              "",
		"9 Jun 2027":                        "",
		"9 Jun 2027 24:00:00":               "",
		"1 Jan 70 00:00:00":                 "1970-01-01T00:00:00Z",
		"1 Jan 69 00:00:00":                 "2069-01-01T00:00:00Z",
	} {
		got, ok := parseDate(s)
		if ok != (want != "") || ok && got.Format(time.RFC3339) != want {
			t.Errorf("%q: %v %v, want %s", s, got, ok, want)
		}
	}
}

// Whatever an app sets and a browser sends, the app never gets a pair of the actor's, and the end leaves nothing
// of the target's in the browser.
func FuzzJar(f *testing.F) {
	f.Add("sid=t; Path=/; HttpOnly", "sid=secretactor; theme=1", "/a/b")
	f.Add("a=1; Domain=example.com; Expires=Wed, 09 Jun 2027 10:18:14 GMT", "a=secretactor", "/")
	f.Add("=;;=;", "=;;", "//")
	f.Fuzz(func(t *testing.T, set, sent, path string) {
		r := get("/")
		r.URL.Path = "/" + strings.TrimPrefix(path, "/")
		own := NewOwn()
		own.Learn(r, true, []string{set}, now)
		j := NewJar(true, own, []string{"sid=secretactor", sent}, now)
		j.Begin(now)
		r.Header["Cookie"] = []string{"sid=secretactor"}
		for range 3 {
			if got := j.Request(r, now); strings.Contains(got, "secretactor") && !strings.Contains(set, "secretactor") {
				t.Fatalf("the app got %q", got)
			}
			for _, line := range j.Restore(now) {
				if strings.ContainsAny(line, "\r\n\x00") {
					t.Fatalf("restored %q", line)
				}
			}
			j.Response(r, []string{set}, now)
		}
		again, err := UnmarshalJar(j.Marshal())
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(j.Restore(now), again.Restore(now)); d != "" {
			t.Fatal(d)
		}
	})
}
