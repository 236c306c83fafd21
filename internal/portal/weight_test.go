package portal_test

import (
	"net/http"
	"net/url"
	"regexp"
	"testing"

	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

// TestPagesWeighLittle: a page with all it loads is less than 60 kB as a browser is sent it: what is loaded is compressed, the
// page itself is not.
func TestPagesWeighLittle(t *testing.T) {
	users := crew()
	for i := range 100 {
		users = append(users, user("worker"+string(rune('a'+i/26))+string(rune('a'+i%26)), "Somebody with a Long Enough Name", true, "fieldworkers", "north", "day shift"))
	}
	g := newRig(t, users...)
	admin, owner := g.login("admin"), g.login("owner")
	for _, u := range users[len(users)-state.MaxFavourites:] {
		owner.post("/.impersonate/favourites", url.Values{"add": {u.Username}}).want(t, http.StatusSeeOther)
	}
	admin.begin("sam")
	link := regexp.MustCompile(`(?:href|src)="(/\.impersonate/assets/[^"]+)"`)
	for path, b := range map[string]*browser{"/.impersonate/": owner, "/.impersonate/?target=sam": g.login("admin"), "/.impersonate/owner": owner, "/.impersonate/stop": admin, "/.impersonate/nothing": owner} {
		page := b.get(path).body
		total := len(page)
		links := link.FindAllStringSubmatch(page, -1)
		if len(links) < 2 {
			t.Errorf("%s: loads %d files: no style?", path, len(links))
		}
		for _, l := range links {
			res := b.do("GET", l[1], "", "Accept-Encoding", "br, gzip;q=0.8").want(t, 200)
			if res.Header.Get("Content-Encoding") != "gzip" {
				t.Errorf("%s is not compressed", l[1])
			}
			total += len(res.body)
		}
		if t.Logf("%s: %d bytes", path, total); total > 60_000 {
			t.Errorf("%s: %d bytes", path, total)
		}
	}
}
