package caddymodule

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
)

func policyCommand() *cobra.Command {
	group := &cobra.Command{Use: "policy", Short: "Tries the policies of a configuration"}
	test := &cobra.Command{
		Use:   "test --actor <username> --target <username> [--at <time>] [--ip <address>] [--host <host>] [--actor-live <n>] [--target-live <n>] [--json]",
		Short: "Tells whether one may impersonate another, and what each rule says",
		Long: `
Decides by the policies of the configuration, on what the directory's sources know now, and tells of each rule that comes
before policies whether it holds (protect, withhold, power and so on), and of each policy why it does or does not decide.

The running server is not asked. For limits, --actor-live and --target-live say how many impersonations of the two there
are already; by default none.

Without --ip and --host, policies that ask where a request comes from can't be decided. An actor whom the directory does
not know is one who has logged in: name their groups with --actor-group.

Exit codes: 0 allowed; 4 refused; 1 it could not be told.`,
		RunE: run(testPolicy),
	}
	test.Flags().String("actor", "", "Username of who impersonates")
	test.Flags().String("target", "", "Username of whom they impersonate")
	test.Flags().StringSlice("actor-group", nil, "A group that the actor's login says")
	test.Flags().String("at", "", "When, such as 2026-03-02T10:00:00+01:00 (default: now)")
	test.Flags().String("ip", "", "Where the request comes from")
	test.Flags().String("host", "", "The site's host")
	test.Flags().Int("actor-live", 0, "How many impersonations the actor has under way")
	test.Flags().Int("target-live", 0, "How many impersonations of the target are under way")
	check := &cobra.Command{
		Use:   "check <file> [--json]",
		Short: "Holds the policies to a table of expectations",
		Long: `
Reads a YAML file of who is expected to be allowed or refused what, decides each by the policies of the configuration, and
prints those that come out otherwise.

Exit codes: 0 all as expected; 5 some are not; 1 it could not be told.`,
		Args: named("the file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return run(func(cmd *cobra.Command) (int, error) { return checkPolicy(cmd, args[0]) })(cmd, args)
		},
	}
	for _, c := range []*cobra.Command{test, check} {
		configFlags(c)
		c.Flags().Bool("json", false, "Print JSON, for programs")
		group.AddCommand(c)
	}
	return group
}

// question is who asks to be whom, when, from where.
type question struct {
	Actor       string   `yaml:"actor"`
	Target      string   `yaml:"target"`
	ActorGroups []string `yaml:"actor_groups"`
	At          string   `yaml:"at"`
	IP          string   `yaml:"ip"`
	Host        string   `yaml:"host"`
	// How many impersonations of the two there are already.
	ActorLive  int `yaml:"actor_live"`
	TargetLive int `yaml:"target_live"`
}

// input is the question on what the directory knows.
func (q *question) input(d *directory.Directory, now time.Time) (policy.Input, error) {
	in := policy.Input{Now: now, Host: q.Host, NoRequest: q.IP == "" && q.Host == ""}
	if q.Actor == "" || q.Target == "" {
		return in, fmt.Errorf("actor and target: both are needed; write their usernames")
	}
	if q.At != "" {
		at, err := time.Parse(time.RFC3339, q.At)
		if err != nil {
			return in, fmt.Errorf("at %q: not a time; write such as 2026-03-02T10:00:00+01:00", q.At)
		}
		in.Now = at
	}
	if q.IP != "" {
		ip, err := netip.ParseAddr(q.IP)
		if err != nil {
			return in, fmt.Errorf("ip %q: not an address; write such as 192.0.2.1", q.IP)
		}
		in.ClientIP = ip
	}
	if q.ActorLive < 0 || q.TargetLive < 0 {
		return in, fmt.Errorf("actor_live and target_live: they count impersonations; write 0 or more")
	}
	in.Live = func(string, string) (int, int) { return q.ActorLive, q.TargetLive }
	a, known := d.Person(&identity.Identity{Username: q.Actor, Groups: q.ActorGroups})
	in.Actor = policy.Person{Identity: &a.Identity, Known: known, Active: a.Active}
	if t, ok := d.Lookup(q.Target); ok {
		in.Target = policy.Person{Identity: &t.Identity, Known: true, Active: t.Active}
	}
	return in, nil
}

func testPolicy(cmd *cobra.Command) (int, error) {
	f := cmd.Flags()
	var q question
	for name, into := range map[string]*string{"actor": &q.Actor, "target": &q.Target, "at": &q.At, "ip": &q.IP, "host": &q.Host} {
		var err error
		if *into, err = f.GetString(name); err != nil {
			return 0, err
		}
	}
	var err error
	if q.ActorGroups, err = f.GetStringSlice("actor-group"); err != nil {
		return 0, err
	}
	for name, into := range map[string]*int{"actor-live": &q.ActorLive, "target-live": &q.TargetLive} {
		if *into, err = f.GetInt(name); err != nil {
			return 0, err
		}
	}
	asJSON, err := f.GetBool("json")
	if err != nil {
		return 0, err
	}
	app, d, done, err := loadPeople(cmd)
	if err != nil {
		return 0, err
	}
	defer done()
	in, err := q.input(d, app.clock.Now())
	if err != nil {
		return 0, err
	}
	e := app.policy.Explain(in)
	write := printExplanation
	if asJSON {
		write = encodeExplanation
	}
	if err := write(cmd.OutOrStdout(), &q, in, &e); err != nil {
		return 0, err
	}
	if e.Decision.Refusal != nil {
		return exitRefused, nil
	}
	return exitDone, nil
}

// called is somebody as people know them.
func called(p policy.Person, typed string) string {
	switch {
	case p.Identity == nil:
		return plain(typed) + " (not in the directory)"
	case !p.Known:
		return plain(typed) + " (not in the directory, by their login)"
	case p.Name == "" || p.Name == p.Username:
		return plain(p.Username)
	}
	return plain(p.Name) + " (" + plain(p.Username) + ")"
}

func printExplanation(to io.Writer, q *question, in policy.Input, e *policy.Explanation) error {
	from := "from an unknown address"
	if in.ClientIP.IsValid() {
		from = "from " + in.ClientIP.String()
	}
	width := widthOf(to)
	say := func(lead, format string, args ...any) {
		fmt.Fprintln(to, hanging(lead, plain(fmt.Sprintf(format, args...)), width, len(lead)))
	}
	say("", "%s as %s, %s, %s", called(in.Actor, q.Actor), called(in.Target, q.Target), in.Now.Format(time.RFC3339), from)
	if r := e.Decision.Refusal; r != nil {
		say("", "REFUSED: %s", r.Code)
		say("  ", "%s", r.Message)
		if r.Cause != nil {
			say("  ", "because: %v", r.Cause)
		}
	} else {
		modes := make([]string, len(e.Decision.Modes))
		for i, m := range e.Decision.Modes {
			modes[i] = policy.ModeName(m)
		}
		say("", "ALLOWED by policy %s: %s, for %s", e.Decision.Policy, strings.Join(modes, " or "), policy.Words(e.Decision.Duration))
		if needs := requires(&e.Decision); len(needs) > 0 {
			say("  ", "requires: %s", strings.Join(needs, ", "))
		}
		for _, t := range e.Terms {
			say("  - ", "%s", t)
		}
	}
	fmt.Fprintln(to)
	rules := &table{head: []string{"RULE", "HOLDS", "WHY"}, whole: []string{"RULE", "HOLDS"}, sentences: true}
	for _, r := range e.Rules {
		rules.add(r.Rule, map[bool]string{true: "yes", false: "NO"}[r.OK], r.Why)
	}
	if err := rules.print(to, width); err != nil {
		return err
	}
	fmt.Fprintln(to)
	policies := &table{head: []string{"POLICY", "VERDICT", "WHY"}, whole: []string{"POLICY", "VERDICT"}, sentences: true}
	for i := range e.Policies {
		p := &e.Policies[i]
		policies.add(p.Policy, p.Verdict, why(p))
	}
	if len(e.Policies) == 0 {
		policies.add("(none)", "", "")
	}
	return policies.print(to, width)
}

// why a policy says what it says.
func why(p *policy.PolicyCheck) string {
	names := func(all []string) string { return strings.Join(all, ", ") }
	both := fmt.Sprintf("names the actor (%s) and the target (%s)", names(p.ActorBy), names(p.TargetBy))
	switch p.Verdict {
	case policy.VerdictActor:
		return "the actor is not of " + names(p.ActorWants)
	case policy.VerdictTarget:
		return "the target is not of " + names(p.TargetWants)
	case policy.VerdictDecides:
		return both
	case policy.VerdictNotReached:
		return both + ", but one before it decides"
	case policy.VerdictNeverLooked:
		return both + ", but no policy can allow this"
	}
	if p.Refusal == nil {
		return both
	}
	if p.Refusal.Cause != nil {
		return p.Refusal.Cause.Error()
	}
	return both + "; " + p.Refusal.Message
}

// requires is what a start needs.
func requires(d *policy.Decision) []string {
	var needs []string
	for _, n := range []struct {
		on   bool
		name string
	}{{d.RequireReason, "reason"}, {d.RequireTicket, "ticket"}, {d.RequireStepUp, "step_up"}, {d.RequireApproval, "approval"}, {d.RequireConsent, "consent"}} {
		if n.on {
			needs = append(needs, n.name)
		}
	}
	return needs
}

func encodeExplanation(to io.Writer, q *question, in policy.Input, e *policy.Explanation) error {
	type check struct {
		Policy   string   `json:"policy"`
		Verdict  string   `json:"verdict"`
		Why      string   `json:"why"`
		ActorBy  []string `json:"actor_by"`
		TargetBy []string `json:"target_by"`
	}
	type rule struct {
		Rule  string `json:"rule"`
		Holds bool   `json:"holds"`
		Why   string `json:"why"`
	}
	out := struct {
		Actor    string   `json:"actor"`
		Target   string   `json:"target"`
		At       string   `json:"at"`
		Allowed  bool     `json:"allowed"`
		Refusal  string   `json:"refusal,omitempty"`
		Message  string   `json:"message,omitempty"`
		Cause    string   `json:"cause,omitempty"`
		Policy   string   `json:"policy,omitempty"`
		Modes    []string `json:"modes,omitempty"`
		Duration float64  `json:"duration_s,omitempty"`
		Requires []string `json:"requires,omitempty"`
		Terms    []string `json:"terms,omitempty"`
		Rules    []rule   `json:"rules"`
		Policies []check  `json:"policies"`
	}{
		Actor: q.Actor, Target: q.Target, At: in.Now.Format(time.RFC3339), Allowed: e.Decision.Refusal == nil, Policy: e.Decision.Policy,
		Modes: e.Decision.Modes, Duration: e.Decision.Duration.Seconds(), Requires: requires(&e.Decision), Terms: e.Terms,
		Rules: []rule{}, Policies: []check{},
	}
	for _, r := range e.Rules {
		out.Rules = append(out.Rules, rule{r.Rule, r.OK, r.Why})
	}
	if r := e.Decision.Refusal; r != nil {
		out.Refusal, out.Message = r.Code, r.Message
		if r.Cause != nil {
			out.Cause = r.Cause.Error()
		}
	}
	for i := range e.Policies {
		p := &e.Policies[i]
		out.Policies = append(out.Policies, check{p.Policy, p.Verdict, why(p), append([]string{}, p.ActorBy...), append([]string{}, p.TargetBy...)})
	}
	enc := json.NewEncoder(to)
	enc.SetIndent("", "  ")
	return enc.Encode(out)
}

// showUser tells what is known of somebody, and what the rules make of them.
func showUser(cmd *cobra.Command, name string) (int, error) {
	asJSON, err := cmd.Flags().GetBool("json")
	if err != nil {
		return 0, err
	}
	app, d, done, err := loadPeople(cmd)
	if err != nil {
		return 0, err
	}
	defer done()
	u, ok := d.Lookup(name)
	if !ok {
		return 0, fmt.Errorf("the directory's sources know nobody called %q; who has only logged in is not in them", name)
	}
	st := app.policy.Standing(&u.Identity)
	if asJSON {
		enc := json.NewEncoder(cmd.OutOrStdout())
		enc.SetIndent("", "  ")
		return exitDone, enc.Encode(struct {
			ID         string            `json:"id"`
			Username   string            `json:"username"`
			Name       string            `json:"name"`
			Email      string            `json:"email"`
			Groups     []string          `json:"groups"`
			Active     bool              `json:"active"`
			Attributes map[string]string `json:"attributes,omitempty"`
			Source     string            `json:"source"`
			Roles      []string          `json:"roles"`
			Protected  bool              `json:"protected"`
			Withheld   bool              `json:"withheld"`
			ActorOf    []string          `json:"actor_of"`
			TargetOf   []string          `json:"target_of"`
		}{
			u.ID, u.Username, u.Name, u.Email, append([]string{}, u.Groups...), u.Active, u.Attributes, u.Source,
			append([]string{}, st.Roles...), st.Protected, st.Withheld, append([]string{}, st.ActorOf...), append([]string{}, st.TargetOf...),
		})
	}
	facts := [][2]string{}
	line := func(what string, values ...string) {
		facts = append(facts, [2]string{what, cmp.Or(strings.Join(values, ", "), "-")})
	}
	yes := map[bool]string{true: "yes", false: "no"}
	line("username", u.Username)
	line("id", u.ID)
	line("name", u.Name)
	line("email", u.Email)
	line("groups", u.Groups...)
	line("active", yes[u.Active])
	for _, name := range sortedKeys(u.Attributes) {
		line("attribute "+plain(name), u.Attributes[name])
	}
	line("source", u.Source)
	line("roles", st.Roles...)
	line("protected", yes[st.Protected])
	line("withheld", yes[st.Withheld])
	line("actor of", st.ActorOf...)
	line("target of", st.TargetOf...)
	return exitDone, printFacts(cmd.OutOrStdout(), facts)
}
