package portal

import (
	"net/http"
	"strings"

	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
)

// navItem is an area of pages in the navigation. It is drawn for those whose it is, once the area has registered a
// route at its address; its words are in texts.Pages. A count that is not zero is drawn beside it.
type navItem struct {
	path  string // below /.impersonate/
	whose func(*viewer) bool
	count func(*portal, *http.Request, *viewer) int
}

// navItems are in the order they are drawn.
var navItems = []navItem{
	{path: "", whose: (*viewer).mayList},
	{path: "requests", whose: func(v *viewer) bool { return v.rules.Policy.Agreed() }, count: (*portal).countWaiting},
	{path: "history"},
	{path: "audit", whose: (*viewer).overseer},
	{path: "review", whose: (*viewer).overseer},
	{path: "owner", whose: (*viewer).owner},
}

// navView is an entry as it is drawn.
type navView struct {
	Href, Label string
	Here        bool
	Count       int
}

// nav are the pages of whoever asks. A single one is no choice, and is not drawn.
func (p *portal) nav(r *http.Request, v *viewer) []navView {
	var out []navView
	for _, item := range navItems {
		href := root + "/" + item.path
		if p.routes[href] == nil || item.whose != nil && !item.whose(v) {
			continue
		}
		n := navView{Href: href, Label: v.t.Pages[item.path], Here: r.URL.Path == href || item.path != "" && strings.HasPrefix(r.URL.Path, href+"/")}
		if item.count != nil {
			n.Count = item.count(p, r, v)
		}
		out = append(out, n)
	}
	return out
}

func (v *viewer) owner() bool { return v.has(policy.RoleOwner) }

// countWaiting is how many starts wait for this person.
func (p *portal) countWaiting(r *http.Request, v *viewer) int {
	n, err := p.Impersonations.Waiting(r.Context(), v.session)
	if err != nil {
		p.Log.WarnContext(r.Context(), "requests can't be counted", "error", err)
	}
	return n
}
