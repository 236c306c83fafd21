package impersonation_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
	"github.com/seed-240d5494/caddy-impersonate/internal/notify"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
	"github.com/seed-240d5494/caddy-impersonate/internal/session"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

// post is where notices go.
type post struct {
	prepared *notify.Message
	mu       sync.Mutex
	all      []*notify.Message
}

// Prepare keeps the message until it is stored with what it tells of, and Wake is called.
func (p *post) Prepare(_ context.Context, m *notify.Message) ([]*state.Notice, error) {
	p.prepared = m
	return []*state.Notice{{ID: m.ID, Via: "post", CreatedAt: m.At, DueAt: m.At}}, nil
}

func (p *post) Wake() { _ = p.Put(context.Background(), p.prepared) }

func (*post) Reaches(*notify.Message, string) bool { return true }

func (p *post) Put(_ context.Context, m *notify.Message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = append(p.all, m)
	return nil
}

// to is who was told, as kind:name,name.
func (p *post) to() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []string
	for _, m := range p.all {
		var names []string
		for _, r := range m.To {
			names = append(names, r.Username)
		}
		slices.Sort(names)
		out = append(out, strings.TrimSuffix(fmt.Sprint(m.Kind, ":", strings.Join(names, ","), ":", m.Decision), ":"))
	}
	return out
}

// needs makes the policy "support" need something.
func needs(edit func(*policy.Policy)) func(*policy.Rules) {
	return func(r *policy.Rules) {
		r.StepUp = policy.StepUp{Within: 5 * time.Minute}
		edit(&r.Policies[0])
	}
}

func approval(p *policy.Policy) {
	p.RequireApproval, p.Approvers = true, policy.Match{Groups: []string{"admins"}, Users: []string{"stan"}}
}

func by(s *session.Session) impersonation.Deciding {
	return impersonation.Deciding{Session: s, Note: "as agreed", IP: netip.MustParseAddr("198.51.100.1")}
}

func code(err error) string {
	if r := policy.AsRefusal(err); r != nil {
		return r.Code
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

func wantCode(t *testing.T, err error, want string) {
	t.Helper()
	if got := code(err); got != want {
		t.Fatalf("%q, want %q", got, want)
	}
}

// ask asks for sam's account and has it wait.
func (w *world) ask(s *session.Session, target string) *state.Request {
	w.t.Helper()
	r, err := w.Ask(w.t.Context(), request(s, target))
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) approve(id string, s *session.Session) *impersonation.Asked {
	w.t.Helper()
	a, err := w.Approve(w.t.Context(), id, by(s))
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// begin starts what was asked for.
func (w *world) begin(s *session.Session, id string) (*impersonation.Live, error) {
	req := request(s, "somebody else entirely")
	req.Request, req.Reason, req.Duration, req.Mode = id, "another reason", time.Second, "no mode"
	return w.Start(w.t.Context(), req)
}

func (w *world) asked(id string) *state.Request {
	w.t.Helper()
	r, err := w.disk.Request(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// change edits an account, and has the directory know.
func (w *world) change(username string, f func(*directory.User)) {
	w.t.Helper()
	w.people.edit(username, f)
	w.refresh()
}

func wantingMore(err error) bool {
	c := code(err)
	return c == policy.RefusedApproval || c == policy.RefusedConsent
}

// loginAt is a session whose person proved who they are at that time.
func (w *world) loginAt(username string, at time.Time) *session.Session {
	w.t.Helper()
	s, _, err := w.sessions.Create(w.t.Context(), session.Login{
		Claims: identity.Identity{ID: "subject-" + username, Username: username, Name: "Login " + username}, Issuer: "https://idp.example", Subject: username, AuthTime: at,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}
