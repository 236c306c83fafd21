package policy

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
)

// asking is a set of one policy with this condition, from support to fieldworkers.
func asking(t testing.TB, when string) *Set {
	t.Helper()
	return mustCompile(t, Rules{Policies: []Policy{
		{Name: "p", Actor: Match{Groups: []string{"support"}}, Target: Match{Groups: []string{"fieldworkers"}}, When: when},
		{Name: "later", Actor: Match{Groups: []string{"lenient"}}, Target: Match{Groups: []string{"fieldworkers"}}},
	}})
}

func TestWhenRefused(t *testing.T) {
	for when, want := range map[string]string{
		" \n ":                          "it is empty; leave it out, or write such as actor.department == target.department",
		"actor.department ==":           "line 1, column 20: Syntax error: mismatched input '<EOF>' expecting ",
		"acter.name == 'x'":             "line 1, column 1: undeclared reference to 'acter'",
		"true &&\n  acter.x":            "line 2, column 3: undeclared reference to 'acter'",
		"actor.department":              "line 1, column 1: it comes to string; it must be true or false",
		"actor":                         "line 1, column 1: it comes to person; it must be true or false",
		"actor.groups == 'support'":     "line 1, column 14: found no matching overload for '_==_' applied to '(list(string), string)'",
		"actor.department > 5":          "line 1, column 18: found no matching overload for '_>_' applied to '(string, int)'",
		"request.port == 1":             "line 1, column 8: undefined field 'port'",
		"now > '2026-01-01'":            "line 1, column 5: found no matching overload for '_>_' applied to '(timestamp, string)'",
		"actor.name.matches('(')":       "line 1, column 20: invalid matches argument",
		"now > timestamp('yesterday')":  "line 1, column 17: invalid timestamp argument",
		"now.getHours('Berlin') > 8":    `line 1, column 14: "Berlin" is no time zone; write such as Europe/Berlin`,
		"now.getHours('Local') > 8":     `line 1, column 14: "Local" is no time zone; write such as Europe/Berlin`,
		"cidr('10/8').containsIP('::')": "line 1, column 6: invalid cidr argument",
		"ip('10.1') == ip('::')":        "line 1, column 4: invalid ip argument",
		"person{id: '1'} == actor && actor.groups.all(a, actor.groups.all(b, actor.groups.all(c, a == b || b == c)))": "line 1, column 85: comprehension exceeds nesting limit",
		"actor.groups.all(a, target.groups.all(b, actor.groups.all(c, true)))":                                        "line 1, column 58: comprehension exceeds nesting limit",
		"actor.groups.exists(a, target.groups.exists(b, a.matches(b + '.*' + a + b)))":                                "line 1, column 1: it can take too long: for people with 100 groups it costs up to ",
		strings.Repeat("true && ", 1000) + "true":                                                                     "line 1, column 1: expression code point size exceeds limit: size: 8004, limit 4096",
		strings.Repeat("(", 500) + "true" + strings.Repeat(")", 500):                                                  "line 1, column 1: expression recursion limit exceeded: 64",
	} {
		err := CheckWhen(when)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%.80q\ngot  %v\nwant %s", when, err, want)
			continue
		}
		some := Match{Groups: []string{"a"}}
		if when == " \n " { // not given, where the rules say it
			continue
		}
		if _, err := Compile(Rules{Policies: []Policy{{Name: "x", Actor: some, Target: some, When: when}}}); err == nil || !strings.HasPrefix(err.Error(), `policy "x": when: `+want) {
			t.Errorf("Compile: %v", err)
		}
	}
}

var (
	ann = &identity.Identity{
		ID: "1", Username: "Ann", Name: "Ann Archer", Groups: []string{"support", "north"},
		Attributes: map[string]string{"department": "north", "cost-center": "7", "empty": ""},
	}
	ben = &identity.Identity{
		ID: "2", Username: "ben", Email: "ben@example.com", Groups: []string{"fieldworkers", "north"},
		Attributes: map[string]string{"department": "north"},
	}
)

func TestWhen(t *testing.T) {
	in := Input{
		Actor: Person{ann, true, true}, Target: Person{ben, true, true},
		Now:      time.Date(2026, 3, 29, 0, 59, 30, 0, time.UTC), // half a minute before Europe's clocks go on
		ClientIP: netip.MustParseAddr("::ffff:10.1.2.3"), Host: "App.Example.com:8443",
	}
	for when, want := range map[string]string{
		"true":                                  "p",
		"false":                                 "!condition_not_met",
		"actor.department == target.department": "p",
		"actor.id == '1' && actor.username == 'Ann' && actor.name == 'Ann Archer' && actor.groups == ['support', 'north']": "p",
		"target.email.endsWith('@example.com')":                 "p",
		"actor != target":                                       "p",
		"actor == actor && type(actor) == type(target)":         "p",
		"actor.attributes['cost-center'] == '7'":                "p",
		"'cost-center' in target.attributes":                    "!condition_not_met",
		"target.attributes['cost-center'] == '7'":               "!condition_failed",
		"actor.groups.exists(g, g in target.groups)":            "p",
		"sets.intersects(actor.groups, target.groups)":          "p",
		"actor.groups.all(g, g in target.groups)":               "!condition_not_met",
		"has(actor.department)":                                 "p",
		"has(actor.empty) && actor.empty == ''":                 "p",
		"has(actor.email)":                                      "!condition_not_met",
		"has(target.email) && !has(target.name)":                "p",
		"actor.email == ''":                                     "p",
		"actor.region == 'x'":                                   "!condition_failed",
		"has(actor.region) && actor.region == 'x'":              "!condition_not_met",
		"!has(target.region) || target.region == 'x'":           "p",
		"actor.region == 'x' || true":                           "p", // CEL: true whatever the other is
		"actor.region == 'x' && false":                          "!condition_not_met",
		"actor.region == 'x' && true":                           "!condition_failed",
		"request.host == 'app.example.com'":                     "p",
		"request.ip == '10.1.2.3'":                              "p",
		"cidr('10.0.0.0/8').containsIP(request.ip)":             "p",
		"cidr('192.168.0.0/16').containsIP(ip(request.ip))":     "!condition_not_met",
		"now < timestamp('2026-03-29T01:00:00Z')":               "p",
		"now.getHours() == 0":                                   "p",
		"now.getHours('Europe/Berlin') == 1":                    "p",
		"(now + duration('1m')).getHours('Europe/Berlin') == 3": "p",
		"now.getHours('+02:30') == 3":                           "p",
		"now.getDayOfWeek('Europe/Berlin') == 0 && now.getDayOfWeek('America/New_York') == 6":           "p",
		"now.getFullYear('UTC') == 2026 && now.getMonth('UTC') == 2 && now.getDate('UTC') == 29":        "p",
		"now.getDayOfMonth('UTC') == 28 && now.getDayOfYear('UTC') == 87":                               "p",
		"now.getMinutes('UTC') == 59 && now.getSeconds('UTC') == 30 && now.getMilliseconds('UTC') == 0": "p",
		"now.getHours(actor.department) == 1":                                                           "!condition_failed",
		"1 / size(actor.email) == 1":                                                                    "!condition_failed",
		"actor.name.lowerAscii() == 'ann archer'":                                                       "p",
	} {
		set := asking(t, when)
		if got := outcome(set.Decide(in)); got != want {
			t.Errorf("%s: got %s (%v), want %s", when, got, set.Decide(in).Refusal.Cause, want)
		}
		if d := set.Decide(in); want == "!condition_failed" && (d.Refusal.Cause == nil || !strings.HasPrefix(d.Refusal.Cause.Error(), `policy "p": when: `)) {
			t.Errorf("%s: the operator is told %v", when, d.Refusal.Cause)
		}
	}
}

// TestWhenZonesAgree: the functions with a zone that is known beforehand are the library's own.
func TestWhenZonesAgree(t *testing.T) {
	in := Input{Actor: Person{ann, true, true}, Target: Person{ben, true, true}}
	for f := range zoned {
		quick := asking(t, fmt.Sprintf("now.%s('Asia/Kathmandu') == now.%[1]s('Asia/' + 'Kathmandu'.trim())", f))
		for h := range 9000 {
			in.Now = time.Date(2024, 1, 1, h, h%60, h%59, h*1e6, time.UTC)
			if got := outcome(quick.Decide(in)); got != "p" {
				t.Fatalf("%s at %s: %s", f, in.Now, got)
			}
		}
	}
}

// TestWhenFirstMatchDecides: a policy whose condition does not hold is passed over; one whose condition can't be told
// refuses, and gives no way to a laxer policy after it.
func TestWhenFirstMatchDecides(t *testing.T) {
	in := Input{Actor: Person{ann, true, true}, Target: Person{ben, true, true}}
	all := func(when ...string) *Set {
		var r Rules
		for i, w := range when {
			r.Policies = append(r.Policies, Policy{Name: fmt.Sprint("p", i), Actor: Match{Groups: []string{"support"}}, Target: Match{Users: []string{"ben"}}, When: w})
		}
		return mustCompile(t, r)
	}
	for _, row := range []struct {
		when []string
		want string
	}{
		{[]string{"false", ""}, "p1"},
		{[]string{"false", "true", ""}, "p1"},
		{[]string{"false", "false"}, "!condition_not_met"},
		{[]string{"actor.region == 'x'", ""}, "!condition_failed"},
		{[]string{"false", "actor.region == 'x'", ""}, "!condition_failed"},
		{[]string{"", "actor.region == 'x'"}, "p0"},
		{[]string{"request.ip == '10.0.0.1'", ""}, "!condition_failed"}, // no address is known
	} {
		if got := outcome(all(row.when...).Decide(in)); got != row.want {
			t.Errorf("%q: got %s, want %s", row.when, got, row.want)
		}
	}
}

func TestWhenAsks(t *testing.T) {
	for when, want := range map[string][2]bool{
		"":                               {},
		"actor.department == target.now": {},
		"now > timestamp('2026-01-01T00:00:00Z')":   {true, false},
		"actor.groups.exists(g, g == request.host)": {false, true},
		"has(request.ip) && now.getHours() > 1":     {true, true},
	} {
		set := asking(t, when)
		if got := [2]bool{set.AsksTime(), set.AsksRequest()}; got != want {
			t.Errorf("%s: asks time, request: %v", when, got)
		}
		d := set.Decide(Input{Actor: Person{ann, true, true}, Target: Person{ben, true, true}, NoRequest: true})
		if d.NeedsRequest != want[1] || want[1] && d.Refusal == nil {
			t.Errorf("%s: without a request: %+v", when, d)
		}
	}
}

// TestWhenIsBounded: somebody with a great many facts makes a condition fail rather than go on for long.
func TestWhenIsBounded(t *testing.T) {
	set := asking(t, "actor.groups.exists(a, target.groups.exists(b, a == b + 'x'))")
	crowd := func(group string) *identity.Identity {
		i := &identity.Identity{ID: group, Username: group, Groups: []string{group}}
		for n := range 1000 {
			i.Groups = append(i.Groups, fmt.Sprintf("%s-%d-%s", group, n, strings.Repeat("y", 200)))
		}
		return i
	}
	in := Input{Actor: Person{crowd("support"), true, true}, Target: Person{crowd("fieldworkers"), true, true}}
	began := time.Now()
	d := set.Decide(in)
	if outcome(d) != "!condition_failed" || !strings.Contains(d.Refusal.Cause.Error(), "cost limit exceeded") && !strings.Contains(d.Refusal.Cause.Error(), "operation interrupted") {
		t.Errorf("%s: %v", outcome(d), d.Refusal.Cause)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("took %s", took)
	}
}

// TestWhenLeavesOthersAlone: a policy with a condition does not make those cheaper ones beside it dearer.
func TestWhenLeavesOthersAlone(t *testing.T) {
	set := asking(t, "actor.department == target.department")
	in := Input{Actor: person("3", "lea", "lenient"), Target: Person{ben, true, true}}
	if n := testing.AllocsPerRun(100, func() {
		if set.Decide(in).Policy != "later" {
			t.Fatal("refused")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkWhen(b *testing.B) {
	in := Input{Actor: Person{ann, true, true}, Target: Person{ben, true, true}, Now: time.Now(), ClientIP: netip.MustParseAddr("10.1.2.3")}
	for name, when := range map[string]string{
		"attributes": "actor.department == target.department",
		"hours":      "now.getHours('Europe/Berlin') >= 0 && now.getDayOfWeek('Europe/Berlin') < 7",
		"network":    "cidr('10.0.0.0/8').containsIP(request.ip)",
		"groups":     "actor.groups.exists(g, g in target.groups)",
	} {
		b.Run(name, func(b *testing.B) {
			set := asking(b, when)
			b.ReportAllocs()
			for b.Loop() {
				if r := set.Decide(in).Refusal; r != nil {
					b.Fatal(r.Code, r.Cause)
				}
			}
		})
	}
}
