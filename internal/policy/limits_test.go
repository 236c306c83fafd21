package policy

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
)

func TestHours(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	const h = time.Hour
	work := Hours{Days: officeHours.Days, From: 8 * h, To: 18 * h, In: berlin}
	night := Hours{Days: [7]bool{time.Friday: true}, From: 22 * h, To: 6 * h, In: berlin}
	small := Hours{Days: [7]bool{time.Sunday: true}, From: 2 * h, To: 3 * h, In: berlin}
	for at, want := range map[string][3]bool{ // work, night, small
		"2026-03-02T07:59:59+01:00": {false, false, false}, // a Monday
		"2026-03-02T08:00:00+01:00": {true, false, false},
		"2026-03-02T17:59:59+01:00": {true, false, false},
		"2026-03-02T18:00:00+01:00": {false, false, false},
		"2026-03-06T21:59:59+01:00": {false, false, false},
		"2026-03-06T22:00:00+01:00": {false, true, false}, // a Friday
		"2026-03-07T05:59:59+01:00": {false, true, false},
		"2026-03-07T06:00:00+01:00": {false, false, false},
		"2026-03-07T12:00:00+01:00": {false, false, false},
		"2026-03-29T00:59:59Z":      {false, false, false}, // clocks go from 2 to 3
		"2026-03-29T01:00:00Z":      {false, false, false},
		"2026-10-25T00:30:00Z":      {false, false, true}, // 2:30 comes twice
		"2026-10-25T01:30:00Z":      {false, false, true},
		"2026-06-01T06:00:00Z":      {true, false, false}, // in summer
	} {
		when, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		if got := [3]bool{work.has(when), night.has(when), small.has(when)}; got != want {
			t.Errorf("%s: %v, want %v", at, got, want)
		}
	}
	for want, hours := range map[string]Hours{
		"Monday to Friday 08:00–18:00 (Europe/Berlin)":   work,
		"Friday 22:00–06:00 (Europe/Berlin)":             night,
		"every day 00:00–24:00 (UTC)":                    {Days: [7]bool{true, true, true, true, true, true, true}, To: 24 * h, In: time.UTC},
		"Monday, Saturday, Sunday 09:30–10:00 (UTC)":     {Days: [7]bool{time.Monday: true, time.Saturday: true, time.Sunday: true}, From: 9*h + 30*time.Minute, To: 10 * h, In: time.UTC},
		"Tuesday, Friday to Sunday 09:00–10:00 (UTC)":    {Days: [7]bool{time.Tuesday: true, 5: true, 6: true, 0: true}, From: 9 * h, To: 10 * h, In: time.UTC},
		"Monday to Wednesday, Friday 09:00–10:00 (UTC)":  {Days: [7]bool{1: true, 2: true, 3: true, 5: true}, From: 9 * h, To: 10 * h, In: time.UTC},
		"Monday, Tuesday, Thursday 09:00–10:00 (UTC)":    {Days: [7]bool{1: true, 2: true, 4: true}, From: 9 * h, To: 10 * h, In: time.UTC},
		"Wednesday, Thursday 09:00–10:00 (UTC)":          {Days: [7]bool{3: true, 4: true}, From: 9 * h, To: 10 * h, In: time.UTC},
		"Monday, Thursday to Saturday 09:00–10:00 (UTC)": {Days: [7]bool{1: true, 4: true, 5: true, 6: true}, From: 9 * h, To: 10 * h, In: time.UTC},
	} {
		if got := hours.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// limited has each limit in a policy of its own.
func limited(t *testing.T, change func(*Policy)) *Set {
	t.Helper()
	p := Policy{Name: "support", Actor: Match{Groups: []string{"support"}}, Target: Match{Groups: []string{"fieldworkers"}}}
	change(&p)
	later := Policy{Name: "later", Actor: Match{Groups: []string{"support"}}, Target: Match{Groups: []string{"fieldworkers"}}, Modes: []string{ModeReadOnly}}
	return mustCompile(t, Rules{Policies: []Policy{p, later}})
}

// TestLimitsOfWhenAndWhere: outside hours and networks the next policy decides; without one, the refusal says what is
// missing.
func TestLimitsOfWhenAndWhere(t *testing.T) {
	monday := time.Date(2026, 3, 2, 1, 0, 0, 0, time.UTC) // 10 in Tokyo
	for name, row := range map[string]struct {
		change func(*Policy)
		in     Input
		want   string
		alone  string // where there is no later policy
	}{
		"in hours":      {func(p *Policy) { p.Hours = []Hours{officeHours} }, Input{Now: monday}, "support", "support"},
		"out of hours":  {func(p *Policy) { p.Hours = []Hours{officeHours} }, Input{Now: monday.Add(9 * time.Hour)}, "later", "!" + RefusedHours},
		"in the office": {func(p *Policy) { p.Networks = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} }, Input{ClientIP: netip.MustParseAddr("::ffff:10.1.2.3")}, "support", "support"},
		"elsewhere":     {func(p *Policy) { p.Networks = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} }, Input{ClientIP: netip.MustParseAddr("192.0.2.1")}, "later", "!" + RefusedNetwork},
		"from nowhere":  {func(p *Policy) { p.Networks = []netip.Prefix{netip.MustParsePrefix("::/0")} }, Input{}, "later", "!" + RefusedNetwork},
		"no request":    {func(p *Policy) { p.Networks = []netip.Prefix{netip.MustParsePrefix("::/0")} }, Input{NoRequest: true}, "!" + RefusedConditionFailed, "!" + RefusedConditionFailed},
		"room":          {func(p *Policy) { p.LimitActor, p.LimitTarget = 2, 3 }, Input{Live: live(1, 2)}, "support", "support"},
		"actor full":    {func(p *Policy) { p.LimitActor, p.LimitTarget = 2, 3 }, Input{Live: live(2, 3)}, "!" + RefusedLimitActor, "!" + RefusedLimitActor},
		"target full":   {func(p *Policy) { p.LimitActor, p.LimitTarget = 2, 3 }, Input{Live: live(1, 3)}, "!" + RefusedLimitTarget, "!" + RefusedLimitTarget},
		"no limit":      {func(*Policy) {}, Input{Live: live(100, 100)}, "support", "support"},
	} {
		t.Run(name, func(t *testing.T) {
			s := limited(t, row.change)
			row.in.Actor, row.in.Target = cast["sue"], cast["sam"]
			if got := outcome(s.Decide(row.in)); got != row.want {
				t.Errorf("got %s, want %s", got, row.want)
			}
			s.policies = s.policies[:1]
			d := s.Decide(row.in)
			if got := outcome(d); got != row.alone {
				t.Errorf("alone: got %s, want %s", got, row.alone)
			}
			if r := s.Continue(row.in, Running{Mode: ModeFull, StartedAt: row.in.Now}).Refusal; r != nil && (r.Code == RefusedLimitActor || r.Code == RefusedLimitTarget) {
				t.Error("one under way is ended by a limit, of which it is a part itself")
			}
		})
	}
	s := limited(t, func(p *Policy) { p.Hours = []Hours{officeHours} })
	if !s.AsksTime() || s.AsksRequest() {
		t.Error("hours are not asked again")
	}
	s = limited(t, func(p *Policy) { p.Networks = []netip.Prefix{netip.MustParsePrefix("::/0")} })
	if s.AsksTime() || !s.AsksRequest() {
		t.Error("networks are not asked again")
	}
	s.policies = s.policies[:1]
	if d := s.Decide(Input{Actor: cast["sue"], Target: cast["sam"], NoRequest: true}); !d.NeedsRequest {
		t.Error("a decision that hangs on a request does not say so")
	}
	s = limited(t, func(p *Policy) { p.Hours = []Hours{officeHours} })
	s.policies = s.policies[:1]
	d := s.Decide(Input{Actor: cast["sue"], Target: cast["sam"], Now: monday.Add(10 * time.Hour)})
	if m := d.Refusal.Message; !strings.Contains(m, "Monday to Friday 08:00–18:00 (Asia/Tokyo)") {
		t.Errorf("it does not say when: %s", m)
	}
}

func live(actor, target int) func(string, string) (int, int) {
	return func(a, t string) (int, int) {
		if a != "sue" || t != "sam" {
			return 0, 0
		}
		return actor, target
	}
}

func TestWhatHasToBeWritten(t *testing.T) {
	ticket := Ticket{Pattern: `[A-Z]+-\d+`, Example: "SUP-1234", URL: "https://tickets.example.com/browse/{ticket}"}
	s := limited(t, func(p *Policy) {
		p.RequireReason, p.MinReason, p.MaxReason, p.RequireTicket, p.Ticket = true, 10, 20, true, ticket
	})
	d := s.Decide(Input{Actor: cast["sue"], Target: cast["sam"]})
	for name, row := range map[string]struct {
		choice Choice
		want   string
	}{
		"all":              {Choice{Reason: "ten letters", Ticket: " SUP-1 "}, ""},
		"no reason":        {Choice{Ticket: "SUP-1"}, RefusedReason},
		"short reason":     {Choice{Reason: "ten letter", Ticket: "SUP-1"}, RefusedReason},
		"long reason":      {Choice{Reason: "twenty-one characters", Ticket: "SUP-1"}, RefusedReasonLong},
		"no ticket":        {Choice{Reason: "ten letters"}, RefusedTicket},
		"blank ticket":     {Choice{Reason: "ten letters", Ticket: " \u200d "}, RefusedTicket},
		"other ticket":     {Choice{Reason: "ten letters", Ticket: "sup-1"}, RefusedTicketForm},
		"more than ticket": {Choice{Reason: "ten letters", Ticket: "SUP-1\nSUP-2"}, RefusedTicketForm},
		"long ticket":      {Choice{Reason: "ten letters", Ticket: "SUP-" + strings.Repeat("1", 200)}, RefusedTicketLong},
	} {
		code := ""
		r := s.Check(d, row.choice)
		if r != nil {
			code = r.Code
		}
		if code != row.want {
			t.Errorf("%s: %q, want %q", name, code, row.want)
		}
		if code == RefusedTicketForm && !strings.Contains(r.Message, "SUP-1234") || code == RefusedReason && !strings.Contains(r.Message, "10") {
			t.Errorf("%s: it does not say how: %s", name, r.Message)
		}
	}
	for url, want := range map[string]string{
		"https://t.example.com/browse/{ticket}":   "https://t.example.com/browse/A%20%2F..%2F%3Fx=%22%3E",
		"https://t.example.com/?id={ticket}&v=1":  "https://t.example.com/?id=A+%2F..%2F%3Fx%3D%22%3E&v=1",
		"https://t.example.com/x#/see/{ticket}":   "https://t.example.com/x#/see/A%20%2F..%2F%3Fx=%22%3E",
		"https://t.example.com/x?a=b#/s/{ticket}": "https://t.example.com/x?a=b#/s/A+%2F..%2F%3Fx%3D%22%3E",
	} {
		s := limited(t, func(p *Policy) { p.Ticket = Ticket{URL: url} })
		if got := s.TicketLink("support", `A /../?x=">`); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	for _, none := range [][2]string{{"support", ""}, {"support", "no ticket"}, {"later", "SUP-1"}, {"gone", "SUP-1"}} {
		if got := s.TicketLink(none[0], none[1]); got != "" {
			t.Errorf("%v: %s", none, got)
		}
	}
	if got := s.TicketLink("support", "SUP-1"); got != "https://tickets.example.com/browse/SUP-1" || d.TicketLink("SUP-1") != got {
		t.Error(got)
	}
	for want, bad := range map[string]Ticket{
		"pattern: column 4: missing closing ]: [0-9":         {Pattern: "AB-[0-9"},
		"pattern: column 1: missing argument to repetition":  {Pattern: "*"},
		`example "SUP": it does not match the pattern`:       {Pattern: `SUP-\d+`, Example: "SUP"},
		"{ticket} is missing in it":                          {URL: "https://t.example.com/"},
		"url javascript:alert({ticket}): not the address":    {URL: "javascript:alert({ticket})"},
		"url https://{ticket}/: not the address of a ticket": {URL: "https://{ticket}/"},
		"url https://{ticket}@e/: not the address":           {URL: "https://{ticket}@e/"},
		"pattern: it is longer than 500 characters":          {Pattern: strings.Repeat("x", 501)},
		`example " X": it is no ticket anybody could write`:  {Example: " X"},
	} {
		if err := CheckTicket(bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

func TestSupervising(t *testing.T) {
	s := mustCompile(t, Rules{Policies: []Policy{
		{Name: "leads", Actor: Match{Groups: []string{"leads"}}, Target: Match{OwnGroups: []string{"team-*"}}},
		{Name: "listed", Actor: Match{Groups: []string{"coaches"}}, Target: Match{GroupsIn: "supervises"}},
		{Name: "all", Actor: Match{Groups: []string{"admins"}}, Target: Match{Groups: []string{"team-north", "team-south", "leads"}}},
	}})
	coach := func(username, supervises string) Person {
		p := person(username, username, "coaches")
		p.Attributes = map[string]string{"supervises": supervises}
		return p
	}
	north, south := person("n", "north", "team-north", "staff"), person("s", "south", "team-south", "staff")
	lead, both := person("l", "lead", "leads", "team-north", "staff"), person("b", "both", "leads", "team-north", "team-south")
	admin, boss := person("a", "admin", "admins"), person("o", "boss", "admins", "team-north")
	for name, row := range map[string]struct {
		actor, target Person
		want          string
	}{
		"own team":                      {lead, north, "leads"},
		"other team":                    {lead, south, "!" + RefusedTargetNoPolicy}, // staff is shared, and no team
		"two teams":                     {both, south, "leads"},
		"listed":                        {coach("c", "team-south, team-x"), south, "listed"},
		"not listed":                    {coach("c", "team-x"), south, "!" + RefusedTargetNoPolicy},
		"nothing listed":                {coach("c", " , "), south, "!" + RefusedTargetNoPolicy},
		"no attribute":                  {person("c", "c", "coaches"), south, "!" + RefusedTargetNoPolicy},
		"a lead of more":                {lead, both, "!" + RefusedPowerful},
		"a lead of as much":             {lead, person("l2", "lead2", "leads", "team-north"), "leads"},
		"a lead of less":                {both, lead, "leads"},
		"admin in the team":             {lead, boss, "!" + RefusedPowerful},
		"lead, by an admin":             {admin, lead, "all"},
		"coach of another's":            {lead, func() Person { c := coach("c", "team-south"); c.Groups = append(c.Groups, "team-north"); return c }(), "!" + RefusedPowerful},
		"coach of the same":             {lead, func() Person { c := coach("c", "team-north"); c.Groups = append(c.Groups, "team-north"); return c }(), "leads"},
		"admin, covered by supervising": {person("x", "x", "leads", "team-north", "team-south"), person("y", "y", "admins", "team-north"), "!" + RefusedPowerful}, // leads are named too
	} {
		if got := outcome(s.Decide(Input{Actor: row.actor, Target: row.target})); got != row.want {
			t.Errorf("%s: got %s, want %s", name, got, row.want)
		}
	}
	for _, row := range []struct {
		pattern, name string
		want          bool
	}{
		{"team-*", "team-", true},
		{"team-*", "team", false},
		{"*", "", true},
		{"a*b", "ab", true},
		{"a*b", "aXb", true},
		{"a*b", "a", false},
		{"ab*b", "ab", false},
		{"*-lead-*", "x-lead-y", true},
		{"*-lead-*", "-lead", false},
		{"x", "x", true},
		{"x", "xy", false},
		{"*a*a", "a", false},
		{"*a*a", "aa", true},
		{"*a*a", "aba", true},
	} {
		if got := fitsPattern(row.pattern, row.name); got != row.want {
			t.Errorf("%q fits %q: %t", row.name, row.pattern, got)
		}
	}
}

// TestMorePower: nobody becomes somebody with more power over the gateway, whatever a policy says.
func TestMorePower(t *testing.T) {
	everybody := Match{Groups: []string{"everybody"}}
	rules := Rules{
		Roles: map[string]Match{RoleOwner: {Groups: []string{"owners"}}, RoleAuditor: {Attributes: map[string][]string{"job": {"audit"}}}},
		Policies: []Policy{
			{Name: "helpers", Actor: Match{Groups: []string{"helpers"}}, Target: everybody, When: `target.username != "x"`},
			{Name: "viewers", Actor: Match{Groups: []string{"viewers"}}, Target: everybody, Modes: []string{ModeReadOnly}},
			{Name: "admins", Actor: Match{Groups: []string{"admins"}}, Target: everybody},
			{Name: "asking", Actor: Match{Groups: []string{"askers"}}, Target: everybody, RequireApproval: true, Approvers: Match{Groups: []string{"approvers"}}},
			{Name: "narrow", Actor: Match{Groups: []string{"narrow"}}, Target: Match{Groups: []string{"few"}}},
		},
	}
	set := mustCompile(t, rules)
	auditor := person("aud", "aud", "everybody")
	auditor.Attributes = map[string]string{"job": "audit"}
	who := map[string]Person{"plain": person("plain", "plain", "everybody"), "auditor": auditor}
	for _, g := range []string{"helpers", "viewers", "admins", "askers", "approvers", "owners", "narrow"} {
		who[g] = person(g, g, g, "everybody")
	}
	both := person("both", "both", "admins", "narrow", "everybody")
	for actor, refused := range map[string][]string{
		// A condition narrows whom they may become; read only, what they may do; asking, narrow and admins have no condition.
		"helpers": {"viewers", "admins", "askers", "auditor", "owners", "approvers", "narrow"},
		"viewers": {"helpers", "admins", "askers", "auditor", "owners", "approvers", "narrow"},
		"admins":  {"auditor", "owners", "approvers", "narrow"},
		"askers":  {"auditor", "owners", "approvers", "narrow"},
	} {
		for target := range who {
			if target == actor {
				continue
			}
			want := "!" + RefusedPowerful
			if !slices.Contains(refused, target) {
				want = map[string]string{"helpers": "helpers", "viewers": "viewers", "admins": "admins", "askers": "asking"}[actor]
			}
			if got := outcome(set.Decide(Input{Actor: who[actor], Target: who[target]})); got != want {
				t.Errorf("%s as %s: got %s, want %s", actor, target, got, want)
			}
		}
	}
	if got := outcome(set.Decide(Input{Actor: both, Target: who["narrow"]})); got != "admins" {
		t.Errorf("who has both: %s", got)
	}
	// An owner has all of it. Who is withheld the permission has nothing by policies.
	rules.Policies = append(rules.Policies, Policy{Name: "own", Actor: Match{Groups: []string{"owners"}}, Target: everybody})
	rules.Withhold = Match{Groups: []string{"approvers"}, Users: []string{"admins"}, Roles: []string{RoleAuditor}}
	set = mustCompile(t, rules)
	for target, p := range who {
		if target != "owners" {
			if got := outcome(set.Decide(Input{Actor: who["owners"], Target: p})); got != "own" {
				t.Errorf("an owner as %s: got %s", target, got)
			}
		}
	}
	if got := outcome(set.Decide(Input{Actor: who["helpers"], Target: who["admins"]})); got != "helpers" {
		t.Errorf("withheld from the target: %s", got)
	}
	if got := outcome(set.Decide(Input{Actor: who["admins"], Target: who["plain"]})); got != "!"+RefusedWithheld || set.MayImpersonate(who["admins"]) {
		t.Errorf("withheld from the actor: %s", got)
	}
	auditor.Groups = []string{"helpers"}
	if got := outcome(set.Decide(Input{Actor: auditor, Target: who["plain"]})); got != "!"+RefusedWithheld {
		t.Errorf("withheld from a role: %s", got)
	}
}

// TestPowerNeverGrows: along any chain of accounts that become each other, nobody ends with a role they did not have.
func TestPowerNeverGrows(t *testing.T) {
	r := seed(t)
	groups := []string{"a", "b", "c", "d", "e"}
	for range 300 {
		one := func() Match { return Match{Groups: []string{groups[r.IntN(5)]}} }
		rules := Rules{Roles: map[string]Match{RoleOwner: one(), RoleAuditor: one()}}
		for i := range 1 + r.IntN(4) {
			rules.Policies = append(rules.Policies, Policy{Name: string(rune('p' + i)), Actor: one(), Target: one()})
		}
		set := mustCompile(t, rules)
		var all []Person
		for i := range 12 {
			name := string(rune('a' + i))
			all = append(all, person(name, name, pick(r, groups, 3)...))
		}
		for _, start := range all {
			reached, todo := map[string]bool{}, []Person{start}
			for len(todo) > 0 {
				p := todo[0]
				todo = todo[1:]
				for _, q := range all {
					if !reached[q.ID] && set.Decide(Input{Actor: p, Target: q}).Refusal == nil {
						reached[q.ID], todo = true, append(todo, q)
					}
				}
			}
			for _, q := range all {
				if !reached[q.ID] {
					continue
				}
				for _, role := range set.Roles(q.Identity) {
					if mine := set.Roles(start.Identity); !slices.Contains(mine, role) && !slices.Contains(mine, RoleOwner) {
						t.Fatalf("%v gets to %v, %s, by %+v", start.Groups, q.Groups, role, rules)
					}
				}
			}
		}
	}
}

func TestAttributes(t *testing.T) {
	s := mustCompile(t, Rules{Roles: map[string]Match{RoleOwner: {Attributes: map[string][]string{"gateway": {"owner", "root"}}}}})
	for value, want := range map[string]int{"owner": 1, "root": 1, "Owner": 0, "": 0} {
		if got := s.Roles(&identity.Identity{Username: "x", Attributes: map[string]string{"gateway": value}}); len(got) != want {
			t.Errorf("%q: %v", value, got)
		}
	}
}
