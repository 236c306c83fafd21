package portal_test

import (
	"regexp"
	"testing"
)

// TestPagesWeighLittle: a page with all it loads is less than 60 kB, uncompressed.
func TestPagesWeighLittle(t *testing.T) {
	users := crew()
	for i := range 100 {
		users = append(users, user("worker"+string(rune('a'+i/26))+string(rune('a'+i%26)), "Somebody with a Long Enough Name", true, "fieldworkers", "north", "day shift"))
	}
	g := newRig(t, users...)
	admin, owner := g.login("admin"), g.login("owner")
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
			total += len(b.get(l[1]).want(t, 200).body)
		}
		if t.Logf("%s: %d bytes", path, total); total > 60_000 {
			t.Errorf("%s: %d bytes", path, total)
		}
	}
}
