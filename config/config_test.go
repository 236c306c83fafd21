package config

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func goodApp() *App {
	return &App{
		OIDC:  OIDC{Issuer: "https://idp.example.com/realms/main", ClientID: "gateway", ClientSecret: "s"},
		Roles: map[string]Match{"owner": {Groups: []string{"account-owners"}}},
		Policies: []Policy{{
			Name: "support", Actor: Match{Groups: []string{"support"}}, Target: Match{Groups: []string{"fieldworkers"}},
		}},
	}
}

func TestAppDefaults(t *testing.T) {
	a := goodApp()
	a.OIDC.Claims = map[string]string{"groups": "realm_access.roles", "department": "dep"}
	a.SetDefaults()
	if err := a.Validate(); err != nil {
		t.Fatal(err)
	}
	want := goodApp()
	want.State = json.RawMessage(`{"backend":"sqlite"}`)
	want.Directories = []json.RawMessage{json.RawMessage(`{"source":"seen"}`)}
	want.OIDC.Scopes = []string{"openid", "profile", "email"}
	want.OIDC.Claims = map[string]string{
		"id": "sub", "username": "preferred_username", "name": "name", "email": "email",
		"groups": "realm_access.roles", "department": "dep",
	}
	want.Policies[0].Modes = []string{"full"}
	want.Policies[0].Duration = Duration(30 * time.Minute)
	want.Policies[0].Notify = []string{NotifyTarget}
	want.Notify = Notify{Zone: "UTC", Digest: Digest{Day: "monday", At: "08:00"}}
	want.Session = Session{Lifetime: Duration(12 * time.Hour), Idle: Duration(time.Hour)}
	want.Audit = Audit{
		Journal: "/var/lib/impersonate/journal", Requests: "impersonated", Retention: "forever",
		Sinks: []json.RawMessage{json.RawMessage(`{"sink":"sqlite"}`)},
	}
	if d := cmp.Diff(want, a); d != "" {
		t.Errorf("defaults (-want +got):\n%s", d)
	}
	// Defaults of what has them all stay the same: a configuration is loaded again and again.
	a.SetDefaults()
	if d := cmp.Diff(want, a); d != "" {
		t.Errorf("defaults twice (-want +got):\n%s", d)
	}
}

func TestAppValidate(t *testing.T) {
	for name, tt := range map[string]struct {
		break_ func(*App)
		want   string
	}{
		"no oidc":            {func(a *App) { a.OIDC = OIDC{} }, "oidc: not given"},
		"no issuer":          {func(a *App) { a.OIDC.Issuer = "" }, "oidc issuer: missing"},
		"issuer no scheme":   {func(a *App) { a.OIDC.Issuer = "idp.example.com" }, `oidc issuer "idp.example.com": does not start with https://; write a URL such as`},
		"issuer no host":     {func(a *App) { a.OIDC.Issuer = "https:///x" }, "names no host"},
		"issuer query":       {func(a *App) { a.OIDC.Issuer += "?a=b" }, "an issuer has no user, query or fragment"},
		"issuer user":        {func(a *App) { a.OIDC.Issuer = "https://a:b@idp" }, "an issuer has no user"},
		"issuer discovery":   {func(a *App) { a.OIDC.Issuer += "/.well-known/openid-configuration" }, "leave out /.well-known/openid-configuration"},
		"no client id":       {func(a *App) { a.OIDC.ClientID = "" }, "oidc client_id: missing"},
		"no client secret":   {func(a *App) { a.OIDC.ClientSecret = "" }, "oidc client_secret: missing or empty"},
		"scopes":             {func(a *App) { a.OIDC.Scopes = []string{"email"} }, "oidc scopes email: openid is missing"},
		"scope with space":   {func(a *App) { a.OIDC.Scopes = []string{"openid", "a b"} }, `"a b" is no scope`},
		"claim name":         {func(a *App) { a.OIDC.Claims["a b"] = "x" }, `oidc claim "a b": not a name`},
		"claim path":         {func(a *App) { a.OIDC.Claims["groups"] = "a..b" }, `oidc claim groups "a..b": not a path`},
		"role":               {func(a *App) { a.Roles["admin"] = Match{Groups: []string{"x"}} }, `role "admin": no such role; the roles are owner or auditor`},
		"role of nobody":     {func(a *App) { a.Roles["auditor"] = Match{} }, "role auditor: selects nobody"},
		"group twice":        {func(a *App) { a.Protect.Groups = []string{"a", "a"} }, `protect group "a": already specified`},
		"empty user":         {func(a *App) { a.Protect.Users = []string{""} }, `protect user "": not a name`},
		"policy name":        {func(a *App) { a.Policies[0].Name = "a b" }, `policy "a b": this is not a name`},
		"policy twice":       {func(a *App) { a.Policies = append(a.Policies, a.Policies[0]) }, "policy support: there are two of that name"},
		"policy no actor":    {func(a *App) { a.Policies[0].Actor = Match{} }, "policy support: actor: selects nobody"},
		"policy no target":   {func(a *App) { a.Policies[0].Target = Match{} }, "policy support: target: selects nobody"},
		"mode":               {func(a *App) { a.Policies[0].Modes = []string{"half"} }, `policy support: mode "half": not known; write full or read_only`},
		"mode twice":         {func(a *App) { a.Policies[0].Modes = []string{"full", "full"} }, "policy support: mode full: already specified"},
		"require":            {func(a *App) { a.Policies[0].Require = []string{"luck"} }, `policy support: require "luck": not known; write reason, notice, ticket, step_up, approval or consent`},
		"duration":           {func(a *App) { a.Policies[0].Duration = Duration(8 * day) }, "policy support: duration 8d: must be from 1s to 7d"},
		"duration too short": {func(a *App) { a.Policies[0].Duration = 1 }, "policy support: duration 1ns"},
		"extension short":    {func(a *App) { a.Policies[0].Extension = 1 }, "policy support: extension 1ns: must be from 1m to 1d"},
		"extension long":     {func(a *App) { a.Policies[0].Extension = Duration(2 * day) }, "policy support: extension 2d: must be from 1m to 1d"},
		"extension often":    {func(a *App) { a.Policies[0].Extension, a.Policies[0].Extensions = Duration(time.Minute), 21 }, "policy support: extension 1m 21: how often must be from 1 to 20"},
		"extension never":    {func(a *App) { a.Policies[0].Extension, a.Policies[0].Extensions = Duration(time.Minute), -1 }, "policy support: extension 1m -1: how often must be from 1 to 20"},
		"extension in all": {
			func(a *App) {
				a.Policies[0].Duration, a.Policies[0].Extension, a.Policies[0].Extensions = Duration(7*day), Duration(time.Hour), 1
			},
			"policy support: extension 1h 1: with the duration, 7d, this is longer than 7d",
		},
		"extension of nothing": {func(a *App) { a.Policies[0].Extensions = 2 }, "policy support: extension 0s: must be from 1m to 1d"},
		"policy color":         {func(a *App) { a.Policies[0].Color = "red" }, `policy support: color "red": not a colour`},
		"idle too long":        {func(a *App) { a.Policies[0].Idle = Duration(time.Hour) }, "policy support: idle 1h: must be shorter than the duration, 30m"},
		"no hours":             {func(a *App) { a.Policies[0].Hours = []string{"mon 9-17"} }, `policy support: hours "mon 9-17": must be days, times and a time zone; write such as: hours mon-fri`},
		"hours of no day":      {func(a *App) { a.Policies[0].Hours = []string{"monday 9:00-17:00 UTC"} }, `"monday" is no day`},
		"hours of no time":     {func(a *App) { a.Policies[0].Hours = []string{"mon 9-17 UTC"} }, `"9" is no time of day`},
		"hours after a day":    {func(a *App) { a.Policies[0].Hours = []string{"mon 9:00-24:01 UTC"} }, `"24:01" is no time of day`},
		"hours of nothing":     {func(a *App) { a.Policies[0].Hours = []string{"mon 9:00-9:00 UTC"} }, "they end when they begin"},
		"hours nowhere":        {func(a *App) { a.Policies[0].Hours = []string{"mon 9:00-17:00 Mars/Base"} }, `"Mars/Base" is no time zone`},
		"hours anywhere":       {func(a *App) { a.Policies[0].Hours = []string{"mon 9:00-17:00 Local"} }, "Local is another place on each machine"},
		"network":              {func(a *App) { a.Policies[0].Networks = []string{"10.0.0.0/99"} }, `network "10.0.0.0/99": neither address nor network`},
		"network of a host":    {func(a *App) { a.Policies[0].Networks = []string{"10.0.0.1/8"} }, "network 10.0.0.1/8: has more bits than its length; write 10.0.0.0/8"},
		"network mapped":       {func(a *App) { a.Policies[0].Networks = []string{"::ffff:10.0.0.0/104"} }, "network ::ffff:10.0.0.0/104: write it as one of IPv4"},
		"network twice":        {func(a *App) { a.Policies[0].Networks = []string{"10.0.0.1", "10.0.0.1"} }, "network 10.0.0.1: already specified"},
		"limit":                {func(a *App) { a.Policies[0].LimitActor = -1 }, "policy support: limit actor -1: must be from 1 to 1000"},
		"limit target":         {func(a *App) { a.Policies[0].LimitTarget = 1001 }, "policy support: limit target 1001: must be from 1 to 1000"},
		"reason length":        {func(a *App) { a.Policies[0].MinReason, a.Policies[0].MaxReason = 20, 10 }, "policy support: reason_length 20 10: must be from 1 to 500"},
		"reason for nothing":   {func(a *App) { a.Policies[0].MinReason, a.Policies[0].Require = 20, nil }, "policy support: reason_length: nothing asks for a reason; add require reason"},
		"role of a role":       {func(a *App) { a.Roles = map[string]Match{"owner": {Roles: []string{"auditor"}}} }, "role owner role: roles are for protect and withhold"},
		"actor's own groups":   {func(a *App) { a.Policies[0].Actor.OwnGroups = []string{"team-*"} }, "policy support: actor: own_groups and groups_in are for the target of a policy"},
		"withhold what role":   {func(a *App) { a.Withhold.Roles = []string{"admin"} }, `withhold role "admin": not known; write owner or auditor`},
		"attribute of nothing": {func(a *App) { a.Protect.Attributes = map[string][]string{"vip": nil} }, "protect attribute vip: no value"},
		"session lifetime":     {func(a *App) { a.Session.Lifetime = Duration(31 * day) }, "session lifetime 31d"},
		"session idle":         {func(a *App) { a.Session.Idle = Duration(13 * time.Hour) }, "session idle 13h"},
		"session idle short":   {func(a *App) { a.Session.Idle = 1 }, "session idle 1ns"},
		"journal at root":      {func(a *App) { a.Audit.Journal = "/./" }, `audit journal "/./": is the root`},
		"requests":             {func(a *App) { a.Audit.Requests = "some" }, `audit requests "some": not known; write impersonated or all`},
		"redact":               {func(a *App) { a.Audit.Redact = []string{""} }, `audit redact "": not a parameter's name`},
	} {
		t.Run(name, func(t *testing.T) {
			a := goodApp()
			a.SetDefaults()
			tt.break_(a)
			err := a.Validate()
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v\nwant   %s", err, tt.want)
			}
		})
	}
}

func TestSiteDefaults(t *testing.T) {
	var s Site
	s.SetDefaults()
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	on := true
	want := Site{
		Identity: []Header{
			{"Remote-User", "{impersonate.user.username}"},
			{"Remote-Email", "{impersonate.user.email}"},
			{"Remote-Name", "{impersonate.user.name}"},
			{"Remote-Groups", "{impersonate.user.groups}"},
		},
		ImpersonatedBy: &on,
		Banner: Banner{
			Color: "#b91c1c", Position: "top", Unmarked: "block",
		},
	}
	if d := cmp.Diff(want, s); d != "" {
		t.Errorf("defaults (-want +got):\n%s", d)
	}

	only := Site{Assertion: "X-Who"}
	only.SetDefaults()
	if len(only.Identity) != 0 {
		t.Errorf("a site that asks for an assertion alone gets identity headers too: %v", only.Identity)
	}
}

func TestSiteValidate(t *testing.T) {
	user := Header{"Remote-User", "{impersonate.user.username}"}
	for name, tt := range map[string]struct {
		site Site
		want string
	}{
		"header name":       {Site{Identity: []Header{{"Remote User", "x"}}}, `identity "Remote User": not a header's name`},
		"header reserved":   {Site{Identity: []Header{{"Cookie", "x"}}}, "identity Cookie: this header has another meaning"},
		"header folded":     {Site{Identity: []Header{user, {"remote_user", "x"}}}, "identity remote_user: the header is set already (Remote-User;"},
		"header dotted":     {Site{Identity: []Header{user, {"REMOTE.USER", "x"}}}, "identity REMOTE.USER: the header is set already"},
		"assertion ours":    {Site{Assertion: "X-Impersonated_By"}, "assertion X-Impersonated_By: the header is set already (X-Impersonated-By;"},
		"assertion taken":   {Site{Identity: []Header{user}, Assertion: "remote-user"}, "assertion remote-user: the header is set already"},
		"value empty":       {Site{Identity: []Header{{"Remote-User", ""}}}, `identity Remote-User "": not a value`},
		"value line break":  {Site{Identity: []Header{{"Remote-User", "a\nb"}}}, "not a value"},
		"color":             {Site{Banner: Banner{Color: "red;}"}}, `banner color "red;}": not a colour`},
		"position":          {Site{Banner: Banner{Position: "left"}}, `banner position "left": not known; write top or bottom`},
		"unmarked":          {Site{Banner: Banner{Unmarked: "maybe"}}, `banner unmarked "maybe": not known; write block or allow`},
		"deny relative":     {Site{Deny: []string{"billing"}}, `deny "billing": not a path`},
		"deny query":        {Site{Deny: []string{"/a?b=c"}}, "deny /a?b=c: only the path is looked at"},
		"deny placeholder":  {Site{Deny: []string{"/{x}"}}, "deny /{x}: placeholders mean nothing here"},
		"public own":        {Site{Public: []string{"/.impersonate/*"}}, "public /.impersonate/*: what is under /.impersonate is the gateway's own"},
		"action unnamed":    {Site{Actions: []Action{{"", "POST", []string{"/a"}}}}, `action "": not a name`},
		"action lower case": {Site{Actions: []Action{{"A", "post", []string{"/a"}}}}, `action "A" post: upper and lower case differ in a method; write POST`},
		"action no path":    {Site{Actions: []Action{{"A", "POST", nil}}}, `action "A" POST: no path`},
		"safe method":       {Site{Safe: []Safe{{"GET", []string{"/a"}}}}, "safe GET: is safe already"},
		"safe no method":    {Site{Safe: []Safe{{"/search*", []string{"/a"}}}}, `safe "/search*": not a method`},
		"too many patterns": {Site{Deny: manyPaths(513)}, "513 path patterns; at most 512"},
	} {
		t.Run(name, func(t *testing.T) {
			tt.site.SetDefaults()
			err := tt.site.Validate()
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v\nwant   %s", err, tt.want)
			}
		})
	}
}

func manyPaths(n int) []string {
	paths := make([]string, n)
	for i := range paths {
		paths[i] = "/a"
	}
	return paths
}

func TestClickHouseSinkValidate(t *testing.T) {
	for _, dsn := range []string{
		"clickhouse://writer:pass@ch1:9000,ch2:9000/impersonate",
		"clickhouse://127.0.0.1:9000",
		"clickhouse://a:b%40c@[::1]:9440/db?secure=true&skip_verify=false",
		"tcp://ch1:9000?database=impersonate",
	} {
		if err := (&ClickHouseSink{DSN: dsn}).Validate(); err != nil {
			t.Errorf("%s: %v", dsn, err)
		}
	}
	if got := (&ClickHouseSink{DSN: "clickhouse://u:p%2F@ch1:9000,ch2:9000/impersonate?secure=true"}).Place(); got != "ch1:9000,ch2:9000/impersonate" {
		t.Errorf("place %q", got)
	}
	for dsn, want := range map[string]string{
		"":                            "no address",
		"ch1:9000":                    "starts with neither clickhouse:// nor tcp://",
		"http://u:hunter2@ch1:8123":   "starts with neither",
		"clickhouse://u:hunter2@":     "names no host",
		"clickhouse://u:hunter2@:900": "names no host",
		"clickhouse://u:hunter2%@ch1": "percent-encode",
		"clickhouse://u:h\x01@ch1/db": "can't be read",
		"clickhouse://ch1:9000,,ch2":  "names no host",
	} {
		err := (&ClickHouseSink{DSN: dsn}).Validate()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", dsn, err, want)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error tells the password: %v", err)
		}
	}
}

// TestJSONIsSmall: what was left out stays out, so that an adapted Caddyfile shows what its author wrote.
func TestJSONIsSmall(t *testing.T) {
	b, err := json.Marshal(App{OIDC: OIDC{Issuer: "i", ClientID: "c", ClientSecret: "s"}})
	if err != nil || string(b) != `{"oidc":{"issuer":"i","client_id":"c","client_secret":"s"}}` {
		t.Errorf("%s, %v", b, err)
	}
	b, err = json.Marshal(Site{})
	if err != nil || string(b) != `{}` {
		t.Errorf("%s, %v", b, err)
	}
}

func TestParseHours(t *testing.T) {
	const h = time.Hour
	for text, want := range map[string]Hours{
		"mon-fri 08:00-18:00 Europe/Berlin": {Days: [7]bool{1: true, 2: true, 3: true, 4: true, 5: true}, From: 8 * h, To: 18 * h},
		"sat-mon,wed 8:30-24:00 UTC":        {Days: [7]bool{6: true, 0: true, 1: true, 3: true}, From: 8*h + 30*time.Minute, To: 24 * h},
		"daily 22:00-06:00 Asia/Tokyo":      {Days: [7]bool{true, true, true, true, true, true, true}, From: 22 * h, To: 6 * h},
	} {
		got, err := ParseHours(text)
		if err != nil {
			t.Fatal(err)
		}
		if want.In = got.In; got != want || got.In.String() != strings.Fields(text)[2] {
			t.Errorf("%s: %+v", text, got)
		}
	}
}
