package caddymodule

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/seed-240d5494/caddy-impersonate/config"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("impersonate", parseGlobalOption)
}

func parseGlobalOption(d *caddyfile.Dispenser, existing any) (any, error) {
	if existing != nil {
		d.Next()
		return nil, d.Errf("impersonate is already specified; write all global settings into one block")
	}
	app := new(App)
	if err := app.UnmarshalCaddyfile(d); err != nil {
		return nil, err
	}
	return httpcaddyfile.App{Name: appID, Value: caddyconfig.JSON(app, nil)}, nil
}

// UnmarshalCaddyfile reads the global option. Syntax:
//
//	impersonate {
//	    state sqlite [<path>]
//	    oidc {
//	        issuer        <url>
//	        client_id     <id>
//	        client_secret <secret>
//	        scopes        <scope…>
//	        claim         <name> <path>
//	        step_up       <duration> [<acr…>]
//	    }
//	    directory file <path>
//	    directory seen
//	    role     owner|auditor group|user|attribute <name…>
//	    protect  group|user|attribute|role <name…>
//	    withhold group|user|attribute|role <name…>
//	    policy <name> {
//	        actor    group|user|attribute <name…>
//	        target   group|user|attribute|own_groups|groups_in <name…>
//	        when     <expression>
//	        hours    <days> <from>-<to> <time zone>
//	        network  <address or network…>
//	        limit    actor|target <n>
//	        mode     full|read_only…
//	        duration <duration>
//	        idle     <duration>
//	        extension <duration> [<times>]
//	        color    <color>
//	        require  reason|notice|ticket|step_up|approval|consent…
//	        reason_length <at least> [<at most>]
//	        ticket { pattern, example, url }
//	        notify   target|owners|nobody…
//	        objection alert|lock
//	        approvers group|user <name…>
//	        request_expires <duration>
//	        emergency
//	    }
//	    session {
//	        lifetime <duration>
//	        idle     <duration>
//	    }
//	    audit {
//	        journal    <directory>
//	        clickhouse <dsn>
//	        sqlite     [<path>]
//	        requests   impersonated|all
//	        fields     on|off
//	        signing_key <file>
//	        checkpoint <rows> [<duration>]
//	        retention  <days>|forever [floor <days>|forever]
//	        witness    file|webhook|syslog <where> { … }
//	        redact     <parameter…>
//	        redact     name|value ~<pattern>…
//	    }
//	    notify email|webhook|slack <url> { … }
//	    notify zone   <zone>
//	    notify digest off|<day> [<time>]
//	}
//
// directory, role, protect, withhold, policy, notify, witness and a policy's hours can be given several times; the order of directory and of policy lines counts.
// After state, directory, notify, witness and in audit, the name of any guest module of the namespace may stand, followed by its own
// settings.
func (a *App) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the option's name
	options := []string{"state", "oidc", "directory", "role", "protect", "withhold", "policy", "session", "audit", "notify"}
	return readBlock(d, "impersonate", options, func(b *block, option string) error {
		switch option {
		case "state":
			if err := b.once(option); err != nil {
				return err
			}
			return a.parseState(b)
		case "oidc":
			if err := b.once(option); err != nil {
				return err
			}
			return parseOIDC(d, &a.OIDC)
		case "directory":
			return a.parseDirectory(b)
		case "role":
			return a.parseRole(b)
		case "protect":
			return b.match("protect", &a.Protect, "role")
		case "withhold":
			return b.match("withhold", &a.Withhold, "role")
		case "policy":
			return a.parsePolicy(b)
		case "session":
			if err := b.once(option); err != nil {
				return err
			}
			return parseSession(d, &a.Session)
		case "audit":
			if err := b.once(option); err != nil {
				return err
			}
			return parseAudit(d, &a.Audit)
		case "notify":
			return a.parseNotify(b)
		}
		return b.unknown(option)
	})
}

func (a *App) parseState(b *block) error {
	if !b.NextArg() {
		return b.Errf("impersonate: state: a value is missing; write such as: state sqlite %s", config.DefaultStatePath)
	}
	raw, err := parseGuest(b, "state", "impersonate.state", "backend")
	a.State = raw
	return err
}

func (a *App) parseDirectory(b *block) error {
	if !b.NextArg() {
		return b.Errf("impersonate: directory: a value is missing; write such as: directory file /etc/impersonate/users.yaml")
	}
	raw, err := parseGuest(b, "directory", "impersonate.directories", "source")
	if err != nil {
		return err
	}
	if slices.ContainsFunc(a.Directories, func(r json.RawMessage) bool { return string(r) == string(raw) }) {
		return b.Errf("impersonate: directory: this one is already specified; remove one")
	}
	a.Directories = append(a.Directories, raw)
	return nil
}

// parseGuest reads the guest module named by the current token.
func parseGuest(b *block, option, namespace, inlineKey string) (json.RawMessage, error) {
	name := b.Val()
	id := namespace + "." + name
	if _, err := caddy.GetModule(id); err != nil {
		if err := refuseUnbuilt(b.Dispenser, option, name); err != nil {
			return nil, err
		}
		return nil, b.Errf("%s: %s: %q is not known; write %s", b.name, option, name, strings.Join(guests(namespace), " or "))
	}
	guest, err := caddyfile.UnmarshalModule(b.Dispenser, id)
	if err != nil {
		return nil, err
	}
	var warnings []caddyconfig.Warning
	raw := caddyconfig.JSONModuleObject(guest, inlineKey, name, &warnings)
	if len(warnings) > 0 {
		return nil, b.Errf("%s: %s %s: %s", b.name, option, name, warnings[0].Message)
	}
	return raw, nil
}

// guests lists the names of the modules in a namespace.
func guests(namespace string) []string {
	var names []string
	for _, m := range caddy.GetModules(namespace) {
		names = append(names, m.ID.Name())
	}
	return names
}

func parseOIDC(d *caddyfile.Dispenser, o *config.OIDC) error {
	options := []string{"issuer", "client_id", "client_secret", "scopes", "claim", "step_up"}
	return readBlock(d, "oidc", options, func(b *block, option string) error {
		switch option {
		case "issuer":
			return b.value(option, &o.Issuer, "https://idp.example.com/realms/main")
		case "client_id":
			return b.value(option, &o.ClientID, "gateway")
		case "client_secret":
			return b.value(option, &o.ClientSecret, "{file./run/secrets/oidc}")
		case "scopes":
			if err := b.once(option); err != nil {
				return err
			}
			var err error
			o.Scopes, err = b.values(option, 1, -1, "scopes openid profile email groups")
			return err
		case "claim":
			v, err := b.values(option, 2, 2, "claim groups realm_access.roles")
			if err != nil {
				return err
			}
			if err := b.once(option, v[0]); err != nil {
				return err
			}
			if o.Claims == nil {
				o.Claims = make(map[string]string)
			}
			o.Claims[v[0]] = v[1]
			return nil
		case "step_up":
			return parseStepUp(b, o)
		}
		return b.unknown(option)
	})
}

// parseStepUp reads how recent a login has to be, and which authentication contexts will do.
func parseStepUp(b *block, o *config.OIDC) error {
	const option, example = "step_up", "step_up 5m"
	if err := b.once(option); err != nil {
		return err
	}
	v, err := b.values(option, 1, -1, example)
	if err != nil {
		return err
	}
	if o.StepUp, err = config.ParseDuration(v[0]); err != nil {
		return b.Errf("%s: %s: %w", b.name, option, err)
	}
	if o.StepUp == 0 {
		return b.Errf("%s: %s: no login is as recent as that; write such as: %s", b.name, option, example)
	}
	if len(v) > 1 {
		o.StepUpACR = v[1:]
	}
	return nil
}

func (a *App) parseRole(b *block) error {
	if !b.NextArg() {
		return b.Errf("impersonate: role: a value is missing; write such as: role auditor group auditors")
	}
	name := b.Val()
	if name != "owner" && name != "auditor" {
		return b.Errf("impersonate: role: %q is not known; write owner or auditor", name)
	}
	m := a.Roles[name]
	if err := b.match("role "+name, &m); err != nil {
		return err
	}
	if a.Roles == nil {
		a.Roles = make(map[string]config.Match)
	}
	a.Roles[name] = m
	return nil
}

func (a *App) parsePolicy(b *block) error {
	if !b.NextArg() {
		return b.Errf("impersonate: policy: its name is missing; write such as: policy support { … }")
	}
	p := config.Policy{Name: b.Val()}
	if err := b.once("policy", p.Name); err != nil {
		return err
	}
	options := []string{"actor", "target", "when", "hours", "network", "limit", "mode", "duration", "idle", "extension", "color", "require", "reason_length", "ticket", "approvers", "request_expires", "emergency", "notify", "objection"}
	err := readBlock(b.Dispenser, "policy "+p.Name, options, func(b *block, option string) (err error) {
		switch option {
		case "actor":
			return b.match(option, &p.Actor)
		case "target":
			return b.match(option, &p.Target, "own_groups", "groups_in")
		case "when":
			if err := b.value(option, &p.When, "`actor.department == target.department`"); err != nil {
				return err
			}
			if err := policy.CheckWhen(p.When); err != nil {
				return b.Errf("%s: when: %w", b.name, err)
			}
			return nil
		case "hours", "network", "limit", "reason_length", "ticket":
			return parseLimit(b, option, &p.Limits)
		case "mode":
			if err := b.once(option); err != nil {
				return err
			}
			p.Modes, err = b.words(option, "mode full read_only", []string{config.ModeFull, config.ModeReadOnly})
			return err
		case "duration":
			return b.duration(option, &p.Duration, "30m")
		case "idle":
			return b.duration(option, &p.Idle, "10m")
		case "extension":
			return parseExtension(b, &p)
		case "color":
			return b.value(option, &p.Color, `"#b91c1c"`)
		case "notify":
			if err := b.once(option); err != nil {
				return err
			}
			p.Notify, err = b.words(option, "notify target owners", []string{config.NotifyTarget, config.NotifyOwners, config.NotifyNobody})
			return err
		case "objection":
			if err := b.value(option, &p.Objection, config.ObjectionLock); err != nil {
				return err
			}
			if p.Objection != config.ObjectionAlert && p.Objection != config.ObjectionLock {
				return b.Errf("%s: objection: %q is not known; write alert or lock", b.name, p.Objection)
			}
			return nil
		case "require":
			if err := b.once(option); err != nil {
				return err
			}
			known := []string{config.RequireReason, config.RequireNotice, config.RequireTicket, config.RequireStepUp, config.RequireApproval, config.RequireConsent}
			p.Require, err = b.words(option, "require reason approval", known)
			return err
		case "approvers":
			return b.match(option, &p.Approvers)
		case "request_expires":
			return b.duration(option, &p.RequestExpires, "1h")
		case "emergency":
			if err := b.once(option); err != nil {
				return err
			}
			p.Emergency = true
			_, err = b.values(option, 0, 0, option)
			return err
		}
		return b.unknown(option)
	})
	if err != nil {
		return err
	}
	a.Policies = append(a.Policies, p)
	p.SetDefaults()
	if err := p.Validate(); err != nil {
		return b.WrapErr(err)
	}
	return nil
}

// parseExtension reads how much time a press adds, and how often.
func parseExtension(b *block, p *config.Policy) error {
	const option, example = "extension", "extension 15m 2"
	if err := b.once(option); err != nil {
		return err
	}
	v, err := b.values(option, 1, 2, example)
	if err != nil {
		return err
	}
	if p.Extension, err = config.ParseDuration(v[0]); err != nil {
		return b.Errf("%s: %s: %w", b.name, option, err)
	}
	if p.Extension == 0 {
		return b.Errf("%s: %s: 0 adds nothing; leave it out, or write such as: %s", b.name, option, example)
	}
	if len(v) == 2 {
		if p.Extensions, err = strconv.Atoi(v[1]); err != nil || p.Extensions == 0 {
			return b.Errf("%s: %s: %q is not how often; write a number, such as: %s", b.name, option, v[1], example)
		}
	}
	return nil
}

func parseSession(d *caddyfile.Dispenser, s *config.Session) error {
	err := readBlock(d, "session", []string{"lifetime", "idle"}, func(b *block, option string) error {
		switch option {
		case "lifetime":
			return b.duration(option, &s.Lifetime, "12h")
		case "idle":
			return b.duration(option, &s.Idle, "1h")
		}
		return b.unknown(option)
	})
	if err != nil {
		return err
	}
	whole := *s
	whole.SetDefaults()
	if err := whole.Validate(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

func parseCheckpoint(b *block, a *config.Audit) error {
	if err := b.once("checkpoint"); err != nil {
		return err
	}
	vs, err := b.values("checkpoint", 1, 2, "checkpoint 1000 10s")
	if err != nil {
		return err
	}
	if a.CheckpointRows, err = strconv.ParseUint(vs[0], 10, 64); err != nil || a.CheckpointRows == 0 {
		return b.Errf("audit: checkpoint: %q is not a number of rows; write such as: checkpoint 1000 10s", vs[0])
	}
	if len(vs) == 2 {
		if a.CheckpointTime, err = config.ParseDuration(vs[1]); err != nil {
			return b.Errf("audit: checkpoint: %w", err)
		}
	}
	return nil
}

// parseRedact reads names, or patterns: these begin with ~.
func parseRedact(b *block, a *config.Audit) error {
	const option = "redact"
	v, err := b.values(option, 1, -1, "redact token password secret")
	if err != nil {
		return err
	}
	if len(v) == 1 || (v[0] != "name" && v[0] != "value") || !strings.HasPrefix(v[1], "~") {
		for _, name := range v {
			if strings.HasPrefix(name, "~") {
				return b.Errf("audit: redact: %q: say what the pattern is of; write such as: redact name ~(?i)^badge", name)
			}
			if slices.Contains(a.Redact, name) {
				return b.Errf("audit: redact: %s is already specified; remove one", name)
			}
			a.Redact = append(a.Redact, name)
		}
		return nil
	}
	into := &a.RedactNames
	if v[0] == "value" {
		into = &a.RedactValues
	}
	for i, text := range v[1:] {
		pattern, ok := strings.CutPrefix(text, "~")
		if !ok {
			return b.Errf("audit: redact %s: unexpected %q; patterns begin with ~, names go on a line of their own", v[0], text)
		}
		if err := audit.CheckPattern(pattern); err != nil {
			return b.Errf("audit: redact %s: pattern %d: %w", v[0], i+1, err)
		}
		*into = append(*into, pattern)
	}
	return nil
}

// parseRetention reads how long the audit is kept, and the least that an owner may change it to.
func parseRetention(b *block, a *config.Audit) error {
	const option, example = "retention", "retention 400d floor 90d"
	if err := b.once(option); err != nil {
		return err
	}
	v, err := b.values(option, 1, 3, example)
	if err != nil {
		return err
	}
	a.Retention = v[0]
	switch {
	case len(v) == 1:
	case v[1] != "floor":
		return b.Errf("audit: %s: unexpected %q; write such as: %s", option, v[1], example)
	case len(v) == 2:
		return b.Errf("audit: %s: the floor's value is missing; write such as: %s", option, example)
	default:
		a.RetentionFloor = v[2]
	}
	if _, _, err := a.RetentionDays(); err != nil {
		return b.WrapErr(err)
	}
	return nil
}

func parseWitness(b *block, a *config.Audit) error {
	const example = "witness file /mnt/worm/impersonate/checkpoints"
	if !b.NextArg() {
		return b.Errf("audit: witness: a value is missing; write such as: %s", example)
	}
	raw, err := parseGuest(b, "witness", "impersonate.witnesses", "witness")
	if err != nil {
		return err
	}
	if slices.ContainsFunc(a.Witnesses, func(r json.RawMessage) bool { return string(r) == string(raw) }) {
		return b.Errf("audit: witness: this one is already specified; remove one")
	}
	a.Witnesses = append(a.Witnesses, raw)
	return nil
}

func parseAudit(d *caddyfile.Dispenser, a *config.Audit) error {
	options := append([]string{"journal", "requests", "fields", "retention", "redact", "signing_key", "checkpoint", "witness"}, guests("impersonate.sinks")...)
	return readBlock(d, "audit", options, func(b *block, option string) (err error) {
		switch option {
		case "journal":
			return b.value(option, &a.Journal, config.DefaultJournalPath)
		case "requests":
			if err := b.once(option); err != nil {
				return err
			}
			known := []string{config.RequestsImpersonated, config.RequestsAll}
			v, err := b.words(option, "requests all", known)
			if err != nil {
				return err
			}
			if len(v) > 1 {
				return b.Errf("audit: requests: unexpected %q; write one of %s", v[1], strings.Join(known, " or "))
			}
			a.Requests = v[0]
			return nil
		case "fields":
			a.Fields, err = b.onOff(option, "on")
			return err
		case "redact":
			return parseRedact(b, a)
		case "signing_key":
			return b.value(option, &a.SigningKey, "/etc/impersonate/signing_key.pem")
		case "checkpoint":
			return parseCheckpoint(b, a)
		case "retention":
			return parseRetention(b, a)
		case "witness":
			return parseWitness(b, a)
		}
		if !slices.Contains(b.options, option) {
			return b.unknown(option)
		}
		if err := b.once(option); err != nil {
			return err
		}
		sink, err := parseGuest(b, "sink", "impersonate.sinks", "sink")
		if err != nil {
			return err
		}
		a.Sinks = append(a.Sinks, sink)
		return nil
	})
}

// Interface guard
var _ caddyfile.Unmarshaler = (*App)(nil)
