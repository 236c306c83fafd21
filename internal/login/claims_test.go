package login

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
)

func TestLookup(t *testing.T) {
	t.Parallel()
	var claims map[string]any
	if err := json.Unmarshal([]byte(`{"a":{"b":{"c":1},"b.c":2,"n":null},"a.b":{"d":3},"a.b.e":4,"x":"text","a.z":null}`), &claims); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]any{
		"x": "text", "a.b.c": 2.0, "a.b.d": 3.0, "a.b.e": 4.0,
		"a.n": nil, "a.z": nil, "x.y": nil, "": nil, ".": nil, "a.": nil, ".a": nil, "a..b": nil, "a.b.c.d": nil,
	} {
		if got, ok := lookup(claims, path); ok != (want != nil) || (ok && got != want) {
			t.Errorf("%q: %v %v, want %v", path, got, ok, want)
		}
	}
}

// Whatever a provider sends, what comes out of it is within bounds and holds nothing that could split a header.
func FuzzFacts(f *testing.F) {
	for _, s := range []string{
		`{"sub":"a","preferred_username":"alice","name":"Alice","email":"a@b","groups":["x","y"]}`,
		`{"sub":"a","preferred_username":"a\u0000","groups":"x"}`,
		`{"sub":1,"preferred_username":"ſ","groups":[1]}`,
		`{"sub":"a","preferred_username":"İ","groups":{}}`,
		`{"sub":"a","preferred_username":"a b","x":{"y":true}}`,
		`null`, `[]`, `{}`,
	} {
		f.Add(s)
	}
	h := &Handler{claims: map[string]string{"id": "sub", "username": "preferred_username", "name": "name", "email": "email", "groups": "groups", "dep": "x.y"}}
	f.Fuzz(func(t *testing.T, s string) {
		claims, err := claimsOf(func(v any) error { return json.Unmarshal([]byte(s), v) })
		if err != nil {
			return
		}
		id, failed := h.facts(sources{claims})
		if failed != nil {
			if failed.message == "" || failed.reason == "" {
				t.Errorf("refused without a word: %+v", failed)
			}
			return
		}
		if id.Username == "" || id.ID == "" || identity.Key(id.Username) == "" {
			t.Errorf("nobody: %+v", id)
		}
		if err := directory.CheckUsername(id.Username); err != nil {
			t.Errorf("username %q, which the directory refuses: %v", id.Username, err)
		}
		if isASCII(identity.Key(id.Username)) && !isASCII(id.Username) {
			t.Errorf("username %q passes for %q", id.Username, identity.Key(id.Username))
		}
		for _, v := range append([]string{id.ID, id.Name, id.Email, id.Attributes["dep"]}, id.Groups...) {
			if len(v) > maxName || strings.ContainsAny(v, "\r\n\x00") {
				t.Errorf("%q", v)
			}
		}
	})
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r > unicode.MaxASCII }) < 0
}
