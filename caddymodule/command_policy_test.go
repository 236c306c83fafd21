package caddymodule

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const policyRules = `directory file {USERS}
directory seen
role owner group owners
withhold role owner
protect group board
policy admins {
	actor group admins
	target group support field
}
policy office {
	actor group support
	target group field
	hours mon-fri 08:00-18:00 Europe/Berlin
	network 10.0.0.0/8
	limit actor 2
	limit target 3
	require reason ticket
}
policy support {
	actor group support
	target group field
	mode read_only
	when ` + "`target.department == 'north'`" + `
}`

const policyUsers = `users:
  - {id: u1, username: olga, name: Olga Owner, groups: [owners, support]}
  - {id: u2, username: sue, name: Sue Pervisor, groups: [support]}
  - {id: u3, username: sam, name: Sam Reed, groups: [field], attributes: {department: north}}
  - {id: u4, username: fay, name: Fay Field, groups: [field]}
  - {id: u6, username: ada, name: Ada Admin, groups: [admins, field], attributes: {department: north}}
  - {id: u7, username: vip, name: Vi Person, groups: [field, board]}
  - {id: u5, username: former, name: Frank Otto, groups: [field], active: false}
`

func policyConfig(t *testing.T) (config, dir string) {
	t.Helper()
	dir = t.TempDir()
	users := filepath.Join(dir, "users.yaml")
	if err := os.WriteFile(users, []byte(policyUsers), 0o600); err != nil {
		t.Fatal(err)
	}
	return writeCaddyfile(t, strings.ReplaceAll(policyRules, "{USERS}", users)), dir
}

func TestPolicyTest(t *testing.T) {
	config, _ := policyConfig(t)
	for name, tt := range map[string]struct {
		args []string
		code int
		want []string // in this order
	}{
		"allowed": {
			[]string{"--actor", "sue", "--target", "SAM", "--at", "2026-03-02T10:00:00+01:00", "--ip", "10.1.2.3"},
			exitDone,
			[]string{
				"Sue Pervisor (sue) as Sam Reed (sam)", "ALLOWED by policy office: full access, for 30 minutes", "requires: reason, ticket",
				"Only at these times: Monday to Friday 08:00–18:00 (Europe/Berlin).", "Only from these networks: 10.0.0.0/8.", "2 accounts at once", "at most 3 people at once",
				"RULE", "protect   yes    the target is not of group board", "power     yes", "POLICY",
				"office", "decides", "names the actor (group support) and the target (group field)", "support", "not_reached",
			},
		},
		"protected": {
			[]string{"--actor", "sue", "--target", "vip", "--ip", "10.1.2.3"},
			exitRefused,
			[]string{"REFUSED: target_protected", "protect   NO     protect names the target: group board", "power     yes", "office"},
		},
		"powerful": {
			[]string{"--actor", "sue", "--target", "ada", "--ip", "10.1.2.3"},
			exitRefused,
			[]string{"REFUSED: target_more_powerful", "power     NO     policy admins lets the target become group support, group field"},
		},
		"as many as may be": {
			[]string{"--actor", "sue", "--target", "sam", "--at", "2026-03-02T10:00:00+01:00", "--ip", "10.1.2.3", "--actor-live", "1", "--target-live", "3"},
			exitRefused,
			[]string{"REFUSED: target_limit_reached", "office", "target_limit_reached", "support", "not_reached"},
		},
		"fewer": {
			[]string{"--actor", "sue", "--target", "sam", "--at", "2026-03-02T10:00:00+01:00", "--ip", "10.1.2.3", "--actor-live", "1", "--target-live", "2"},
			exitDone,
			[]string{"ALLOWED by policy office"},
		},
		"fewer than none": {[]string{"--actor", "sue", "--target", "sam", "--actor-live", "-1"}, 1, []string{"actor_live and target_live: they count"}},
		"after hours": {
			[]string{"--actor", "sue", "--target", "sam", "--at", "2026-03-02T20:00:00+01:00", "--ip", "10.1.2.3"},
			exitDone,
			[]string{"ALLOWED by policy support: read only", "office", "outside_hours", "Monday to Friday 08:00–18:00 (Europe/Berlin)", "support", "decides"},
		},
		"condition fails": {
			[]string{"--actor", "sue", "--target", "fay", "--at", "2026-03-02T20:00:00+01:00", "--ip", "10.1.2.3"},
			exitRefused,
			[]string{"REFUSED: condition_failed", "because:", "no attribute department", "support", "condition_failed"},
		},
		"nowhere":       {[]string{"--actor", "sue", "--target", "sam", "--at", "2026-03-02T10:00:00Z"}, exitRefused, []string{"REFUSED: condition_failed", "because: no request is known"}},
		"inactive":      {[]string{"--actor", "sue", "--target", "former", "--at", "2026-03-02T10:00:00Z", "--ip", "10.1.2.3"}, exitRefused, []string{"REFUSED: target_inactive", "not_asked"}},
		"withheld":      {[]string{"--actor", "olga", "--target", "sam"}, exitRefused, []string{"REFUSED: actor_withheld", "withhold  NO     withhold names the actor: role owner"}},
		"unknown":       {[]string{"--actor", "sue", "--target", "nobody"}, exitRefused, []string{"nobody (not in the directory)", "REFUSED: target_unknown"}},
		"by login":      {[]string{"--actor", "new", "--actor-group", "support", "--target", "sam", "--ip", "192.0.2.1"}, exitDone, []string{"new (not in the directory, by their login)", "ALLOWED by policy support"}},
		"other actor":   {[]string{"--actor", "sam", "--target", "fay"}, exitRefused, []string{"REFUSED: no_policy", "actor_not_named", "the actor is not of group support"}},
		"no actor":      {[]string{"--target", "fay"}, 1, []string{"actor and target: both are needed"}},
		"bad time":      {[]string{"--actor", "sue", "--target", "fay", "--at", "noon"}, 1, []string{`at "noon": not a time`}},
		"bad address":   {[]string{"--actor", "sue", "--target", "fay", "--ip", "here"}, 1, []string{`ip "here": not an address`}},
		"no such rules": {[]string{"--actor", "sue", "--target", "fay", "--config", "/not/there"}, 1, []string{"/not/there"}},
	} {
		t.Run(name, func(t *testing.T) {
			out, errs, code := execute(t, policyCommand(), append([]string{"test", "--config", config}, tt.args...)...)
			if code != tt.code {
				t.Errorf("code %d, want %d", code, tt.code)
			}
			rest := out + errs
			for _, w := range tt.want {
				i := strings.Index(rest, w)
				if i < 0 {
					t.Fatalf("no %q in, or after what comes before it in:\n%s%s", w, out, errs)
				}
				rest = rest[i+len(w):]
			}
			if name == "allowed" && !strings.Contains(errs, "Left out: who has logged in") {
				t.Errorf("it does not say what is left out: %s", errs)
			}
		})
	}
	out, _, code := execute(t, policyCommand(), "test", "--config", config, "--actor", "olga", "--target", "sam", "--json")
	var got struct {
		Allowed  bool
		Refusal  string
		Policies []struct{ Policy, Verdict string }
		Rules    []struct {
			Rule  string
			Holds bool
		}
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != exitRefused || got.Allowed || got.Refusal != "actor_withheld" || len(got.Policies) != 3 || len(got.Rules) != 7 || got.Rules[5].Holds {
		t.Errorf("code %d, %v: %s", code, err, out)
	}
}

func TestPolicyCheck(t *testing.T) {
	config, dir := policyConfig(t)
	file := filepath.Join(dir, "expect.yaml")
	check := func(content string, args ...string) (string, string, int) {
		t.Helper()
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return execute(t, policyCommand(), append([]string{"check", file, "--config", config}, args...)...)
	}
	good := `expect:
  - {actor: sue, target: sam, at: "2026-03-02T10:00:00+01:00", ip: 10.1.2.3, result: allowed, policy: office, mode: full, requires: [ticket, reason]}
  - {actor: sue, target: sam, at: "2026-03-02T20:00:00+01:00", ip: 10.1.2.3, result: allowed, policy: support, requires: []}
  - {actor: olga, target: sam, result: actor_withheld}
  - {actor: new, actor_groups: [support], target: former, result: target_inactive}
  - {actor: sue, target: sam, at: "2026-03-02T10:00:00+01:00", ip: 10.1.2.3, actor_live: 2, result: actor_limit_reached}
`
	if out, errs, code := check(good); code != 0 || out != "All 5 as expected.\n" {
		t.Errorf("code %d: %s%s", code, out, errs)
	}
	// So does what the documentation shows.
	page, err := os.ReadFile("../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	_, shown, _ := strings.Cut(string(page), "```yaml\nexpect:")
	shown, _, _ = strings.Cut(shown, "```")
	if out, errs, code := check("expect:" + shown); code != 0 || out != "All 3 as expected.\n" {
		t.Errorf("code %d: %s%s", code, out, errs)
	}
	bad := good + `  - name: nobody at night
    actor: sue
    target: sam
    at: "2026-03-02T20:00:00+01:00"
    ip: 10.1.2.3
    result: outside_hours
  - {actor: sue, target: sam, at: "2026-03-02T20:00:00+01:00", ip: 10.1.2.3, result: allowed, mode: full}
`
	out, _, code := check(bad)
	if code != exitUnmet || !strings.Contains(out, file+":7") || !strings.Contains(out, "nobody at night") || !strings.Contains(out, "allowed, [read_only]") ||
		!strings.HasSuffix(out, "2 of 7 are not as expected.\n") || strings.Count(out, "\n") != 4 {
		t.Errorf("code %d: %s", code, out)
	}
	out, _, code = check(bad, "--json")
	var got struct {
		Rows, Failed int
		Checks       []outcomeOf
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != exitUnmet || got.Rows != 7 || got.Failed != 2 || got.Checks[5].OK || got.Checks[5].Got != "allowed" {
		t.Errorf("code %d, %v: %s", code, err, out)
	}
	for content, want := range map[string]string{
		"":                                       "it expects nothing",
		"expect: []":                             "it expects nothing",
		"expect: [":                              "expect.yaml: yaml:",
		"expect:\n- {actor: a, targt: b}":        "line 2: field targt not found",
		"expect:\n- {actor: a, result: allowed}": "expect.yaml:2: actor and target: both are needed",
		"expect:\n- {actor: a, target: b}":       "expect.yaml:2: result: it is missing",
		"expect:\n- {actor: a, target: b, result: no}":                                                     `expect.yaml:2: result "no": no such refusal`,
		"expect:\n- {actor: a, target: b, result: self, policy: x}":                                        "expect.yaml:2: policy, mode and requires: only what is allowed has them",
		"expect:\n- {actor: sue, target: sam, result: self}\n- {actor: a, target: b, at: x, result: self}": `expect.yaml:3: at "x": not a time`,
	} {
		if _, errs, code := check(content); code != 1 || !strings.Contains(errs, want) {
			t.Errorf("code %d: got %s, want %s", code, errs, want)
		}
	}
}

func TestUsersShow(t *testing.T) {
	config, _ := policyConfig(t)
	out, errs, code := execute(t, usersCommand(), "show", "SAM", "--config", config)
	for _, want := range []string{"username              sam", "groups                field", "attribute department  north", "roles                 -", "target of             admins, office, support", "withheld              no"} {
		if !strings.Contains(out, want) {
			t.Errorf("code %d: no %q in\n%s%s", code, want, out, errs)
		}
	}
	out, _, code = execute(t, usersCommand(), "show", "olga", "--config", config, "--json")
	var got struct {
		Roles, ActorOf []string
		Withheld       bool
	}
	if err := json.Unmarshal([]byte(strings.ReplaceAll(out, "actor_of", "ActorOf")), &got); err != nil || code != 0 || len(got.Roles) != 1 || !got.Withheld || len(got.ActorOf) != 2 {
		t.Errorf("code %d, %v: %s", code, err, out)
	}
	if _, errs, code = execute(t, usersCommand(), "show", "nobody", "--config", config); code != 1 || !strings.Contains(errs, `nobody called "nobody"`) {
		t.Errorf("code %d: %s", code, errs)
	}
}
