package fields_test

import (
	"bytes"
	"encoding/json"
	"io"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit/fields"
)

var kinds = []string{formType, jsonType, partType}

// FuzzNames: whatever a body holds, its names are the same however it comes in pieces, bounded, and those that the standard
// library finds in it.
func FuzzNames(f *testing.F) {
	for _, body := range []string{
		"", "a=1&b=2", "a%5B%5D=1&&c&=d&%zz=1", `{"a":{"b":[1,{"c":"x\\\"y"},[[]]]},"d":{},"\u00e9":null}`, `[[{"":1}],"x"]`, `{"a":1}{`, "{a:1}",
		crlf("pre\n--b \nContent-Disposition: form-data; name=\"x\"; filename=y\n\n--b\nContent-Disposition: form-data; name=z\n\n\r\n--b\r\n--b--  "),
		"--b\nContent-Disposition: form-data; name=a\n\nx\n--bc\n--b--", "--b--", "--b\r\n\r\n--b--",
	} {
		for kind := range kinds {
			f.Add(uint8(kind), body, uint64(1))
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, body string, seed uint64) {
		contentType := kinds[int(kind)%len(kinds)]
		whole := namesOf(t, contentType, body, len(body)+1)

		// Pieces of any size, also empty ones.
		random := rand.New(rand.NewPCG(seed, 0))
		n := fields.New(http.Header{"Content-Type": {contentType}}, int64(len(body)), asIs)
		for rest := body; rest != ""; {
			k := min(random.IntN(1+random.IntN(40)), len(rest))
			n.Write([]byte(rest[:k]))
			rest = rest[k:]
		}
		if got := n.String(); body != "" && got != whole {
			t.Fatalf("in pieces %q, whole %q", got, whole)
		}

		if len(whole) > fields.MaxBytes || !utf8.ValidString(whole) {
			t.Fatalf("%d bytes, %q", len(whole), whole)
		}
		names, all := split(whole)
		if seen := slices.Compact(slices.Sorted(slices.Values(names))); len(seen) != len(names) || len(names) > 101 {
			t.Fatalf("twice, or too many: %q", whole)
		}
		if len(body) > 20_000 {
			return // of which the standard library reads more
		}
		switch contentType {
		case formType:
			againstURL(t, body, names, all)
		case jsonType:
			againstJSON(t, body, names, all)
		default:
			againstMultipart(t, body, names, all)
		}
	})
}

// split is the names of a list, and whether it has all.
func split(list string) (names []string, all bool) {
	if list == "" {
		return nil, true
	}
	names = strings.Split(list, ", ")
	if names[len(names)-1] == fields.More {
		return names[:len(names)-1], false
	}
	return names, true
}

// listed is how an oracle's name is in the list.
func listed(name string) string {
	switch {
	case len(name) > 1024:
		return "[too long]"
	case strings.Contains(name, "s3cret"):
		return "[redacted]"
	}
	return strings.NewReplacer("%", "%25", ",", "%2C").Replace(string([]rune(name)))
}

// agree compares with an oracle's names, in the order in which they came. What is cut may be in the list once more; it has few.
func agree(t *testing.T, want, names []string, all bool) {
	t.Helper()
	var once []string
	size := 0
	for _, w := range want {
		if w != "" && !slices.Contains(once, w) {
			once = append(once, w)
			size += len(w) + 2
		}
		if len(w) > 256 {
			return // cut in the list
		}
	}
	if len(once) > 100 || size > 1000 {
		return // not all are in the list
	}
	if !slices.Equal(once, names) || !all {
		t.Fatalf("got %q (all: %v), want %q", names, all, once)
	}
}

// againstURL: of what net/url takes for a form, and no part of which is something else, the names are the same.
func againstURL(t *testing.T, body string, names []string, all bool) {
	values, err := url.ParseQuery(body)
	if !all || err != nil {
		return
	}
	var want []string
	for piece := range strings.SplitSeq(body, "&") {
		if piece == "" {
			continue
		}
		raw, _, _ := strings.Cut(piece, "=")
		name, err := url.QueryUnescape(raw)
		if _, ok := values[name]; !ok || err != nil {
			t.Fatalf("%q is not what net/url finds", name)
		}
		if strings.ContainsAny(name, "\"<>{}\\;=&\x7f") || strings.IndexFunc(name, func(c rune) bool { return c < ' ' }) >= 0 || len(raw) > 1024 || strings.TrimLeft(raw, " \t\r\n") != raw {
			return
		}
		want = append(want, listed(name))
	}
	if len(values) > 0 {
		agree(t, want, names, all)
	}
}

func againstJSON(t *testing.T, body string, names []string, all bool) {
	if !json.Valid([]byte(body)) {
		return
	}
	var want []string
	d := json.NewDecoder(strings.NewReader(body))
	d.UseNumber()
	depth := 0
	var walk func(path string)
	walk = func(path string) {
		token, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		switch token {
		case json.Delim('{'):
			depth++
			if !d.More() {
				want = append(want, path)
			}
			for d.More() {
				key, err := d.Token()
				if err != nil {
					t.Fatal(err)
				}
				s := listed(key.(string))
				if s != "[too long]" && s != "[redacted]" {
					s = strings.NewReplacer(".", "%2E", "[", "%5B", "]", "%5D").Replace(s)
				}
				if path != "" {
					s = path + "." + s
				}
				walk(s)
			}
		case json.Delim('['):
			depth++
			path += "[]"
			if !d.More() {
				want = append(want, path)
			}
			for d.More() {
				walk(path)
			}
		default:
			want = append(want, path)
			return
		}
		if _, err := d.Token(); err != nil {
			t.Fatal(err)
		}
	}
	walk("")
	if strings.Count(body, "[")+strings.Count(body, "{") > 64 || strings.Contains(body, "[too") {
		return // perhaps too deep
	}
	agree(t, want, names, all)
}

var final = regexp.MustCompile(`(^|\n)--b--[ \t]*(\r?\n|$)`)

// againstMultipart: to mime/multipart, too, the body is whole or not, and has these names.
func againstMultipart(t *testing.T, body string, names []string, all bool) {
	r := multipart.NewReader(bytes.NewReader([]byte(body)), "b")
	var want []string
	unnamed := false
	for {
		part, err := r.NextRawPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			if all && body != "" {
				t.Fatalf("it has all of a body that is broken: %v", err)
			}
			return
		}
		if part.FormName() == "" || len(part.Header["Content-Disposition"]) > 1 {
			unnamed = true
			continue
		}
		want = append(want, listed(part.FormName()))
	}
	for line := range strings.Lines(body) {
		if len(line) > 1000 {
			return
		}
	}
	if len(body) > 8000 || unnamed || !final.MatchString(body) { // it also says EOF where a part's headers are missing
		return
	}
	agree(t, want, names, all)
}
