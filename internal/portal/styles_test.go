package portal_test

import (
	"compress/gzip"
	"io"
	"strings"
	"testing"
)

// TestStylesAreWhole: a brace left open makes all that follows a part of that rule, and pages lose their looks.
func TestStylesAreWhole(t *testing.T) {
	css := newRig(t).anonymous().do("GET", "/.impersonate/assets/portal.css", "").want(t, 200).body
	depth, at := 0, false
	for line := range strings.SplitSeq(css, "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), "@") {
			at = true
		}
		for _, c := range line {
			switch c {
			case '{':
				depth++
			case '}':
				depth--
			}
		}
		if depth < 0 || depth > 2 || depth == 2 && !at {
			t.Fatalf("braces don't match at %q", line)
		}
		if depth == 0 {
			at = false
		}
	}
	if depth != 0 {
		t.Errorf("%d braces are left open", depth)
	}
}

// TestStylesArePacked: whoever takes gzip gets it, the same content, with a validator of its own.
func TestStylesArePacked(t *testing.T) {
	b := newRig(t).anonymous()
	b.c.Transport = nil
	plain := b.do("GET", "/.impersonate/assets/portal.css", "", "Accept-Encoding", "identity").want(t, 200)
	for accept, packed := range map[string]bool{"gzip": true, "br, GZIP ; q=0.5": true, "gzip;q=0": false, "gzip; q=0.000": false, "gzip;q=0.001": true, "br, zstd": false, "*": false, "": false, "x-gzip": false} {
		res := b.do("GET", "/.impersonate/assets/portal.css", "", "Accept-Encoding", accept).want(t, 200)
		if got := res.Header.Get("Content-Encoding") == "gzip"; got != packed || res.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("Accept-Encoding %q: packed %v, Vary %q", accept, got, res.Header.Get("Vary"))
			continue
		}
		if !packed {
			continue
		}
		r, err := gzip.NewReader(strings.NewReader(res.body))
		if err != nil {
			t.Fatal(err)
		}
		all, err := io.ReadAll(r)
		if err != nil || string(all) != plain.body || len(res.body) > len(plain.body)/2 {
			t.Errorf("%d bytes of %d, %v", len(res.body), len(plain.body), err)
		}
		if res.Header.Get("ETag") == plain.Header.Get("ETag") {
			t.Error("both have the same validator")
		}
		b.do("GET", "/.impersonate/assets/portal.css", "", "Accept-Encoding", "gzip", "If-None-Match", res.Header.Get("ETag")).want(t, 304)
	}
}
