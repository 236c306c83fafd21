package problem

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestLanguages(t *testing.T) {
	for english, in := range translations {
		for i, text := range in {
			if text == "" || text == english && len(english) > 20 {
				t.Errorf("%q has no translation %d", english, i)
			}
		}
	}
	p := &Problem{Code: "not-found", Status: http.StatusNotFound, Title: "Not found", Detail: "Somebody's own words.", Links: []Link{Return}}
	for accept, want := range map[string][]string{
		"":   {`<html lang="en">`, "<title>Not found</title>", "<p>Somebody&#39;s own words.</p>", "Return to my account"},
		"de": {`<html lang="de">`, "<title>Nicht gefunden</title>", `<p lang="en">Somebody&#39;s own words.</p>`, "Zurück zu meinem Konto"},
		"ja": {`<html lang="ja">`, "見つかりません", "自分のアカウントに戻る"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept", "text/html")
		r.Header.Set("Accept-Language", accept)
		w := httptest.NewRecorder()
		Write(w, r, p)
		for _, part := range want {
			if !strings.Contains(w.Body.String(), part) {
				t.Errorf("%q: %q is not in %s", accept, part, w.Body)
			}
		}
		if !strings.Contains(strings.Join(w.Header().Values("Vary"), ", "), "Accept-Language") {
			t.Error("a cache may mix up languages")
		}
	}
	// What a caller knows better than the table.
	p.InWords = func(language string) string { return map[string]string{"en": "A.", "fr": "B."}[language] }
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Accept-Language", "fr")
	w := httptest.NewRecorder()
	Write(w, r, p)
	if !strings.Contains(w.Body.String(), "<p>B.</p>") {
		t.Error(w.Body)
	}
}
