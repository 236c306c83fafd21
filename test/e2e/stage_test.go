package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/demo/fieldbook"
	"github.com/seed-240d5494/caddy-impersonate/internal/demo/provider"
	"github.com/seed-240d5494/caddy-impersonate/test/freeport"
)

// role is somebody of the demo's company.
type role struct {
	username, name, team string
	groups               []string
}

var company = []role{
	{"owner", "Olivia Hart", "head office", []string{"account-owners", "staff"}},
	{"admin", "Alice Ng", "head office", []string{"admins", "staff"}},
	{"second", "Nina Bauer", "head office", []string{"admins", "staff"}},
	{"supervisor", "Priya Nair", "north", []string{"supervisors", "staff"}},
	{"sam", "Sam Reed", "north", []string{"fieldworkers", "team-north"}},
	{"office", "Tom Becker", "head office", []string{"office", "staff"}},
	{"former", "Frank Otto", "north", []string{"fieldworkers", "team-north"}},
	{"auditor", "Mei Tan", "head office", []string{"auditors"}},
	{"jose", "José Márquez", "south", []string{"fieldworkers", "team-south"}},
	{"yuki", "佐藤 ゆき", "south", []string{"fieldworkers", "team-south"}},
	{"amira", "Amira Haddad", "north", []string{"fieldworkers", "team-north"}},
	{"lena", "Lena Vogel", "head office", []string{"office", "staff"}},
	{"dmitri", "Дмитрий Орлов", "south", []string{"fieldworkers", "team-south"}},
}

const (
	firstNames = "Karim Katja Kenji Kofi Lara Leon Lucia Luka Mads Maria Marek Milan Nadia Nils Noor Nora Oskar Otis Paula Pedro Petra Quinn Rafael Rosa Ruben Ruth Sanna Selma Simon Tariq Tessa Theo Uma Ursula Vera Viktor Wanda Willem Yara Yusuf Zita Zoe"
	lastNames  = "Abel Adler Aziz Baker Brandt Brun Castro Cohen Costa Dahl Dubois Duran Eriksen Evans Fischer Flores Gomez Gray Haas Horvat Ibrahim Ito Jansen Jung Kaya Keller Kim Lind Lopez Meyer Moreau Nagy Novak Okafor Olsen Park Petrov Quist Rao Rossi Sato Silva Tran Turner Ueda Varga Vega Weber Wolf Yilmaz Young Zeman"
)

// stage is a gateway with everything on, before the demo's app, and a day behind it: somebody's account was used and
// is in use, starts wait for a second person and for the target, one was approved, refused, has expired, there was an
// emergency, and a target objected. Addresses in scenes name what there is by {these}.
type stage struct {
	*parts
	t     *testing.T
	gate  *inProcess
	roles map[string]*person
	names *strings.Replacer
}

// deskCaddyfile begins the configuration of a gateway before the demo's people. It wants directory, issuer and secret.
const deskCaddyfile = `{
	admin off
	persist_config off
	log {
		output file %[1]s/caddy.log
	}
	impersonate {
		state sqlite %[1]s/state.db
		oidc {
			issuer        %[2]s
			client_id     gateway
			client_secret %[3]s
			scopes        openid profile email groups
		}
		directory file %[1]s/users.yaml
		role owner   group account-owners
		role auditor group auditors
		protect group account-owners admins auditors
`

const stageCaddyfile = deskCaddyfile + `		policy field {
			actor     group admins
			target    group fieldworkers
			mode      full read_only
			duration  30m
			extension 15m 2
			require   reason
			ticket {
				example HD-2231
				url     https://help.fieldbook.example/{ticket}
			}
		}
		policy office {
			actor    group admins
			target   group office
			mode     read_only full
			duration 15m
			require  reason ticket approval
			approvers group account-owners
			objection lock
			emergency
		}
		policy supervisors {
			actor    group supervisors
			target   own_groups team-*
			target   group team-north
			mode     read_only
			duration 15m
			require  reason consent
		}
		audit {
			journal %[1]s/journal
			sqlite  %[1]s/audit.db
		}
	}
}
http://%[4]s {
	impersonate {
		identity Remote-User   {impersonate.user.username}
		identity Remote-Email  {impersonate.user.email}
		identity Remote-Name   {impersonate.user.name}
		identity Remote-Groups {impersonate.user.groups}
		action "Completed booking"        POST /bookings/*/complete
		action "Looked at a booking"      GET  /bookings/*
		action "Looked at the timesheets" GET  /timesheets
		deny   /account/password*
		public /static/*
		banner {
			text "%[5]s"
		}
	}
	reverse_proxy %[6]s
}
`

const bannerText = "{impersonate.actor.name} viewing as {impersonate.user.name}"

// newStage sets it up, with as many more field workers and office staff, at most 2,184.
func newStage(t *testing.T, more int) *stage {
	t.Helper()
	s := raise(t, company, more, stageConfig(bannerText))
	ask := func(p *person, body string) string {
		t.Helper()
		res, answer := p.do(http.MethodPost, "/.impersonate/api/v1/impersonations", body)
		var got struct{ ID string }
		if err := json.Unmarshal([]byte(answer), &got); err != nil || got.ID == "" || res.StatusCode/100 != 2 {
			t.Fatalf("%s answered %d: %s", body, res.StatusCode, answer)
		}
		return got.ID
	}
	post := func(p *person, path, form string) {
		t.Helper()
		if res, answer := p.do(http.MethodPost, path, form, formBody); res.StatusCode >= 400 {
			t.Fatalf("%s answered %d: %s", path, res.StatusCode, answer)
		}
	}
	look := func(p *person, paths ...string) {
		for _, path := range paths {
			p.do(http.MethodGet, path, "", navigation)
		}
	}
	expired := ask(logIn(t, s.origin(), "admin"), `{"target":"lena","reason":"The week's plan has a gap","ticket":"HD-2207"}`)
	s.gate.advance(65 * time.Minute)
	for _, name := range []string{"owner", "admin", "second", "supervisor", "sam", "office", "auditor", "jose"} {
		s.roles[name] = logIn(t, s.origin(), name)
	}
	s.roles["impersonating"] = logIn(t, s.origin(), "admin")
	s.roles["looking"] = logIn(t, s.origin(), "admin")
	s.roles["returned"] = logIn(t, s.origin(), "admin")
	admin, second, owner := s.roles["admin"], s.roles["second"], s.roles["owner"]

	// What is over.
	used := ask(admin, `{"target":"sam","reason":"Sam called: booking 1042 won't complete","ticket":"HD-2231"}`)
	look(admin, "/", "/bookings/1042", "/timesheets", "/account/password")
	admin.back()
	ask(second, `{"target":"office","reason":"Nobody can reach Tom, and the lift is stuck with people in it","ticket":"HD-2240","emergency":true}`)
	look(second, "/", "/bookings/1042")
	second.back()
	objected := ask(second, `{"target":"sam","reason":"Checking whether the new timesheet works","mode":"read_only"}`)
	look(second, "/timesheets")
	second.back()
	post(s.roles["sam"], "/.impersonate/history/objection", "impersonation="+objected)

	// What waits, and what became of it.
	pending := ask(admin, `{"target":"lena","reason":"Lena's plan for Monday has two crews at one door","ticket":"HD-2244"}`)
	approved := ask(second, `{"target":"lena","reason":"A look at the plan for Monday","ticket":"HD-2245"}`)
	post(owner, "/.impersonate/requests/"+approved+"/approve", "note=Until+noon+please")
	refused := ask(second, `{"target":"office","reason":"I would like to see what Tom sees","ticket":"HD-2246"}`)
	post(owner, "/.impersonate/requests/"+refused+"/refuse", "note=Ask+Tom+himself")
	consent := ask(s.roles["supervisor"], `{"target":"sam","reason":"Going through your week together"}`)

	// What is live.
	ask(s.roles["impersonating"], `{"target":"sam","reason":"Sam called: booking 1042 won't complete","ticket":"HD-2231"}`)
	look(s.roles["impersonating"], "/")
	ask(s.roles["looking"], `{"target":"jose","reason":"José's tour ends at the wrong depot","mode":"read_only"}`)
	s.names = strings.NewReplacer("{expired}", expired, "{used}", used, "{pending}", pending, "{approved}", approved, "{refused}", refused, "{consent}", consent)
	waitFor(t, 3*time.Minute, "the record has it all", func() bool {
		_, answer := s.roles["auditor"].do(http.MethodGet, "/.impersonate/api/v1/audit/impersonations?target=jose", "")
		return strings.Contains(answer, `"target_username":"jose"`)
	})
	return s
}

// stageConfig is the Caddyfile of a stage with this banner.
func stageConfig(banner string) func(*parts) {
	return func(p *parts) {
		p.Config = fmt.Sprintf(stageCaddyfile, p.Dir, p.Issuer, clientSecret, p.Addr, banner, p.App)
	}
}

// raise starts provider, app and gateway for these people; configure writes the Caddyfile.
func raise(t *testing.T, people []role, more int, configure func(*parts)) *stage {
	t.Helper()
	p := &parts{Dir: t.TempDir(), Addr: freeport.Addr(t), Scheme: "http"}
	p.UsersFile = filepath.Join(p.Dir, "users.yaml")
	var accounts []provider.Account
	var users []fieldbook.User
	type entry struct {
		ID       string   `json:"id"`
		Username string   `json:"username"`
		Name     string   `json:"name"`
		Email    string   `json:"email"`
		Groups   []string `json:"groups"`
		Active   bool     `json:"active"`
	}
	var entries []entry
	for i, r := range people {
		id, email := fmt.Sprintf("u-%d", 100+i), r.username+"@fieldbook.example"
		accounts = append(accounts, provider.Account{Subject: id, Username: r.username, Password: "demo", Name: r.name, Email: email, Groups: r.groups})
		users = append(users, fieldbook.User{Username: r.username, Name: r.name, Role: "worker", Team: r.team})
		entries = append(entries, entry{id, r.username, r.name, email, r.groups, r.username != "former"})
	}
	for i := range more { // after those of the company, by name
		firsts, lasts := strings.Fields(firstNames), strings.Fields(lastNames)
		first, last := firsts[i/len(lasts)%len(firsts)], lasts[i%len(lasts)]
		username := strings.ToLower(first + "." + last)
		entries = append(entries, entry{fmt.Sprintf("m-%d", i), username, first + " " + last, username + "@fieldbook.example", []string{[]string{"fieldworkers", "office"}[i%7/6], []string{"team-north", "team-south"}[i%2]}, i%41 != 0})
	}
	list, err := json.Marshal(map[string]any{"users": entries}) // JSON is YAML
	if err != nil {
		t.Fatal(err)
	}
	write(t, p.UsersFile, string(list))

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.Issuer = "http://" + l.Addr().String()
	op, err := provider.New(provider.Options{
		Issuer: p.Issuer, ClientID: "gateway", ClientSecret: clientSecret, Accounts: accounts,
		RedirectURIs: []string{p.origin() + "/.impersonate/callback"}, PostLogoutURIs: []string{p.origin() + "/.impersonate/logged-out"},
		Now: func() time.Time {
			if running == nil {
				return time.Now()
			}
			return running.manual.Now()
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	idp := &httptest.Server{Listener: l, Config: &http.Server{Handler: op, ReadHeaderTimeout: time.Minute}}
	idp.Start()
	t.Cleanup(idp.Close)
	app := httptest.NewServer(fieldbook.New(users, time.Now))
	t.Cleanup(app.Close)
	p.App = strings.TrimPrefix(app.URL, "http://")
	configure(p)
	return &stage{parts: p, t: t, gate: startInProcess(t, p), roles: map[string]*person{}, names: strings.NewReplacer()}
}

func formBody(r *http.Request) {
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", r.URL.Scheme+"://"+r.URL.Host)
	navigation(r)
}

// address is where a scene plays.
func (s *stage) address(path string) string { return s.origin() + s.names.Replace(path) }
