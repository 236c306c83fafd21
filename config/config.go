// Package config is what an operator can set, as plain typed values: the JSON they write (or the Caddyfile is adapted
// to), the defaults, and checks whose messages name the option, the value that is wrong and what to write instead.
//
// It knows no server and opens nothing: checking a configuration reads no file, dials no host and creates no
// directory. What only a running server can decide (is the issuer there? can the journal be written?) is not here.
package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// Where things are kept unless the operator says otherwise.
const (
	DefaultStatePath   = "/var/lib/impersonate/state.db"
	DefaultJournalPath = "/var/lib/impersonate/journal"
	DefaultSQLitePath  = "/var/lib/impersonate/audit.db"
)

// App are the global settings: who logs in, who is known, who may become whom, what is recorded.
//
// Where something else can be plugged in, the setting is the JSON of a guest module; its tag tells the namespace it
// is looked up in and the key that names it. The settings of those that come with the gateway are [SQLiteState],
// [FileDirectory], [ClickHouseSink], [SQLiteSink], [EmailNotifier], [WebhookNotifier], [SlackNotifier].
type App struct {
	// State is where sessions and impersonations are kept. Default: {"backend": "sqlite"}.
	State json.RawMessage `json:"state,omitempty" caddy:"namespace=impersonate.state inline_key=backend"`

	// OIDC is the provider people log in at. Required.
	OIDC OIDC `json:"oidc"`

	// Directories tell who exists and who is active, the most trusted first. Default: [{"source": "seen"}], those
	// who have logged in.
	Directories []json.RawMessage `json:"directories,omitempty" caddy:"namespace=impersonate.directories inline_key=source"`

	// Roles are rights over the gateway itself, by name: owner (may change retention, see everything, end any
	// impersonation) and auditor (may read all audit). Nobody holds a role that is not given here. People with a
	// role can't be impersonated by people without it.
	Roles map[string]Match `json:"roles,omitempty"`

	// Protect are people who are never a target, whatever a policy says.
	Protect Match `json:"protect,omitzero"`

	// Withhold are people who never impersonate anyone, whatever a policy says.
	Withhold Match `json:"withhold,omitzero"`

	// Policies say who may become whom; the first that matches both people decides. Without any, nobody may
	// become anybody.
	Policies []Policy `json:"policies,omitempty"`

	// Session is how long a login lasts.
	Session Session `json:"session,omitzero"`

	// Audit is what is recorded, and where it is kept until a sink has it.
	Audit Audit `json:"audit,omitzero"`

	// Notifiers are what people are told by. Default: nothing but the notice in their own pages.
	Notifiers []json.RawMessage `json:"notifiers,omitempty" caddy:"namespace=impersonate.notifiers inline_key=via"`

	// Notify is when and how they are told.
	Notify Notify `json:"notify,omitzero"`

	// Clock tells the time. For tests only, which move it by hand; the Caddyfile does not know it.
	// Default: the machine's.
	Clock json.RawMessage `json:"clock,omitempty" caddy:"namespace=impersonate.clocks inline_key=source"`
}

// SetDefaults fills in what was left out.
func (a *App) SetDefaults() {
	if len(a.State) == 0 {
		a.State = json.RawMessage(`{"backend":"sqlite"}`)
	}
	if len(a.Directories) == 0 {
		a.Directories = []json.RawMessage{json.RawMessage(`{"source":"seen"}`)}
	}
	a.OIDC.setDefaults()
	for i := range a.Policies {
		a.Policies[i].SetDefaults()
	}
	a.Session.SetDefaults()
	a.Audit.setDefaults()
	a.Notify.setDefaults()
}

// maxPolicies bounds what is looked through when a decision is made.
const maxPolicies = 1000

// Validate reports everything that is wrong, after [App.SetDefaults] and once placeholders are replaced.
func (a *App) Validate() error {
	errs := []error{a.OIDC.validate()}
	for _, role := range sortedKeys(a.Roles) {
		if !slices.Contains(roles, role) {
			errs = append(errs, fmt.Errorf("role %q: no such role; the roles are %s", role, list(roles)))
		}
		errs = append(errs, a.Roles[role].validate("role "+role))
	}
	if !a.Protect.Empty() {
		errs = append(errs, a.Protect.validate("protect"))
	}
	if !a.Withhold.Empty() {
		errs = append(errs, a.Withhold.validate("withhold"))
	}
	if len(a.Policies) > maxPolicies {
		errs = append(errs, fmt.Errorf("%d policies; at most %d", len(a.Policies), maxPolicies))
	}
	names := make(map[string]bool, len(a.Policies))
	for i := range a.Policies {
		p := &a.Policies[i]
		errs = append(errs, p.Validate())
		if p.Name != "" && names[p.Name] {
			errs = append(errs, fmt.Errorf("policy %s: there are two of that name; rename one, the name is in the audit", p.Name))
		}
		names[p.Name] = true
		if slices.Contains(p.Require, RequireStepUp) && a.OIDC.StepUp == 0 {
			errs = append(errs, fmt.Errorf("policy %s: require step_up: how recent the login has to be is not said; write step_up 5m into oidc", p.Name))
		}
		if slices.Contains(p.Require, RequireApproval) && p.Approvers.Empty() && a.Roles["owner"].Empty() {
			errs = append(errs, fmt.Errorf("policy %s: require approval: nobody can give it; write approvers group NAME…, or give somebody the role owner", p.Name))
		}
	}
	errs = append(errs, a.Session.Validate(), a.Audit.validate(), a.Notify.Validate(), a.validateReach())
	return errors.Join(errs...)
}
