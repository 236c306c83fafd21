package portal

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
)

const (
	pageRows = 25  // of a page of the list
	maxQuery = 200 // bytes of a search; longer finds nobody anyway
)

type homePage struct {
	page
	May, CanOnly, Only bool
	Lead, Query        string
	Next, ReturnTo     string
	Quick              *quickView
	List               listView
	Confirm            *confirmView
	Mine               *mineView // the account in use
}

// listView is the list, or the piece of it that the script asks for.
type listView struct {
	T              *texts
	Q              *quickTexts
	Here           string // this list's address
	Count          string
	Rows           []rowView
	First, More    string // addresses
	Next, ReturnTo string
	Empty          *emptyView
}

type rowView struct {
	*face
	Target string // exactly as the directory has it
	Why    string // empty: they may
	Nested bool   // the reason is the same for everybody, and said once above
	Needs  string // what a start needs
	// Starred: they are a favourite. Star: they can become one, or stop being one.
	Starred, Star bool
	t             *texts
}

// rowOf is somebody as a row; star: they can be marked.
func (v *viewer) rowOf(f foundRow, star, starred bool) rowView {
	row := rowView{face: v.t.face(&f.user.Identity, f.user.Active), Target: f.user.Username, Star: star, Starred: starred, t: v.t}
	if f.refusal != nil {
		row.Why, row.Nested = v.t.Refusal(f.refusal), f.refusal.Code == policy.RefusedNested
	}
	row.Needs = quickLanguages.In(v.t.Lang).inWords(f.needs)
	return row
}

// rowIn is a row with the words that a star or a tile needs.
type rowIn struct {
	rowView
	T *texts
	Q *quickTexts
}

// In is the row in a language.
func (r rowView) In(q *quickTexts) rowIn { return rowIn{r, r.t, q} }

type emptyView struct{ Title, Text, Href, Link string }

// view is what the list's address says.
type view struct {
	query, cursor  string
	only           bool
	next, returnTo string
}

func viewOf(q url.Values) view {
	a := askOf(q)
	return view{query: strings.TrimSpace(cut(q.Get("q"), maxQuery)), cursor: q.Get("cursor"), only: q.Get("only") != "", next: a.next, returnTo: a.returnTo}
}

// href is the address of this list, from cursor on.
func (l view) href(cursor string) string {
	q := url.Values{}
	set := func(k, v string) {
		if v != "" {
			q.Set(k, v)
		}
	}
	set("q", l.query)
	if l.only {
		q.Set("only", "1")
	}
	set("next", l.next)
	set("return_to", l.returnTo)
	set("cursor", cursor)
	if len(q) == 0 {
		return root + "/"
	}
	return root + "/?" + q.Encode()
}

func (p *portal) serveHome(w http.ResponseWriter, r *http.Request, v *viewer) {
	q := r.URL.Query()
	l := viewOf(q)
	l.only = l.only && v.may && v.live == nil
	d := homePage{May: v.mayList(), CanOnly: v.may && v.live == nil, Only: l.only, Query: l.query, Next: l.next, ReturnTo: l.returnTo, Lead: v.t.Lead}
	if !v.may {
		d.Lead = v.t.ReadsOnlyText
	}
	if d.May {
		if q.Get("quick") != "" && q.Get("part") != "" {
			p.serveQuick(w, r, v)
			return
		}
		_, marks, err := p.marks(r.Context(), v)
		if err != nil {
			p.fail(w, r, "listing people", err)
			return
		}
		list, err := p.list(v, l, marks)
		if err != nil {
			http.Redirect(w, r, l.href(""), http.StatusSeeOther) // a cursor of before a reload, or made up
			return
		}
		if q.Get("part") != "" {
			p.render(w, r, http.StatusOK, "list", list)
			return
		}
		d.List = list
		if l.query == "" && l.cursor == "" && !l.only {
			if d.Quick, err = p.quick(r.Context(), v); err != nil {
				p.fail(w, r, "listing people", err)
				return
			}
		}
		if a := askOf(q); a.target != "" {
			d.Confirm = p.confirm(r, v, a)
			if a.returnTo == "" && d.Confirm.Form {
				d.Confirm.ReturnTo = l.href("")
			}
		}
	}
	d.page = p.pageOf(r, v, v.t.Heading)
	if v.live != nil {
		d.Mine = p.mineOf(v)
	}
	if !d.May {
		d.Title = v.t.NotAllowedTitle
	}
	d.Notices = append(d.Notices, p.sourceNotices(v)...)
	p.render(w, r, http.StatusOK, "home", d)
}

// serveQuick is the piece that the script asks for when a star was pressed.
func (p *portal) serveQuick(w http.ResponseWriter, r *http.Request, v *viewer) {
	d, err := p.quick(r.Context(), v)
	if err != nil {
		p.fail(w, r, "listing people", err)
		return
	}
	p.render(w, r, http.StatusOK, "quick", d)
}

// list is one page of the list, each row with its decision.
func (p *portal) list(v *viewer, l view, marks marked) (listView, error) {
	t := v.t
	found, err := v.find(l.query, l.only, l.cursor, pageRows, p.Clock.Now())
	if err != nil {
		return listView{}, err
	}
	out := listView{T: t, Q: quickLanguages.In(t.Lang), Here: l.href(l.cursor), Next: l.next, ReturnTo: l.returnTo}
	if out.ReturnTo == "" && (l.query != "" || l.only) {
		out.ReturnTo = l.href("")
	}
	for _, f := range found.rows {
		starred := marks.has(f.user.Username)
		out.Rows = append(out.Rows, v.rowOf(f, p.Favourites != nil && (starred || f.refusal == nil && v.may), starred))
	}
	if found.next != "" {
		out.More = l.href(found.next)
	}
	query := shown(l.query, maxShown)
	switch {
	case l.cursor != "":
		out.First = l.href("")
		out.Count = t.NextPart(len(out.Rows))
	case l.only:
		out.Count = t.CountMine(len(out.Rows), found.next != "", query)
	default:
		out.Count = t.Count(found.total, query)
	}
	if len(out.Rows) == 0 {
		out.Empty = p.empty(v, l, found)
	}
	return out, nil
}

// empty says why there is nobody, and what to do about it.
func (p *portal) empty(v *viewer, l view, f found) *emptyView {
	t := v.t
	everyone := l
	everyone.only, everyone.cursor = false, ""
	switch {
	case f.next != "":
		return &emptyView{Title: t.EmptyTitle, Text: t.EndOfPart}
	case l.only && l.query == "":
		return &emptyView{Title: t.EmptyTitle, Text: t.NobodyMine, Href: everyone.href(""), Link: t.ShowAll}
	case l.only:
		return &emptyView{Title: t.EmptyTitle, Text: t.EmptyMine, Href: everyone.href(""), Link: t.SearchAll}
	case l.query != "":
		return &emptyView{Title: t.EmptyTitle, Text: t.EmptyText, Href: view{next: l.next, returnTo: l.returnTo}.href(""), Link: t.ShowAll}
	case v.brokenSources() > 0:
		return &emptyView{Title: t.NoDirectoryTitle, Text: t.NoDirectoryText}
	}
	return &emptyView{Title: t.NobodyTitle, Text: t.NobodyText}
}

// sourceNotices tell that the list may be out of date; owners also see which source it is.
func (p *portal) sourceNotices(v *viewer) []noticeView {
	if !v.mayList() || v.brokenSources() == 0 {
		return nil
	}
	n := noticeView{Kind: "warn", Title: v.t.StaleTitle, Text: v.t.StaleText}
	if v.has(policy.RoleOwner) {
		for _, s := range v.rules.Directory.Status() {
			if s.Err != nil {
				n.Text += " " + shown(s.Name+": "+s.Err.Error(), 3*maxShown)
			}
		}
	}
	return []noticeView{n}
}

func (v *viewer) brokenSources() int {
	n := 0
	for _, s := range v.rules.Directory.Status() {
		if s.Err != nil {
			n++
		}
	}
	return n
}
