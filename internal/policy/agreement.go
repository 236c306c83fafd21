package policy

import (
	"slices"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
)

const (
	// DefaultRequestLife is how long a start waits for somebody to agree, where the operator says nothing.
	DefaultRequestLife = time.Hour
	// stepUpSkew is how far the provider's clock, which tells when somebody logged in, may be from ours.
	stepUpSkew = time.Minute
)

// StepUp is the fresh login that policies can require.
type StepUp struct {
	// Within is how long ago it may be at a start; 0: no policy can require one.
	Within time.Duration
	// ACR are the authentication contexts that will do (the claim acr); empty: any.
	ACR []string
}

// Given is what somebody has to show at a start, beside what they chose.
type Given struct {
	Now time.Time
	// AuthTime is when they last proved who they are, ACR how; zero and empty: the provider did not say.
	AuthTime time.Time
	ACR      string
	// Approved and Consented: a second person and the target have agreed to this very start.
	Approved, Consented bool
}

// Missing is what a start within d still needs; nil: nothing. An emergency needs nobody's agreement, where the policy has
// emergencies: [Set.Settle] refuses it elsewhere.
func (s *Set) Missing(d Decision, c Choice, g Given) *Refusal {
	switch {
	case d.Refusal != nil:
		return d.Refusal
	case d.RequireApproval && !g.Approved && !c.Emergency:
		return refuse(RefusedApproval)
	case d.RequireConsent && !g.Consented && !c.Emergency:
		return refuse(RefusedConsent)
	case d.RequireStepUp && !s.stepUp.fresh(g):
		return refuse(RefusedStepUp)
	}
	return nil
}

// StepUp is the fresh login that policies can require.
func (s *Set) StepUp() StepUp { return s.stepUp }

// fresh tells whether the login is recent and strong enough. What the provider did not say is not proven.
func (u *StepUp) fresh(g Given) bool {
	if u.Within <= 0 || g.AuthTime.IsZero() || g.Now.Sub(g.AuthTime) > u.Within+stepUpSkew {
		return false
	}
	return len(u.ACR) == 0 || g.ACR != "" && slices.Contains(u.ACR, g.ACR)
}

// Agreed tells whether an agreement can be asked for at all: whether any policy requires one.
func (s *Set) Agreed() bool {
	return slices.ContainsFunc(s.policies, func(p compiled) bool { return p.decision.RequireApproval || p.decision.RequireConsent })
}

// MayApprove tells whether somebody may approve that the actor becomes the target under the policy of that name: one of
// its approvers, active, and neither of the two.
func (s *Set) MayApprove(policy string, approver, actor, target Person) bool {
	if approver.Identity == nil || !approver.Active || actor.Identity == nil || target.Identity == nil || SamePerson(approver, actor) || SamePerson(approver, target) {
		return false
	}
	key := identity.Key(approver.Username)
	if key == "" {
		return false
	}
	for i := range s.policies {
		if p := &s.policies[i]; p.decision.Policy == policy {
			var buf [onStack]uint64
			return p.decision.RequireApproval && s.terms.of(&buf, key, approver.Identity).meets(p.approvers)
		}
	}
	return false
}

// SamePerson tells whether two are one account: by username, or by the id of the directory that knows both.
func SamePerson(a, b Person) bool {
	if identity.Key(a.Username) == identity.Key(b.Username) {
		return true
	}
	return a.Known && b.Known && a.ID != "" && a.ID == b.ID
}
