package session_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-240d5494/caddy-impersonate/internal/session"
)

var (
	idA = strings.Repeat("A", 42) + "Q"
	idB = strings.Repeat("b-_9", 10) + "abc"
)

func TestSetCookie(t *testing.T) {
	for _, tt := range []struct {
		https      bool
		set, clear string
	}{
		{true, "__Host-impersonate=" + idA + "; Path=/; HttpOnly; Secure; SameSite=Lax", "__Host-impersonate=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax"},
		{false, "impersonate=" + idA + "; Path=/; HttpOnly; SameSite=Lax", "impersonate=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"},
	} {
		w := httptest.NewRecorder()
		session.SetCookie(w, tt.https, idA)
		session.ClearCookie(w, tt.https)
		if d := cmp.Diff([]string{tt.set, tt.clear}, w.Header()["Set-Cookie"]); d != "" {
			t.Error(d)
		}
	}
}

func TestRawID(t *testing.T) {
	for _, tt := range []struct {
		https bool
		lines []string
		want  string
	}{
		{true, nil, ""},
		{true, []string{"__Host-impersonate=" + idA}, idA},
		{true, []string{"a=b;__Host-impersonate=" + idB + ";c=d"}, idB},
		{true, []string{"a=b", "x=y; \t__Host-impersonate=" + idB + " "}, idB},
		{false, []string{"impersonate=" + idB}, idB},
		// The name of the other scheme, or nearly ours.
		{true, []string{"impersonate=" + idA}, ""},
		{false, []string{"__Host-impersonate=" + idA}, ""},
		{true, []string{"__host-impersonate=" + idA}, ""},
		{true, []string{"__Host-impersonate-login-x=" + idA}, ""},
		{true, []string{"x__Host-impersonate=" + idA}, ""},
		{true, []string{"__Host-impersonate =" + idA}, ""},
		// Not an id.
		{true, []string{"__Host-impersonate"}, ""},
		{true, []string{"__Host-impersonate="}, ""},
		{true, []string{"__Host-impersonate=\"" + idA + "\""}, ""},
		{true, []string{"__Host-impersonate=" + idA + "A"}, ""},
		{true, []string{"__Host-impersonate=" + strings.Repeat("+", 43)}, ""},
		{true, []string{"__Host-impersonate=" + strings.Repeat("A", 42) + "\x00"}, ""},
		// Several.
		{true, []string{"__Host-impersonate=" + idA + "; __Host-impersonate=" + idA}, idA},
		{true, []string{"__Host-impersonate=" + idA + "; __Host-impersonate=" + idB}, ""},
		{true, []string{"__Host-impersonate=" + idA, "__Host-impersonate=" + idB}, ""},
		{true, []string{"__Host-impersonate=junk; __Host-impersonate=" + idB + "; __Host-impersonate="}, idB},
	} {
		r := &http.Request{Header: http.Header{}}
		if tt.lines != nil {
			r.Header["Cookie"] = tt.lines
		}
		got, ok := session.RawID(r, tt.https)
		if got != tt.want && ok || ok != (tt.want != "") {
			t.Errorf("%q: %q, %v, want %q", tt.lines, got, ok, tt.want)
		}
	}
}

var stripTests = []struct{ in, want []string }{
	{nil, nil},
	{[]string{"a=b"}, []string{"a=b"}},
	{[]string{"a=b; c=impersonate"}, []string{"a=b; c=impersonate"}},
	{[]string{"__Host-impersonate=x"}, nil},
	{[]string{"impersonate=x"}, nil},
	{[]string{"impersonate"}, nil},
	{[]string{"impersonate =x"}, nil},
	{[]string{"__Host-impersonate-login-s1=x; impersonate-login-s2=y"}, nil},
	{[]string{"__Host-impersonate=x; a=b"}, []string{"a=b"}},
	{[]string{"a=b; __Host-impersonate=x"}, []string{"a=b"}},
	{[]string{"a=b; __Host-impersonate=x; c=d"}, []string{"a=b; c=d"}},
	{[]string{"a=b;__Host-impersonate=x;c=d;e=f"}, []string{"a=b; c=d;e=f"}},
	{[]string{"a=1; impersonate=x; b=2; impersonate=y; c=3; impersonate-login-z=1; d=4; impersonate=; e=5; impersonate=q; f=6"}, []string{"a=1; b=2; c=3; d=4; e=5; f=6"}},
	{[]string{"impersonate=x;;; a=b;"}, []string{"a=b"}},
	{[]string{"a=b", "impersonate=x", "c=d"}, []string{"a=b", "c=d"}},
	{[]string{"impersonate=x", "__Host-impersonate=y"}, nil},
	// Others' names, and their values are theirs.
	{[]string{"impersonated=x; Impersonate=y; __Host-impersonater=z; __Host-__Host-impersonate=q"}, []string{"impersonated=x; Impersonate=y; __Host-impersonater=z; __Host-__Host-impersonate=q"}},
	{[]string{"q=\"a; impersonate=x\"; b=\"c d\""}, []string{"q=\"a; b=\"c d\""}},
}

func TestStripCookie(t *testing.T) {
	for _, tt := range stripTests {
		h := http.Header{"Accept": {"x"}}
		if tt.in != nil {
			h["Cookie"] = append([]string(nil), tt.in...)
		}
		shared := h["Cookie"]
		session.StripCookie(h)
		if d := cmp.Diff(tt.want, h["Cookie"]); d != "" {
			t.Errorf("%q:\n%s", tt.in, d)
		}
		if _, ok := h["Cookie"]; ok != (tt.want != nil) {
			t.Errorf("%q: an empty header is left", tt.in)
		}
		if d := cmp.Diff(tt.in, shared); d != "" {
			t.Errorf("the lines were changed in place:\n%s", d)
		}
	}
}

// Whatever the line, afterwards no parser of cookies finds one of ours in it, and all of the others are there.
func FuzzStripCookie(f *testing.F) {
	for _, tt := range stripTests {
		f.Add(strings.Join(tt.in, "\n"))
	}
	f.Fuzz(func(t *testing.T, in string) {
		before := &http.Request{Header: http.Header{"Cookie": strings.Split(in, "\n")}}
		after := &http.Request{Header: before.Header.Clone()}
		session.StripCookie(after.Header)
		var want, got []string
		for _, c := range before.Cookies() {
			if !session.Reserved(c.Name) {
				want = append(want, c.String())
			}
		}
		for _, c := range after.Cookies() {
			if session.Reserved(c.Name) {
				t.Errorf("%q: %s is left", in, c.Name)
			}
			got = append(got, c.String())
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%q:\n%s", in, d)
		}
		for _, https := range []bool{true, false} {
			if _, ok := session.RawID(after, https); ok {
				t.Errorf("%q: the id is left", in)
			}
		}
	})
}

func TestStripSetCookie(t *testing.T) {
	for _, tt := range []struct{ in, want []string }{
		{nil, nil},
		{[]string{"a=b; Path=/"}, []string{"a=b; Path=/"}},
		{[]string{"__Host-impersonate=x; Secure"}, nil},
		{[]string{"a=b", " impersonate =x", "c=d; x=impersonate", "impersonate-login-x=;"}, []string{"a=b", "c=d; x=impersonate"}},
	} {
		h := http.Header{}
		if tt.in != nil {
			h["Set-Cookie"] = append([]string(nil), tt.in...)
		}
		shared := h["Set-Cookie"]
		session.StripSetCookie(h)
		if d := cmp.Diff(tt.want, h["Set-Cookie"]); d != "" {
			t.Errorf("%q:\n%s", tt.in, d)
		}
		if d := cmp.Diff(tt.in, shared); d != "" {
			t.Errorf("the lines were changed in place:\n%s", d)
		}
	}
}

func TestLoginCookieName(t *testing.T) {
	for https, want := range map[bool]string{true: "__Host-impersonate-login-s", false: "impersonate-login-s"} {
		if got := session.LoginCookieName(https, "s"); got != want || !session.Reserved(got) {
			t.Errorf("%q, want %q, reserved", got, want)
		}
	}
}

func BenchmarkStripCookie(b *testing.B) {
	for name, line := range map[string]string{
		"ours":   "__Host-impersonate=" + idA,
		"first":  "__Host-impersonate=" + idA + "; sessionid=0123456789; csrftoken=0123456789",
		"last":   "sessionid=0123456789; csrftoken=0123456789; __Host-impersonate=" + idA,
		"middle": "sessionid=0123456789; __Host-impersonate=" + idA + "; csrftoken=0123456789",
		"none":   "sessionid=0123456789; csrftoken=0123456789",
	} {
		b.Run(name, func(b *testing.B) {
			h, lines := http.Header{}, []string{line}
			b.ReportAllocs()
			for b.Loop() {
				h["Cookie"] = lines
				session.StripCookie(h)
			}
		})
	}
}

func BenchmarkRawID(b *testing.B) {
	r := &http.Request{Header: http.Header{"Cookie": {"sessionid=0123456789; __Host-impersonate=" + idA}}}
	b.ReportAllocs()
	for b.Loop() {
		session.RawID(r, true)
	}
}
