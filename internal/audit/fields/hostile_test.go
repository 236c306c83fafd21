package fields_test

import (
	"strings"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit/fields"
)

// hostile are bodies that cost as much as may be.
func hostile() map[string][2]string {
	fill := func(s string) string { return strings.Repeat(s, 1<<20/len(s)) }
	long := strings.Repeat("k", 1000)
	return map[string][2]string{
		"form, short pieces":         {formType, fill("a=&")},
		"form, no names":             {formType, fill("=&")},
		"form, escapes":              {formType, fill("%61%62=&")},
		"form, long names":           {formType, fill(long + "=&")},
		"JSON, empty lists":          {jsonType, "[" + fill("[],") + "0]"},
		"JSON, a deep key":           {jsonType, strings.Repeat(`{"`+long+`":`, 50) + "[" + fill(`{"a":0},`) + "0]" + strings.Repeat("}", 50)},
		"JSON, escapes in values":    {jsonType, `["` + fill(`\"`) + `"]`},
		"JSON, escapes in keys":      {jsonType, "[" + fill(`{"\u0061":0},`) + "0]"},
		"JSON, long keys":            {jsonType, "[" + fill(`{"`+long+`\n":0},`) + "0]"},
		"JSON, blanks":               {jsonType, fill(" ") + "0"},
		"multipart, line breaks":     {partType, "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n" + fill("\r") + "\r\n--b--"},
		"multipart, near boundaries": {partType, "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n" + fill("\r\n--b-") + "\r\n--b--"},
		"multipart, headers":         {partType, "--b\r\n" + fill("A: b\r\n") + "\r\n\r\n--b--"},
		"multipart, parts":           {partType, fill("--b\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n") + "--b--"},
	}
}

// TestHostile: what a megabyte costs grows with its length alone, whatever is in it. It takes some milliseconds; what grows
// with the square of the length takes minutes.
func TestHostile(t *testing.T) {
	for name, h := range hostile() {
		start := time.Now()
		got := namesOf(t, h[0], h[1], len(h[1]))
		if took := time.Since(start); took > 40*time.Second || len(got) > fields.MaxBytes {
			t.Errorf("%s: %v, %.100q", name, took, got)
		}
	}
}

func BenchmarkHostile(b *testing.B) {
	for name, h := range hostile() {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(h[1])))
			for b.Loop() {
				namesOf(b, h[0], h[1], 32<<10)
			}
		})
	}
}
