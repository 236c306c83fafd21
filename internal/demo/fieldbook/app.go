// Package fieldbook is the demo's app: a small field-service system as many teams run one. It knows nothing of
// impersonation. It trusts the header Remote-User at the first request, then believes its own session cookie, as most
// apps with header login do.
package fieldbook

import (
	"crypto/rand"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// User is an account of the app's.
type User struct {
	Username, Name string
	// Role is "worker", "office" or "manager".
	Role string
	Team string
}

// Item is a step of a booking's checklist.
type Item struct {
	Text string
	Done bool
}

// Booking is a job at a customer's.
type Booking struct {
	ID        int
	Customer  string
	Address   string
	Job       string
	Worker    string // username
	At        time.Time
	Checklist []Item
	// NeedsTimesheet is a prerequisite: the worker's timesheet of the day before must be in.
	NeedsTimesheet bool
	Completed      time.Time
	CompletedBy    string
}

// Timesheet is one worker's day.
type Timesheet struct {
	Worker    string
	Day       string // 2006-01-02
	Hours     float64
	Submitted bool
}

// App serves the pages. It forgets everything when it stops.
type App struct {
	now func() time.Time
	mux *http.ServeMux

	mu         sync.Mutex
	users      map[string]User
	bookings   []*Booking
	timesheets []*Timesheet
	sessions   map[string]*session
}

type session struct {
	user   User
	csrf   string
	notice string
	bad    bool // the notice is a refusal
}

const (
	sessionCookie = "fieldbook_session"
	csrfCookie    = "fieldbook_csrf"
	maxSessions   = 10_000
	maxForm       = 16 << 10
)

//go:embed pages
var files embed.FS

var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"clock": func(t time.Time) string { return t.Format("15:04") },
	"date":  func(t time.Time) string { return t.Format("Mon 2 Jan") },
	"hours": func(h float64) string { return strconv.FormatFloat(h, 'f', -1, 64) },
}).ParseFS(files, "pages/*.html"))

// New makes the app with its users and a day's bookings.
func New(users []User, now func() time.Time) *App {
	a := &App{now: now, mux: http.NewServeMux(), users: map[string]User{}, sessions: map[string]*session{}}
	for _, u := range users {
		a.users[u.Username] = u
	}
	a.seed()
	static := http.FileServerFS(files)
	a.mux.Handle("GET /static/", http.StripPrefix("/static", rewrite(static)))
	a.mux.HandleFunc("GET /{$}", a.page(a.home))
	a.mux.HandleFunc("GET /bookings/{id}", a.page(a.booking))
	a.mux.HandleFunc("POST /bookings/{id}/checklist", a.form(a.check))
	a.mux.HandleFunc("POST /bookings/{id}/complete", a.form(a.complete))
	a.mux.HandleFunc("GET /timesheets", a.page(a.timesheetPage))
	a.mux.HandleFunc("POST /timesheets/{day}/submit", a.form(a.submitTimesheet))
	a.mux.HandleFunc("GET /account/password", a.page(func(w http.ResponseWriter, r *http.Request, s *session) {
		a.render(w, http.StatusOK, "password.html", s, nil)
	}))
	a.mux.HandleFunc("GET /api/me", a.page(func(w http.ResponseWriter, r *http.Request, s *session) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]string{"username": s.user.Username, "name": s.user.Name, "role": s.user.Role})
	}))
	return a
}

// rewrite serves pages/app.css as /static/app.css.
func rewrite(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=300")
		u := *r.URL
		u.Path = "/pages" + r.URL.Path
		if !strings.HasSuffix(u.Path, ".css") {
			http.NotFound(w, r)
			return
		}
		c := *r
		c.URL = &u
		next.ServeHTTP(w, &c)
	})
}

func (a *App) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'self'; frame-ancestors 'self'")
	h.Set("X-Content-Type-Options", "nosniff")
	a.mux.ServeHTTP(w, r)
}

func (a *App) seed() {
	day := a.now()
	at := func(days, hour, minute int) time.Time {
		return time.Date(day.Year(), day.Month(), day.Day()+days, hour, minute, 0, 0, day.Location())
	}
	done := func(texts ...string) (items []Item) {
		for _, t := range texts {
			items = append(items, Item{t, true})
		}
		return items
	}
	open := func(texts ...string) (items []Item) {
		for _, t := range texts {
			items = append(items, Item{Text: t})
		}
		return items
	}
	a.bookings = []*Booking{
		{ID: 1042, Customer: "Harbour Street Clinic", Address: "12 Harbour Street", Job: "Replace pressure valve", Worker: "sam", At: at(0, 9, 30), Checklist: done("Isolate the water supply", "Fit the new valve", "Test at 6 bar", "Photo of the plate"), NeedsTimesheet: true},
		{ID: 1043, Customer: "Orchard Primary School", Address: "3 Orchard Lane", Job: "Yearly boiler service", Worker: "sam", At: at(0, 13, 0), Checklist: open("Clean the burner", "Check the flue", "Log the readings")},
		{ID: 1044, Customer: "B. Lindqvist", Address: "88 Mill Road", Job: "Leaking radiator", Worker: "amira", At: at(0, 10, 0), Checklist: open("Find the leak", "Repair", "Refill and bleed")},
		{ID: 1045, Customer: "Café Marmalade", Address: "5 Market Square", Job: "Install water softener", Worker: "jose", At: at(0, 11, 15), Checklist: open("Check the pressure", "Install", "Explain the salt refill")},
		{ID: 1046, Customer: "Kestrel Offices", Address: "40 Quay Road", Job: "Heat pump inspection", Worker: "yuki", At: at(1, 8, 45), Checklist: open("Read the error log", "Measure the flow")},
	}
	for _, w := range []string{"sam", "amira", "jose", "yuki", "supervisor"} {
		a.timesheets = append(a.timesheets,
			&Timesheet{Worker: w, Day: at(-2, 0, 0).Format(time.DateOnly), Hours: 8, Submitted: true},
			&Timesheet{Worker: w, Day: at(-1, 0, 0).Format(time.DateOnly), Hours: 7.5, Submitted: w != "sam"},
			&Timesheet{Worker: w, Day: at(0, 0, 0).Format(time.DateOnly), Hours: 0})
	}
}

// signIn finds the session: by the app's own cookie first, then by the header of the gateway in front.
func (a *App) signIn(w http.ResponseWriter, r *http.Request) *session {
	if c, err := r.Cookie(sessionCookie); err == nil {
		if s := a.sessions[c.Value]; s != nil {
			return s
		}
	}
	u, ok := a.users[r.Header.Get("Remote-User")]
	if !ok {
		return nil
	}
	if len(a.sessions) >= maxSessions {
		clear(a.sessions)
	}
	id := random()
	s := &session{user: u, csrf: random()}
	a.sessions[id] = s
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Value: id, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	http.SetCookie(w, &http.Cookie{Name: csrfCookie, Value: s.csrf, Path: "/", SameSite: http.SameSiteLaxMode})
	return s
}

func (a *App) page(f func(http.ResponseWriter, *http.Request, *session)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "private, max-age=30")
		a.mu.Lock()
		defer a.mu.Unlock()
		s := a.signIn(w, r)
		if s == nil {
			http.Error(w, "Fieldbook does not know you. Log in through the gateway.", http.StatusUnauthorized)
			return
		}
		f(w, r, s)
	}
}

// form is page for posts: with the app's own protection against cross-site requests.
func (a *App) form(f func(http.ResponseWriter, *http.Request, *session)) http.HandlerFunc {
	return a.page(func(w http.ResponseWriter, r *http.Request, s *session) {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if err := r.ParseForm(); err != nil {
			http.Error(w, "unreadable form", http.StatusBadRequest)
			return
		}
		c, err := r.Cookie(csrfCookie)
		if token := r.PostForm.Get("csrf"); err != nil || token != s.csrf || c.Value != s.csrf {
			http.Error(w, "This form is out of date. Go back, reload the page and try again.", http.StatusForbidden)
			return
		}
		f(w, r, s)
	})
}

func (a *App) home(w http.ResponseWriter, _ *http.Request, s *session) {
	var mine []*Booking
	for _, b := range a.bookings {
		if s.user.Role != "worker" || b.Worker == s.user.Username {
			mine = append(mine, b)
		}
	}
	a.render(w, http.StatusOK, "home.html", s, map[string]any{"Bookings": mine, "All": s.user.Role != "worker", "Users": a.users})
}

func (a *App) find(r *http.Request, s *session) *Booking {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil {
		return nil
	}
	for _, b := range a.bookings {
		if b.ID == id && (s.user.Role != "worker" || b.Worker == s.user.Username) {
			return b
		}
	}
	return nil
}

func (a *App) booking(w http.ResponseWriter, r *http.Request, s *session) {
	b := a.find(r, s)
	if b == nil {
		a.render(w, http.StatusNotFound, "missing.html", s, nil)
		return
	}
	a.render(w, http.StatusOK, "booking.html", s, map[string]any{
		"Booking": b, "Worker": a.users[b.Worker], "Missing": a.missing(b), "Mine": b.Worker == s.user.Username,
	})
}

// missing is the prerequisite a booking lacks.
func (a *App) missing(b *Booking) *Timesheet {
	if !b.NeedsTimesheet {
		return nil
	}
	before := b.At.AddDate(0, 0, -1).Format(time.DateOnly)
	for _, t := range a.timesheets {
		if t.Worker == b.Worker && t.Day == before && !t.Submitted {
			return t
		}
	}
	return nil
}

func (a *App) check(w http.ResponseWriter, r *http.Request, s *session) {
	b := a.find(r, s)
	i, err := strconv.Atoi(r.PostForm.Get("item"))
	if b == nil || b.Worker != s.user.Username || err != nil || i < 0 || i >= len(b.Checklist) || !b.Completed.IsZero() {
		a.render(w, http.StatusNotFound, "missing.html", s, nil)
		return
	}
	b.Checklist[i].Done = !b.Checklist[i].Done
	http.Redirect(w, r, fmt.Sprintf("/bookings/%d", b.ID), http.StatusSeeOther)
}

func (a *App) complete(w http.ResponseWriter, r *http.Request, s *session) {
	b := a.find(r, s)
	if b == nil || b.Worker != s.user.Username {
		a.render(w, http.StatusNotFound, "missing.html", s, nil)
		return
	}
	for _, i := range b.Checklist {
		if !i.Done {
			s.notice, s.bad = "Not completed: the checklist has open steps.", true
		}
	}
	if s.notice == "" && a.missing(b) != nil {
		s.notice, s.bad = "Not completed: a prerequisite is missing. Ask the office.", true
	}
	if s.notice != "" {
		a.render(w, http.StatusUnprocessableEntity, "booking.html", s, map[string]any{
			"Booking": b, "Worker": a.users[b.Worker], "Missing": a.missing(b), "Mine": true,
		})
		return
	}
	b.Completed, b.CompletedBy = a.now(), s.user.Username
	s.notice = "Booking completed."
	http.Redirect(w, r, fmt.Sprintf("/bookings/%d", b.ID), http.StatusSeeOther)
}

func (a *App) timesheetPage(w http.ResponseWriter, _ *http.Request, s *session) {
	var mine []*Timesheet
	for _, t := range a.timesheets {
		if t.Worker == s.user.Username {
			mine = append(mine, t)
		}
	}
	a.render(w, http.StatusOK, "timesheets.html", s, map[string]any{"Timesheets": mine, "Today": a.now().Format(time.DateOnly)})
}

func (a *App) submitTimesheet(w http.ResponseWriter, r *http.Request, s *session) {
	for _, t := range a.timesheets {
		if t.Worker == s.user.Username && t.Day == r.PathValue("day") && !t.Submitted {
			t.Submitted = true
			s.notice = "Timesheet submitted."
		}
	}
	http.Redirect(w, r, "/timesheets", http.StatusSeeOther)
}

func (a *App) render(w http.ResponseWriter, status int, name string, s *session, data map[string]any) {
	if data == nil {
		data = map[string]any{}
	}
	data["Me"], data["CSRF"], data["Notice"], data["Bad"] = s.user, s.csrf, s.notice, s.bad
	s.notice, s.bad = "", false
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_ = pages.ExecuteTemplate(w, name, data) // the client went away
}

func random() string {
	var b [18]byte
	if _, err := rand.Read(b[:]); err != nil {
		panic(err) // crypto/rand does not fail
	}
	return base64.RawURLEncoding.EncodeToString(b[:])
}
