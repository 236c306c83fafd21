package policy

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestCompileRefuses(t *testing.T) {
	some, others := Match{Groups: []string{"support"}}, Match{Groups: []string{"field"}}
	one := func(f func(*Policy)) Rules {
		p := Policy{Name: "support", Actor: some, Target: others, Duration: 30 * time.Minute}
		f(&p)
		return Rules{Policies: []Policy{p}}
	}
	for name, row := range map[string]struct {
		rules Rules
		want  string
	}{
		"unknown mode":       {one(func(p *Policy) { p.Modes = []string{"full", "readonly"} }), `policy "support": unknown mode "readonly": there are full and read_only`},
		"mode twice":         {one(func(p *Policy) { p.Modes = []string{"full", "full"} }), `policy "support": mode full is named twice`},
		"no actor":           {one(func(p *Policy) { p.Actor = Match{} }), `policy "support": actor names nobody; give it a group or a user`},
		"no target":          {one(func(p *Policy) { p.Target = Match{} }), `policy "support": target names nobody; give it a group or a user`},
		"empty group":        {one(func(p *Policy) { p.Actor = Match{Groups: []string{"a", " "}} }), `policy "support": actor: a group or username is empty`},
		"empty user":         {one(func(p *Policy) { p.Target = Match{Users: []string{""}} }), `policy "support": target: a group or username is empty`},
		"negative duration":  {one(func(p *Policy) { p.Duration = -time.Minute }), `policy "support": duration -1m0s: must be positive`},
		"tiny duration":      {one(func(p *Policy) { p.Duration = time.Millisecond }), `policy "support": duration 1ms: must be at least 1s`},
		"negative idle":      {one(func(p *Policy) { p.Idle = -1 }), `policy "support": idle -1ns: must be positive, or 0 for never`},
		"idle over duration": {one(func(p *Policy) { p.Idle = time.Hour }), `policy "support": idle 1h0m0s is longer than the duration 30m0s, so it would never end anything; shorten it`},
		"idle over default":  {one(func(p *Policy) { p.Duration, p.Idle = 0, time.Hour }), `policy "support": idle 1h0m0s is longer than the duration 30m0s, so it would never end anything; shorten it`},
		"extension negative": {one(func(p *Policy) { p.Extension = -time.Minute }), `policy "support": extension -1m0s 0: must be positive`},
		"extensions of 0":    {one(func(p *Policy) { p.Extensions = 2 }), `policy "support": extension: how much time it adds is missing`},
		"no name":            {one(func(p *Policy) { p.Name = "" }), `policy no. 1: has no name`},
		"name with blank":    {one(func(p *Policy) { p.Name = "a b" }), `policy no. 1: its name "a b" contains blanks or characters that can't be seen`},
		"name with control":  {one(func(p *Policy) { p.Name = "a\u202eb" }), `policy no. 1: its name "a\u202eb" contains blanks or characters that can't be seen`},
		"name too long":      {one(func(p *Policy) { p.Name = strings.Repeat("x", 101) }), `policy no. 1: its name is longer than 100 characters, or not UTF-8`},
		"name twice": {
			Rules{Policies: []Policy{{Name: "a", Actor: some, Target: others}, {Name: "a", Actor: some, Target: others}}},
			`policy "a": there are two of this name; every policy needs its own`,
		},
		"unknown role":   {Rules{Roles: map[string]Match{"admin": some}}, `role "admin": there are only the roles owner and auditor`},
		"role of nobody": {Rules{Roles: map[string]Match{"owner": {}}}, `role owner: names nobody; give it a group or a user`},
		"role of blank":  {Rules{Roles: map[string]Match{"auditor": {Users: []string{" "}}}}, `role auditor: a group or username is empty`},
		"protect blank":  {Rules{Protect: Match{Groups: []string{""}}}, `protect: a group or username is empty`},
		"too many names": {Rules{Protect: Match{Groups: slices.Repeat([]string{"g"}, 10_001)}}, `the rules name 10001 groups and users; at most 10000 are taken: put people into groups`},
		"all at once": {
			one(func(p *Policy) { p.Actor, p.Modes, p.Idle = Match{}, []string{"x"}, -1 }),
			"policy \"support\": actor names nobody; give it a group or a user\npolicy \"support\": unknown mode \"x\": there are full and read_only\npolicy \"support\": idle -1ns: must be positive, or 0 for never",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Compile(row.rules)
			if err == nil || err.Error() != row.want {
				t.Errorf("got  %v\nwant %s", err, row.want)
			}
			if s != nil {
				t.Error("a set, and an error")
			}
		})
	}
}

// TestCompiledIsApart: changing what was compiled from changes nothing.
func TestCompiledIsApart(t *testing.T) {
	modes := []string{ModeFull, ModeReadOnly}
	r := Rules{Policies: []Policy{{Name: "a", Actor: Match{Groups: []string{"support"}}, Target: Match{Groups: []string{"fieldworkers"}}, Modes: modes, Idle: 30 * time.Minute}}}
	s := mustCompile(t, r)
	modes[0], r.Policies[0].Name = "x", "b"
	r.Policies[0].Actor.Groups[0] = "nobody"
	if d := s.Decide(Input{Actor: cast["sue"], Target: cast["sam"]}); d.Policy != "a" || d.Modes[0] != ModeFull || d.Idle != 30*time.Minute {
		t.Errorf("got %+v", d)
	}
}
