package caddymodule

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/caddyserver/caddy/v2"

	"github.com/seed-240d5494/caddy-impersonate/config"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
)

const appID = "impersonate"

func init() {
	caddy.RegisterModule(new(App))
}

// App holds what all sites share: who logs in and where, who is known, who may become whom, what is recorded. Sites are
// protected by the handler http.handlers.impersonate.
//
// Placeholders such as {env.NAME} and {file./path} are replaced, when the configuration is loaded, in the settings of
// oidc, in paths and in addresses.
//
// State and journal outlive a reload: sessions and live impersonations go on, and are decided anew under the new
// configuration.
type App struct {
	config.App

	// Set by Provision.
	ctx         caddy.Context
	log         *slog.Logger
	clock       clock.Clock
	state       StateOpener
	directories []SourceOpener
	sinks       []SinkOpener
	witnesses   []WitnessOpener
	notifiers   []NotifierOpener
	policy      *policy.Set // set by Validate

	running
}

// CaddyModule implements [caddy.Module].
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: appID, New: func() caddy.Module { return new(App) }}
}

// Provision fills in defaults, replaces placeholders and loads the guest modules. It opens nothing.
func (a *App) Provision(ctx caddy.Context) error {
	a.ctx, a.log, a.clock = ctx, ctx.Slogger(), clock.System
	a.ready, a.requests = make(chan struct{}), newInflight()
	a.SetDefaults()
	if err := a.resolve(); err != nil {
		return err
	}
	if err := a.loadGuests(ctx); err != nil {
		return err
	}
	return a.registerMetrics(ctx)
}

// resolve replaces placeholders.
func (a *App) resolve() error {
	if a.OIDC.Issuer == "" && a.OIDC.ClientID == "" {
		return nil // Validate says that it is missing
	}
	errs := []error{
		resolve("oidc issuer", &a.OIDC.Issuer),
		resolve("oidc client_id", &a.OIDC.ClientID),
		resolve("oidc client_secret", &a.OIDC.ClientSecret),
		resolvePath("audit journal", &a.Audit.Journal),
		resolvePath("audit signing_key", &a.Audit.SigningKey),
	}
	return errors.Join(errs...)
}

func (a *App) loadGuests(ctx caddy.Context) error {
	state, err := ctx.LoadModule(&a.App, "State")
	if err != nil {
		return fmt.Errorf("loading state: %w", err)
	}
	var ok bool
	if a.state, ok = state.(StateOpener); !ok {
		return notA(state, "impersonate.state", "StateOpener")
	}
	directories, err := ctx.LoadModule(&a.App, "Directories")
	if err != nil {
		return fmt.Errorf("loading directories: %w", err)
	}
	scims := 0
	for _, d := range directories.([]any) { // LoadModule's result for a list
		opener, ok := d.(SourceOpener)
		if !ok {
			return notA(d, "impersonate.directories", "SourceOpener")
		}
		if _, ok := d.(*SCIMDirectory); ok {
			if scims++; scims > 1 {
				return errors.New("directory scim: there are two; a site has one address for it, so remove one")
			}
		}
		a.directories = append(a.directories, opener)
	}
	sinks, err := ctx.LoadModule(&a.Audit, "Sinks")
	if err != nil {
		return fmt.Errorf("loading audit sinks: %w", err)
	}
	kinds := make(map[caddy.ModuleID]bool)
	for _, s := range sinks.([]any) { // likewise
		opener, ok := s.(SinkOpener)
		if !ok {
			return notA(s, "impersonate.sinks", "SinkOpener")
		}
		// How far the journal was shipped is kept by the kind of sink.
		if kind := s.(caddy.Module).CaddyModule().ID; !kinds[kind] {
			kinds[kind] = true
		} else {
			return fmt.Errorf("audit: there are two sinks of the kind %s; remove one", kind.Name())
		}
		a.sinks = append(a.sinks, opener)
	}
	if err := a.loadWitnesses(ctx); err != nil {
		return err
	}
	notifiers, err := ctx.LoadModule(&a.App, "Notifiers")
	if err != nil {
		return fmt.Errorf("loading notifiers: %w", err)
	}
	for _, n := range notifiers.([]any) { // likewise
		opener, ok := n.(NotifierOpener)
		if !ok {
			return notA(n, "impersonate.notifiers", "NotifierOpener")
		}
		a.notifiers = append(a.notifiers, opener)
	}
	if len(a.Clock) > 0 {
		source, err := ctx.LoadModule(&a.App, "Clock")
		if err != nil {
			return fmt.Errorf("loading clock: %w", err)
		}
		c, ok := source.(ClockSource)
		if !ok {
			return notA(source, "impersonate.clocks", "ClockSource")
		}
		a.clock = c.Clock()
	}
	return nil
}

func (a *App) loadWitnesses(ctx caddy.Context) error {
	if len(a.Audit.Witnesses) == 0 {
		return nil
	}
	witnesses, err := ctx.LoadModule(&a.Audit, "Witnesses")
	if err != nil {
		return fmt.Errorf("loading audit witnesses: %w", err)
	}
	for _, w := range witnesses.([]any) { // LoadModule's result for a list
		opener, ok := w.(WitnessOpener)
		if !ok {
			return notA(w, "impersonate.witnesses", "WitnessOpener")
		}
		if slices.ContainsFunc(a.witnesses, func(other WitnessOpener) bool { return other.Key() == opener.Key() }) {
			return errors.New("audit: there are two witnesses that are the same; remove one")
		}
		a.witnesses = append(a.witnesses, opener)
	}
	return nil
}

func notA(module any, namespace, want string) error {
	return fmt.Errorf("module %T is in the namespace %s but is no %s", module, namespace, want)
}

// Validate checks the settings and compiles the policies.
func (a *App) Validate() error {
	if err := a.App.Validate(); err != nil {
		return err
	}
	if _, err := a.redactor(); err != nil {
		return err
	}
	var err error
	a.policy, err = policy.Compile(a.rules())
	return err
}

// redactor is what keeps secrets out of the record.
func (a *App) redactor() (*audit.Redactor, error) {
	r := audit.NewRedactor(a.Audit.Redact...)
	if err := r.Patterns(a.Audit.RedactNames, a.Audit.RedactValues); err != nil {
		return nil, fmt.Errorf("audit redact: %w", err)
	}
	return r, nil
}

// rules are the settings as the policy package wants them.
func (a *App) rules() policy.Rules {
	match := func(m config.Match) policy.Match {
		return policy.Match{Groups: m.Groups, Users: m.Users, Attributes: m.Attributes, Roles: m.Roles, OwnGroups: m.OwnGroups, GroupsIn: m.GroupsIn}
	}
	rules := policy.Rules{
		Protect: match(a.Protect), Withhold: match(a.Withhold), Roles: make(map[string]policy.Match),
		StepUp: policy.StepUp{Within: a.OIDC.StepUp.Std(), ACR: a.OIDC.StepUpACR},
	}
	for role, m := range a.Roles {
		rules.Roles[role] = match(m)
	}
	for _, p := range a.Policies {
		compiled := policy.Policy{
			Name: p.Name, Actor: match(p.Actor), Target: match(p.Target), When: p.When, Modes: p.Modes,
			Duration: p.Duration.Std(), Idle: p.Idle.Std(), Extension: p.Extension.Std(), Extensions: p.Extensions, Color: p.Color,
			Approvers: match(p.Approvers), RequestLife: p.RequestExpires.Std(), Emergency: p.Emergency,
			LimitActor: p.LimitActor, LimitTarget: p.LimitTarget, MinReason: p.MinReason, MaxReason: p.MaxReason, Ticket: policy.Ticket(p.Ticket),
			TellTarget: slices.Contains(p.Notify, config.NotifyTarget), TellOwners: slices.Contains(p.Notify, config.NotifyOwners),
			LockOnObjection: p.Objection == config.ObjectionLock,
		}
		for _, text := range p.Hours {
			if h, err := config.ParseHours(text); err == nil { // Validate has seen to it
				compiled.Hours = append(compiled.Hours, policy.Hours(h))
			}
		}
		compiled.Networks, _ = config.ParseNetworks(p.Networks) //nolint:errcheck // likewise
		for _, r := range p.Require {
			switch r {
			case config.RequireReason:
				compiled.RequireReason = true
			case config.RequireTicket:
				compiled.RequireTicket = true
			case config.RequireStepUp:
				compiled.RequireStepUp = true
			case config.RequireApproval:
				compiled.RequireApproval = true
			case config.RequireNotice:
				compiled.RequireNotice = true
			case config.RequireConsent:
				compiled.RequireConsent = true
			}
		}
		rules.Policies = append(rules.Policies, compiled)
	}
	return rules
}

// Interface guards
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.Validator    = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
