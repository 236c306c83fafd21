package portal_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

func TestOwnerEndsWhatIsLive(t *testing.T) {
	g := newRig(t)
	admin, owner := g.login("admin"), g.login("owner")
	owner.get("/.impersonate/owner").want(t, 200, "Nobody is in somebody else’s account")
	nasty := `"><img src=x onerror=alert(1)>`
	admin.post("/.impersonate/start", url.Values{"target": {"sam"}, "reason": {nasty}}).want(t, http.StatusSeeOther)
	page := owner.get("/.impersonate/owner").want(t, 200, "Alice Ng (admin)", "Sam Reed (sam)", "30 minutes left", "Full access", "support", "<h3 dir=\"auto\">team</h3>")
	sound(t, "owner", page.body)
	if strings.Contains(page.body, "<img") || strings.Contains(page.body, "%!") {
		t.Error("what was written is markup")
	}
	// Others are not shown it, and end nothing.
	form := formTo(t, page.body, "/.impersonate/owner/end")
	for _, who := range []string{"admin", "auditor", "sam"} {
		b := g.login(who)
		b.get("/.impersonate/owner").want(t, 403)
		b.post("/.impersonate/owner/end", form).want(t, 403)
		if strings.Contains(b.get("/.impersonate/").body, `href="/.impersonate/owner"`) {
			t.Errorf("%s is led to it", who)
		}
	}
	owner.get("/.impersonate/").want(t, 200, `<a href="/.impersonate/" aria-current="page">People</a>`, `<a href="/.impersonate/owner">Owner</a>`)
	owner.post("/.impersonate/owner/end", url.Values{"id": {"../x"}}).want(t, 404)
	owner.post("/.impersonate/owner/end", url.Values{"id": {strings.Repeat("0", 32)}}).want(t, 404)
	owner.do("POST", "/.impersonate/owner/end", form.Encode(), "Content-Type", "application/x-www-form-urlencoded", "Origin", "https://evil.example").want(t, 403, "cross-origin")
	if admin.json("GET", api+"me", "").object(t)["impersonation"] == nil {
		t.Fatal("ended by somebody who may not")
	}
	owner.post("/.impersonate/owner/end", form).to(t, http.StatusSeeOther, "/.impersonate/owner")
	owner.post("/.impersonate/owner/end", form).to(t, http.StatusSeeOther, "/.impersonate/owner") // pressed twice
	if admin.json("GET", api+"me", "").object(t)["impersonation"] != nil {
		t.Error("still impersonating")
	}
	ends := g.events.of(audit.EventImpersonationEnded)
	if len(ends) != 1 || !strings.Contains(ends[0].Detail, "revoked") {
		t.Errorf("recorded %+v", ends)
	}
}

// TestEveryLanguage: the frame, the list, the question, a refusal and a problem, in five languages.
func TestEveryLanguage(t *testing.T) {
	g := newRig(t)
	b := g.login("admin")
	owner := g.login("owner")
	for language, want := range map[string][]string{
		"en": {"Log in as another user", "Log in as Sam Reed?", "Owners and other protected accounts", "Nothing here", "For owners"},
		"de": {"Als jemand anderes anmelden", "Als Sam Reed anmelden?", "andere geschützte Konten", "Hier ist nichts", "Verwaltung"},
		"fr": {"Se connecter en tant que quelqu’un d’autre", "Se connecter en tant que Sam Reed ?", "autres comptes protégés", "Rien ici", "Gestion"},
		"es": {"Entrar como otra persona", "¿Entrar como Sam Reed?", "otras cuentas protegidas", "Aquí no hay nada", "Gestión"},
		"ja": {"他のユーザーとしてログイン", "Sam Reedさんとしてログインしますか", "保護されたアカウント", "何もありません", "管理"},
	} {
		page := func(b *browser, path string) string {
			res := b.do("GET", path, "", "Accept", "text/html", "Sec-Fetch-Mode", "navigate", "Accept-Language", language)
			if !strings.Contains(res.body, `<html lang="`+language+`">`) {
				t.Errorf("%s %s: not in that language", language, path)
			}
			return res.body
		}
		for i, got := range []string{page(b, "/.impersonate/"), page(b, "/.impersonate/confirm?target=sam"), page(b, "/.impersonate/confirm?target=owner"), page(b, "/.impersonate/nothing"), page(owner, "/.impersonate/owner")} {
			if !strings.Contains(got, want[i]) {
				t.Errorf("%s: %q is not in %s", language, want[i], got)
			}
		}
	}
}
