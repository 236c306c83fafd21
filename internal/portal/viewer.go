package portal

import (
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
	"github.com/seed-240d5494/caddy-impersonate/internal/problem"
	"github.com/seed-240d5494/caddy-impersonate/internal/session"
)

// viewer is who asks, on the facts of this moment. The person is always the actor, also while they use another
// account.
type viewer struct {
	session *session.Session
	t       *texts // in their language
	from    impersonation.From
	rules   impersonation.Rules
	actor   policy.Person
	live    *impersonation.Live
	roles   []string
	may     bool // some policy names them
	liveOf  func(actor, target string) (ofActor, ofTarget int)
	// locked are the accounts whose people have objected to this actor, by the keys of their usernames; nil: none.
	locked map[string]bool
}

// viewer is nil when nobody is logged in.
func (p *portal) viewer(r *http.Request) *viewer {
	s, _, ok := p.Session(r)
	if !ok {
		return nil
	}
	v := &viewer{liveOf: p.Impersonations.LiveOf, session: s, t: textsOf(r), rules: p.Rules(), from: impersonation.From{IP: p.ClientIP(r), Host: r.Host}}
	u, known := v.rules.Directory.Person(&s.Claims)
	v.actor = policy.Person{Identity: &u.Identity, Known: known, Active: u.Active}
	v.roles = v.rules.Policy.Roles(v.actor.Identity)
	v.may = v.rules.Policy.MayImpersonate(v.actor)
	v.locked = p.Impersonations.LockedFor(v.actor.Username)
	if l := p.Impersonations.Of(r.Context(), s.ID); l != nil && p.Impersonations.CheckFrom(r.Context(), l, p.Clock.Now(), v.from) == nil {
		v.live = l
	}
	return v
}

// ask is the question whether they may become somebody now, from where they are.
func (v *viewer) ask(target policy.Person, now time.Time) policy.Input {
	locked := len(v.locked) > 0 && target.Identity != nil && v.locked[identity.Key(target.Username)]
	return policy.Input{Actor: v.actor, Target: target, Nested: v.live != nil, Locked: locked, Now: now, ClientIP: v.from.IP, Host: v.from.Host, Live: v.liveOf}
}

func (v *viewer) has(role string) bool { return slices.Contains(v.roles, role) }

// overseer may see everybody's impersonations, and who there is.
func (v *viewer) overseer() bool { return v.has(policy.RoleOwner) || v.has(policy.RoleAuditor) }

// mayList tells whether the directory is shown to them: names, emails and groups are for those whose work it is.
func (v *viewer) mayList() bool { return v.may || v.overseer() }

// page serves a page to whoever is logged in, and sends others to log in and back.
func (p *portal) page(serve func(http.ResponseWriter, *http.Request, *viewer)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v := p.viewer(r)
		switch {
		case v == nil:
			p.loginFirst(w, r)
		case !v.actor.Active:
			problem.Write(w, r, deactivated())
		default:
			serve(w, r, v)
		}
	}
}

// api is page for programs.
func (p *portal) api(serve func(http.ResponseWriter, *http.Request, *viewer)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v := p.viewer(r)
		switch {
		case v == nil:
			problem.Write(w, r, loginRequired(p.LoginURL))
		case !v.actor.Active:
			problem.Write(w, r, deactivated())
		default:
			serve(w, r, v)
		}
	}
}

func (p *portal) loginFirst(w http.ResponseWriter, r *http.Request) {
	if (r.Method == http.MethodGet || r.Method == http.MethodHead) && problem.WantsPage(r) {
		http.Redirect(w, r, p.LoginURL+"?return_to="+url.QueryEscape(r.URL.RequestURI()), http.StatusFound)
		return
	}
	problem.Write(w, r, loginRequired(p.LoginURL+"?return_to="+url.QueryEscape(root+"/")))
}
