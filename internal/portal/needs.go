package portal

import (
	"strings"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
)

// What a start needs, in the words of the configuration's `require`.
const (
	needReason   = "reason"
	needTicket   = "ticket"
	needApproval = "approval"
	needConsent  = "consent"
	needStepUp   = "step_up"
)

// judge decides whether the viewer may become somebody, and what they would need for it; apart: as if they used nobody's
// account now.
func (v *viewer) judge(u *directory.User, now time.Time, apart bool) foundRow {
	in := v.ask(policy.Person{Identity: &u.Identity, Known: true, Active: u.Active}, now)
	if apart {
		in.Nested = false
	}
	d := v.rules.Policy.Decide(in)
	return foundRow{user: u, refusal: d.Refusal, needs: v.needs(d, now)}
}

// needs are what a start within d needs of the viewer, or of others. A login that is fresh enough is none.
func (v *viewer) needs(d policy.Decision, now time.Time) []string {
	if d.Refusal != nil {
		return nil
	}
	var all []string
	missing := v.rules.Policy.Missing(d, policy.Choice{}, policy.Given{Now: now, AuthTime: v.session.AuthTime, ACR: v.session.ACR, Approved: true, Consented: true})
	for _, n := range []struct {
		is   bool
		what string
	}{{d.RequireReason, needReason}, {d.RequireTicket, needTicket}, {missing != nil, needStepUp}, {d.RequireApproval, needApproval}, {d.RequireConsent, needConsent}} {
		if n.is {
			all = append(all, n.what)
		}
	}
	return all
}

// inWords tells of what a start needs that is more than to fill in its form; empty: nothing.
func (t *quickTexts) inWords(needs []string) string {
	var all []string
	for _, n := range needs {
		if s := t.Needs[n]; s != "" {
			all = append(all, s)
		}
	}
	return strings.Join(all, " · ")
}
