package lang

import "testing"

func TestOf(t *testing.T) {
	for accept, want := range map[string]string{
		"":                         "en",
		"de":                       "de",
		"DE-at, en;q=0.5":          "de",
		"it, fr;q=0.3, es;q=0.7":   "es",
		"it":                       "en",
		"ja;q=0":                   "en",
		"ja;q=x, de;q=0.1":         "de",
		"fr-CH, fr;q=0.9, de;q=.8": "fr",
		"*":                        "en",
	} {
		if got := Of(accept); got != want {
			t.Errorf("%q: got %s, want %s", accept, got, want)
		}
	}
	words := Texts[string]{"en": "yes", "de": "ja"}
	if words.In("de") != "ja" || words.In("fr") != "yes" {
		t.Error("the wrong words")
	}
}
