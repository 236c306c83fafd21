package identity

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func testHeaders(t testing.TB) *Headers {
	t.Helper()
	h, err := NewHeaders([]Template{
		{"Remote-User", "{impersonate.user.username}"},
		{"Remote-Email", "{impersonate.user.email}"},
		{"Remote-Name", "{impersonate.user.name}"},
		{"Remote-Groups", "{impersonate.user.groups}"},
		{"X-Who", "{impersonate.actor.username} as {impersonate.user.username} ({impersonate.mode} {impersonate.id})"},
		{"X-Dept", "{impersonate.user.department}"},
	}, true, "X-Impersonate-Assertion")
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// A client sends our headers itself, in every spelling an app behind CGI, WSGI, PSGI or PHP folds into the same
// variable (GHSA-7r4p-vjf4-gxv4, GHSA-f59h-q822-g45g, CVE-2025-64484, CVE-2026-88011), or has the proxy drop what
// we set by naming it in Connection (CVE-2024-45410, CVE-2026-29054).
func TestInvariant1ScrubFirst(t *testing.T) {
	tests := map[string]struct{ in, want http.Header }{
		"canonical":        {http.Header{"Remote-User": {"mallory"}}, http.Header{}},
		"lower":            {http.Header{"remote-user": {"mallory"}}, http.Header{}},
		"upper":            {http.Header{"REMOTE-USER": {"mallory"}}, http.Header{}},
		"underscore":       {http.Header{"remote_user": {"mallory"}, "Remote_User": {"mallory"}}, http.Header{}},
		"dot":              {http.Header{"Remote.User": {"mallory"}, "remote.USER": {"x"}}, http.Header{}},
		"mixed":            {http.Header{"X_Impersonate-assertion": {"e30"}, "x.impersonated_by": {"root"}}, http.Header{}},
		"duplicates":       {http.Header{"Remote-User": {"a", "b"}, "remote_user": {"c"}}, http.Header{}},
		"others stay":      {http.Header{"X-Remote-User": {"x"}, "Remote-Users": {"y"}, "Accept": {"*/*"}}, http.Header{"X-Remote-User": {"x"}, "Remote-Users": {"y"}, "Accept": {"*/*"}}},
		"connection":       {http.Header{"Connection": {"close, Remote-User"}}, http.Header{"Connection": {"close"}}},
		"connection folds": {http.Header{"Connection": {"rEmOtE_user , upgrade,remote.groups"}}, http.Header{"Connection": {"upgrade"}}},
		"connection only":  {http.Header{"Connection": {"Remote-User"}}, http.Header{}},
		"connection lines": {http.Header{"Connection": {"X-Who", "keep-alive"}}, http.Header{"Connection": {"", "keep-alive"}}},
		"trailer":          {http.Header{"Trailer": {"Remote-User, X-Sum"}}, http.Header{"Trailer": {"X-Sum"}}},
	}
	h := testHeaders(t)
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			r := &http.Request{Header: tc.in, Trailer: http.Header{"Remote-User": nil, "Remote_user": nil, "X-Sum": nil}}
			h.Scrub(r)
			if d := cmp.Diff(tc.want, r.Header); d != "" {
				t.Errorf("headers (-want +got):\n%s", d)
			}
			if d := cmp.Diff(http.Header{"X-Sum": nil}, r.Trailer); d != "" {
				t.Errorf("trailers (-want +got):\n%s", d)
			}
		})
	}
}

func TestInvariant2OneIdentity(t *testing.T) {
	h := testHeaders(t)
	alice := &Identity{ID: "1", Username: "alice", Name: "Alice Ng", Email: "alice@example.test", Groups: []string{"support", "staff"}}
	sam := &Identity{ID: "2", Username: "sam", Name: "Sam\r\nX-Evil: 1 Réed", Groups: []string{"field", "a,owners"}, Attributes: map[string]string{"department": "north"}}
	tests := map[string]struct {
		c    Context
		want http.Header
	}{
		"own account": {Context{User: alice, Actor: alice}, http.Header{
			"Remote-User": {"alice"}, "Remote-Email": {"alice@example.test"}, "Remote-Name": {"Alice Ng"}, "Remote-Groups": {"support,staff"},
			"X-Who": {"alice as alice ( )"},
		}},
		// No header of alice's is left for sam, who has no email; a group with a comma does not become two.
		"impersonating": {Context{User: sam, Actor: alice, ID: "i1", Mode: "full"}, http.Header{
			"Remote-User": {"sam"}, "Remote-Name": {"Sam  X-Evil: 1 Réed"}, "Remote-Groups": {"field"}, "X-Dept": {"north"},
			"X-Who": {"alice as sam (full i1)"}, "X-Impersonated-By": {"alice"},
		}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			v, err := h.Values(tc.c)
			if err != nil {
				t.Fatal(err)
			}
			r := &http.Request{Header: http.Header{"Remote-Email": {"forged"}, "X-Dept": {"forged"}}}
			h.Scrub(r)
			v.Apply(r.Header)
			if d := cmp.Diff(tc.want, r.Header); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
			r.Header["Remote-User"][0] = "edited by a later handler"
			again := http.Header{}
			v.Apply(again)
			if again.Get("Remote-User") != tc.c.User.Username {
				t.Error("an edit of one request's headers reached the next")
			}
		})
	}
	if _, err := h.Values(Context{User: &Identity{Username: strings.Repeat("x", maxValue+1)}, Actor: alice}); err == nil {
		t.Error("a value too long for a header was cut or sent")
	}
}

func TestNewHeadersRefuses(t *testing.T) {
	for name, ts := range map[string][]Template{
		"twice":            {{"Remote-User", "{impersonate.user.username}"}, {"remote_user", "x"}},
		"bad name":         {{"Remote User", "x"}},
		"empty name":       {{"", "x"}},
		"hop by hop":       {{"Connection", "x"}},
		"cookie":           {{"Cookie", "{impersonate.user.id}"}},
		"no value":         {{"Remote-User", ""}},
		"other":            {{"Remote-User", "{http.request.header.X-User}"}},
		"no field":         {{"Remote-User", "{impersonate.user.}"}},
		"assertion's name": {{"x.impersonate.assertion", "{impersonate.user.id}"}},
		"long":             {{strings.Repeat("x", 64), "x"}},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := NewHeaders(ts, true, "X-Impersonate-Assertion"); err == nil {
				t.Error("accepted")
			}
		})
	}
}

func FuzzScrub(f *testing.F) {
	f.Add("remote_user", "close, remote.user")
	f.Add("X-Impersonated-By", "X_Impersonated_By,")
	f.Add("Accept", "")
	h := testHeaders(f)
	f.Fuzz(func(t *testing.T, name, connection string) {
		r := &http.Request{Header: http.Header{name: {"mallory"}, "Connection": {connection}}}
		h.Scrub(r)
		for n, vs := range r.Header {
			if slices.Contains(h.folded, Fold(n)) {
				t.Errorf("%q survived", n)
			}
			if n != "Connection" {
				continue
			}
			for _, v := range vs {
				for token := range strings.SplitSeq(v, ",") {
					if slices.Contains(h.folded, Fold(strings.TrimSpace(token))) {
						t.Errorf("Connection still names %q", token)
					}
				}
			}
		}
	})
}

func BenchmarkScrub(b *testing.B) {
	h := testHeaders(b)
	r := &http.Request{Header: http.Header{}}
	for _, n := range []string{"Accept", "Accept-Encoding", "Accept-Language", "Cache-Control", "Cookie", "Referer", "User-Agent", "Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site", "Sec-Fetch-User", "Upgrade-Insecure-Requests", "X-Forwarded-For"} {
		r.Header[n] = []string{"x"}
	}
	b.ReportAllocs()
	for b.Loop() {
		h.Scrub(r)
	}
}

func BenchmarkApply(b *testing.B) {
	h := testHeaders(b)
	i := &Identity{Username: "sam", Name: "Sam", Email: "s@x", Groups: []string{"a", "b"}}
	v, err := h.Values(Context{User: i, Actor: i})
	if err != nil {
		b.Fatal(err)
	}
	header := http.Header{}
	b.ReportAllocs()
	for b.Loop() {
		v.Apply(header)
	}
}
