package session_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/seed-240d5494/caddy-impersonate/internal/session"
)

func TestSeal(t *testing.T) {
	w := newWorld(t)
	s, raw := w.login(alice)
	_, other := w.login(alice)
	for _, plain := range [][]byte{nil, []byte("x"), bytes.Repeat([]byte("jar"), 100_000)} {
		sealed := s.Seal(raw, "jar app.example.com", plain)
		got, err := s.Open(raw, "jar app.example.com", sealed)
		if err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("opened %d bytes, %v", len(got), err)
		}
		if bytes.Equal(sealed, s.Seal(raw, "jar app.example.com", plain)) {
			t.Error("sealed twice alike")
		}
		if len(plain) > 1 && bytes.Contains(sealed, plain[:9]) {
			t.Error("in the clear")
		}
		for name, open := range map[string]func() ([]byte, error){
			"another purpose": func() ([]byte, error) { return s.Open(raw, "jar app.example.co", sealed) },
			"another id":      func() ([]byte, error) { return s.Open(other, "jar app.example.com", sealed) },
			"no id":           func() ([]byte, error) { return s.Open("", "jar app.example.com", sealed) },
			"nothing":         func() ([]byte, error) { return s.Open(raw, "jar app.example.com", nil) },
			"short":           func() ([]byte, error) { return s.Open(raw, "jar app.example.com", sealed[:5]) },
			"cut":             func() ([]byte, error) { return s.Open(raw, "jar app.example.com", sealed[:len(sealed)-1]) },
		} {
			if got, err := open(); !errors.Is(err, session.ErrUnsealed) || got != nil {
				t.Errorf("%s: opened %q, %v", name, got, err)
			}
		}
		for i := range min(len(sealed), 40) {
			bad := bytes.Clone(sealed)
			bad[i] ^= 1
			if _, err := s.Open(raw, "jar app.example.com", bad); !errors.Is(err, session.ErrUnsealed) {
				t.Errorf("byte %d changed: %v", i, err)
			}
		}
	}
	if _, err := s.IDToken(other); !errors.Is(err, session.ErrUnsealed) {
		t.Errorf("ID token by another's id: %v", err)
	}
	none := alice
	none.IDToken = ""
	if s, raw := w.login(none); true {
		if tok, err := s.IDToken(raw); tok != "" || err != nil {
			t.Errorf("no ID token: %q, %v", tok, err)
		}
	}
}

func BenchmarkSeal(b *testing.B) {
	var s session.Session
	jar := make([]byte, 2048)
	for b.Loop() {
		s.Seal(idA, "jar", jar)
	}
}
