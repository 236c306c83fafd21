package portal

import (
	"encoding/json"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
	"github.com/seed-240d5494/caddy-impersonate/internal/lang"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
)

// TestNoTextIsMissing looks at every word in every language: none is missing, and what is filled in is where English has it.
func TestNoTextIsMissing(t *testing.T) {
	for _, language := range lang.All {
		words := languages[language]
		if words == nil || words.Lang != language {
			t.Fatalf("%s: no words", language)
		}
		v, en := reflect.ValueOf(*words), reflect.ValueOf(*english)
		for i := range v.NumField() {
			name := v.Type().Field(i).Name
			switch f := v.Field(i); {
			case name == "Between":
			case f.Kind() == reflect.String && f.String() == "":
				t.Errorf("%s: %s is empty", language, name)
			case f.Kind() == reflect.String && verbs(f.String()) != verbs(en.Field(i).String()):
				t.Errorf("%s: %s has %s filled in, in English it is %s", language, name, verbs(f.String()), verbs(en.Field(i).String()))
			case f.Kind() == reflect.Map:
				for _, k := range en.Field(i).MapKeys() {
					if !f.MapIndex(k).IsValid() || f.MapIndex(k).String() == "" {
						t.Errorf("%s: %s has no %q", language, name, k)
					}
				}
			}
		}
		for _, cause := range []string{
			impersonation.CauseExpired, impersonation.CauseIdle, impersonation.CauseRevoked,
			impersonation.CauseTargetDeactivated, impersonation.CauseActorDeactivated, impersonation.CausePolicyChanged, impersonation.CauseObjection,
		} {
			if got := words.Ended(cause, "Sam"); !strings.Contains(got, "Sam") || !strings.Contains(got, words.Causes[cause]) || words.Causes[cause] == "" {
				t.Errorf("%s: %s: %s", language, cause, got)
			}
		}
	}
	if got := english.Ended("unheard_of", "Sam"); got != "You are no longer using Sam’s account. You are in your own account again." {
		t.Error(got)
	}
	if got := german.Refusal(&policy.Refusal{Code: "unheard_of", Message: "No."}); got != "No." {
		t.Error(got)
	}
}

// TestNoTableLacksAWord is the same for the words of each area of pages.
func TestNoTableLacksAWord(t *testing.T) {
	tables(t, "quick", quickLanguages)
	tables(t, "doings", doingsLanguages)
	tables(t, "owner", ownerLanguages)
	tables(t, "history", allHistoryTexts)
	tables(t, "review", allReviewTexts)
	tables(t, "approvals", approvalLanguages)
	tables(t, "audit", auditLanguages)
}

func tables[T any](t *testing.T, area string, words lang.Texts[*T]) {
	t.Helper()
	en := reflect.ValueOf(*words[lang.Default])
	for _, language := range lang.All {
		if words[language] == nil {
			t.Errorf("%s: not in %s", area, language)
			continue
		}
		v := reflect.ValueOf(*words[language])
		for i := range v.NumField() {
			name := v.Type().Field(i).Name
			if f := v.Field(i); f.Kind() == reflect.Map {
				for _, k := range en.Field(i).MapKeys() {
					if got := f.MapIndex(k); !got.IsValid() || got.String() == "" || verbs(got.String()) != verbs(en.Field(i).MapIndex(k).String()) {
						t.Errorf("%s, %s: %s has no %q like English", area, language, name, k)
					}
				}
			} else if f.String() == "" || verbs(f.String()) != verbs(en.Field(i).String()) {
				t.Errorf("%s, %s: %s is %q, in English %q", area, language, name, f, en.Field(i))
			}
		}
	}
}

func verbs(s string) string {
	return strings.Join(regexp.MustCompile(`%[sd]|\{\}`).FindAllString(s, -1), " ")
}

func TestWords(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 seconds", time.Second: "1 second", 90 * time.Second: "1 minute 30 seconds", time.Hour: "1 hour",
		26*time.Hour + 5*time.Minute: "26 hours 5 minutes",
	} {
		if got := english.Duration(d); got != want {
			t.Errorf("%s is %q", d, got)
		}
	}
	for d, want := range map[time.Duration]string{0: "Less than a minute left", 59 * time.Second: "Less than a minute left", 61 * time.Second: "1 minute left"} {
		if got := english.Left(d); got != want {
			t.Errorf("%s left is %q", d, got)
		}
	}
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := thousands(n, ","); got != want {
			t.Errorf("%d is %q", n, got)
		}
	}
}

func TestParseDuration(t *testing.T) {
	for in, want := range map[string]time.Duration{
		"": 0, " ": 0, "900": 15 * time.Minute, "15m": 15 * time.Minute, "1h30m": 90 * time.Minute, "1.5": 1500 * time.Millisecond, " 60 ": time.Minute,
		"0": -1, "-5": -1, "-5m": -1, "0s": -1, "soon": -1, "NaN": -1, "Inf": -1, "1e18": -1, "9000000h": -1, "5 m": -1, "0x10": -1,
	} {
		got, err := parseDuration(in)
		if (err != nil) != (want == -1) || err == nil && got != want {
			t.Errorf("%q is %v, %v", in, got, err)
		}
	}
}

func TestSteps(t *testing.T) {
	for limit, want := range map[time.Duration]int{time.Minute: 1, 5 * time.Minute: 1, 30 * time.Minute: 3, 45 * time.Minute: 4, 12 * time.Hour: 8} {
		got := steps(limit)
		if len(got) != want || got[len(got)-1] != limit {
			t.Errorf("up to %s: %v", limit, got)
		}
	}
}

func TestInitials(t *testing.T) {
	for name, want := range map[string]string{
		"Sam Reed": "SR", "sam": "S", "Anna Maria van der Berg": "AB", "\u0142ukasz \u017b\u00f3\u0142\u0107": "\u0141\u017b", "\u5c71\u7530 \u592a\u90ce": "\u5c71\u592a", "": "?", "--- !!!": "?", "(Bob) \u201eX\u201c": "BX", "7 Eleven": "7E",
	} {
		if got := initials(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func TestShown(t *testing.T) {
	for in, want := range map[string]string{
		"Sam": "Sam", "": "", "a\u202eb\u2066c": "abc", "a\nb\x00c": "a b c", "\ufeffx\u200by": "xy", "\xff": "", "12345678901": "1234567890\u2026", "\u0645\u200c\u06cc": "\u0645\u200c\u06cc",
	} {
		if got := shown(in, 10); got != want {
			t.Errorf("%q is shown as %q, want %q", in, got, want)
		}
	}
}

func FuzzShown(f *testing.F) {
	f.Add("Sam \u202e Reed", 5)
	f.Fuzz(func(t *testing.T, s string, n int) {
		n = 1 + (n&0x7fffffff)%200
		got := shown(s, n)
		if len([]rune(got)) > n+1 || strings.ContainsAny(got, "\u202e\u202d\u2066\u2067\x00\n\r") {
			t.Errorf("%q is shown as %q", s, got)
		}
		_ = initials(got)
		_ = shown(got, n)
	})
}

// FuzzCheckObject: what is taken is JSON of the known names alone.
func FuzzCheckObject(f *testing.F) {
	for _, s := range []string{`{}`, `{"target":"a"}`, `{"target":"a","target":"b"}`, `{"a":{"target":1}}`, `[`, `{"target":"a"}x`, "{\"\u017f\":1}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if checkObject([]byte(s), []string{"target", "a"}) != nil {
			return
		}
		var m map[string]any
		if err := json.Unmarshal([]byte(s), &m); err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		for k := range m {
			if k != "target" && k != "a" {
				t.Errorf("%q: %q is taken", s, k)
			}
		}
	})
}
