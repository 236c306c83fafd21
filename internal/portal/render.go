package portal

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"strconv"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
	"github.com/seed-240d5494/caddy-impersonate/internal/problem"
	"github.com/seed-240d5494/caddy-impersonate/internal/session"
)

//go:embed templates/*.html
var templateFiles embed.FS

var templates = template.Must(template.ParseFS(templateFiles, "templates/*.html"))

// page is what every page shows around its own content.
type page struct {
	T         *texts
	Title     string
	Host      string
	Assets    assetURLs
	LogoutURL string
	Me        *face // nil: not known
	Roles     []string
	Live      *liveView
	Notices   []noticeView
	// Nav are the pages that are theirs; Waiting, how many starts of others wait for them.
	Nav     []navView
	Waiting *waitingView
}

// liveView is whose account is in use.
type liveView struct {
	Text, Mode, Left string
	Seconds          int64
}

type noticeView struct {
	Kind        string // "", "warn" or "bad"
	Title, Text string
}

// bare is a page for a session, without asking anything but the session.
func (p *portal) bare(r *http.Request, s *session.Session, title string) page {
	t := textsOf(r)
	return page{
		T: t, Title: title, Host: shown(r.Host, maxShown), Assets: urls, LogoutURL: p.LogoutURL,
		Me: t.face(&s.Claims, true),
	}
}

// pageOf is a page for who asks, with what they are to be told once: a document here counts like one of the app's.
func (p *portal) pageOf(r *http.Request, v *viewer, title string) page {
	pg := p.bare(r, v.session, title)
	pg.Me = v.t.face(v.actor.Identity, true)
	for _, role := range v.roles {
		pg.Roles = append(pg.Roles, v.t.Role(role))
	}
	if v.live != nil {
		pg.Live = p.liveOf(v.t, v.live)
	}
	pg.Nav = p.nav(r, v)
	addWaiting(r, &pg)
	if r.Method != http.MethodHead {
		notice, err := v.session.TakeNotice(r.Context())
		if err != nil {
			p.Log.WarnContext(r.Context(), "a notice could not be taken; it is told again", "error", err)
			notice = v.session.Notice()
		}
		if notice != "" {
			n := impersonation.ParseNotice(notice)
			pg.Notices = append(pg.Notices, noticeView{Text: v.t.Ended(n.Cause, shown(n.Target, maxShown))})
		}
	}
	return pg
}

func (p *portal) liveOf(t *texts, l *impersonation.Live) *liveView {
	left := l.Remaining(p.Clock.Now())
	return &liveView{
		Text: t.Using(shown(l.TargetName, maxShown), shown(l.TargetUsername, maxShown)),
		Mode: t.Mode(l.Mode), Left: t.Left(left), Seconds: int64((left + time.Second - 1) / time.Second),
	}
}

// render writes a page once it is whole: half a page with status 200 would be worse than an error.
func (p *portal) render(w http.ResponseWriter, r *http.Request, status int, name string, data any) {
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, name, data); err != nil {
		p.fail(w, r, "rendering "+name, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the client went away: nobody to tell
}

// fail answers what went wrong here. What it was is for the log, not for the page.
func (p *portal) fail(w http.ResponseWriter, r *http.Request, doing string, err error, links ...problem.Link) {
	if r.Context().Err() != nil {
		return // gone away
	}
	p.Log.ErrorContext(r.Context(), "the portal failed", "doing", doing, "error", err)
	problem.Write(w, r, unavailable(links...))
}
