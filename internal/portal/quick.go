package portal

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
	"github.com/seed-240d5494/caddy-impersonate/internal/problem"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

// Favourites keeps whom people have marked in the list; a [state.Store] does.
type Favourites interface {
	PutFavourite(ctx context.Context, f *state.Favourite) error
	Favourites(ctx context.Context, actorUsername string) ([]*state.Favourite, error)
	DeleteFavourite(ctx context.Context, actorUsername, targetUsername string) error
}

const (
	favouritesPath = root + "/favourites"
	apiFavourites  = apiRoot + "/favourites"
	// recentPeople are shown of those somebody impersonated last, recentLook is how many impersonations are looked
	// through for them.
	recentPeople = 5
	recentLook   = 100
)

// quickRoutes are of the people somebody goes to again and again.
func (p *portal) quickRoutes() map[string]methods {
	return map[string]methods{
		favouritesPath:      {"GET": p.serveRoot, "POST": p.page(p.serveFavourite)},
		apiFavourites:       {"GET": p.api(p.apiFavourites), "POST": p.api(p.apiMark), "DELETE": p.api(p.apiUnmark)},
		apiRoot + "/recent": {"GET": p.api(p.apiRecent)},
	}
}

// marked is whom the viewer has marked, by the keys of their usernames.
type marked map[string]*state.Favourite

func (m marked) has(username string) bool { return m[identity.Key(username)] != nil }

func (p *portal) marks(ctx context.Context, v *viewer) ([]*state.Favourite, marked, error) {
	if p.Favourites == nil || !v.may {
		return nil, nil, nil
	}
	all, err := p.Favourites.Favourites(ctx, identity.Key(v.actor.Username))
	if err != nil {
		return nil, nil, fmt.Errorf("reading favourites: %w", err)
	}
	m := make(marked, len(all))
	for _, f := range all {
		m[f.TargetUsername] = f
	}
	return all, m, nil
}

// again is an account that was marked or impersonated, if it still is that account and the viewer may impersonate it now;
// nil: not. That they use another at this moment does not count.
func (p *portal) again(v *viewer, username, id string) *foundRow {
	u, ok := v.rules.Directory.Lookup(username)
	if !ok || id != "" && u.ID != id {
		return nil
	}
	row := v.judge(u, p.Clock.Now(), true)
	if row.refusal != nil {
		return nil
	}
	return &row
}

// favourites are those of the marked that the viewer may impersonate now, the first marked first.
func (p *portal) favourites(v *viewer, all []*state.Favourite) []foundRow {
	var rows []foundRow
	for _, f := range all {
		if row := p.again(v, f.TargetUsername, f.TargetID); row != nil {
			rows = append(rows, *row)
		}
	}
	return rows
}

// recent are the last few whom the viewer impersonated and may still impersonate, the last first.
func (p *portal) recent(ctx context.Context, v *viewer) ([]foundRow, error) {
	past, err := p.Impersonations.List(ctx, v.actor.Username, "all", state.Place{}, recentLook)
	if err != nil {
		return nil, fmt.Errorf("reading recent impersonations: %w", err)
	}
	var rows []foundRow
	seen := make(map[string]bool)
	for _, i := range past {
		if i.ActorID != "" && v.actor.ID != "" && i.ActorID != v.actor.ID || seen[identity.Key(i.TargetUsername)] {
			continue
		}
		seen[identity.Key(i.TargetUsername)] = true
		if row := p.again(v, i.TargetUsername, i.TargetID); row != nil {
			if rows = append(rows, *row); len(rows) == recentPeople {
				break
			}
		}
	}
	return rows, nil
}

// quickView is what the list begins with.
type quickView struct {
	T                  *texts
	Q                  *quickTexts
	Favourites, Recent []rowView
}

// quick are the viewer's favourites and those they were last. Nil: there is nobody, or another is in use already.
func (p *portal) quick(ctx context.Context, v *viewer) (*quickView, error) {
	if !v.may || v.live != nil {
		return nil, nil
	}
	all, marks, err := p.marks(ctx, v)
	if err != nil {
		return nil, err
	}
	recent, err := p.recent(ctx, v)
	if err != nil {
		return nil, err
	}
	d := &quickView{T: v.t, Q: quickLanguages.In(v.t.Lang)}
	for _, f := range p.favourites(v, all) {
		d.Favourites = append(d.Favourites, v.tile(f, true))
	}
	for _, f := range recent {
		if !marks.has(f.user.Username) {
			d.Recent = append(d.Recent, v.tile(f, false))
		}
	}
	if len(d.Favourites)+len(d.Recent) == 0 {
		return nil, nil
	}
	return d, nil
}

// maxTile is how much of a name a tile shows.
const maxTile = 40

// tile is a row in short.
func (v *viewer) tile(f foundRow, favourite bool) rowView {
	row := v.rowOf(f, true, favourite)
	row.Name, row.Username, row.Groups, row.Email = shown(row.Name, maxTile), shown(row.Username, maxTile), nil, ""
	return row
}

var (
	errNobody = errors.New("no such account")
	errMarks  = errors.New("too many favourites")
)

// star marks an account, or takes the mark off.
func (p *portal) star(ctx context.Context, v *viewer, target string, on bool) error {
	actor := identity.Key(v.actor.Username)
	if !on {
		return p.Favourites.DeleteFavourite(ctx, actor, identity.Key(target))
	}
	u, ok := v.rules.Directory.Lookup(target)
	if !ok {
		return errNobody
	}
	f := &state.Favourite{ActorUsername: actor, TargetUsername: identity.Key(u.Username), TargetID: u.ID, CreatedAt: p.Clock.Now()}
	err := p.Favourites.PutFavourite(ctx, f)
	if errors.Is(err, state.ErrFull) && v.brokenSources() == 0 {
		if err := p.dropGone(ctx, v); err != nil {
			return err
		}
		err = p.Favourites.PutFavourite(ctx, f)
	}
	if errors.Is(err, state.ErrFull) {
		return errMarks
	}
	return err
}

// dropGone takes the marks off accounts that are not there any more: nobody sees those, to take them off.
func (p *portal) dropGone(ctx context.Context, v *viewer) error {
	all, _, err := p.marks(ctx, v)
	for _, f := range all {
		if u, ok := v.rules.Directory.Lookup(f.TargetUsername); ok && (f.TargetID == "" || f.TargetID == u.ID) {
			continue
		}
		if err := p.Favourites.DeleteFavourite(ctx, f.ActorUsername, f.TargetUsername); err != nil {
			return err
		}
	}
	return err
}

// marking answers what became of a mark; false: it has answered that it was not made.
func (p *portal) marking(w http.ResponseWriter, r *http.Request, v *viewer, target string, on bool) bool {
	if !v.may || p.Favourites == nil {
		problem.Write(w, r, forbidden("Only those who may log in as somebody else have favourites."))
		return false
	}
	if target == "" || len(target) > state.MaxText {
		problem.Write(w, r, badRequest("target: name the account, by its username"))
		return false
	}
	switch err := p.star(r.Context(), v, target, on); {
	case errors.Is(err, errNobody):
		problem.Write(w, r, notFound())
	case errors.Is(err, errMarks):
		problem.Write(w, r, favouritesFull(quickLanguages))
	case err != nil:
		p.fail(w, r, "marking a favourite", err)
	default:
		return true
	}
	return false
}

// serveFavourite is the star of the list without script. It leads back to the list it was pressed in.
func (p *portal) serveFavourite(w http.ResponseWriter, r *http.Request, v *viewer) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		problem.Write(w, r, badRequest("The form could not be read."))
		return
	}
	target, on := r.PostForm.Get("add"), true
	if target == "" {
		target, on = r.PostForm.Get("remove"), false
	}
	if p.marking(w, r, v, target, on) {
		to := back(r.PostForm.Get("list"))
		if !strings.HasPrefix(to, root+"/") {
			to = root + "/"
		}
		http.Redirect(w, r, to, http.StatusSeeOther)
	}
}

func (p *portal) apiMark(w http.ResponseWriter, r *http.Request, v *viewer) {
	var body struct {
		Target string `json:"target"`
	}
	if bad := decode(w, r, &body, "target"); bad != nil {
		problem.Write(w, r, bad)
		return
	}
	if p.marking(w, r, v, body.Target, true) {
		w.WriteHeader(http.StatusNoContent)
	}
}

func (p *portal) apiUnmark(w http.ResponseWriter, r *http.Request, v *viewer) {
	q, bad := query(r, "target")
	if bad != nil {
		problem.Write(w, r, badRequest(bad.Error()))
		return
	}
	if p.marking(w, r, v, q.Get("target"), false) {
		w.WriteHeader(http.StatusNoContent)
	}
}

func (p *portal) apiFavourites(w http.ResponseWriter, r *http.Request, v *viewer) {
	p.apiQuick(w, r, v, func(all []*state.Favourite) ([]foundRow, error) { return p.favourites(v, all), nil })
}

func (p *portal) apiRecent(w http.ResponseWriter, r *http.Request, v *viewer) {
	p.apiQuick(w, r, v, func([]*state.Favourite) ([]foundRow, error) { return p.recent(r.Context(), v) })
}

func (p *portal) apiQuick(w http.ResponseWriter, r *http.Request, v *viewer, list func([]*state.Favourite) ([]foundRow, error)) {
	if !v.may {
		problem.Write(w, r, refused(v.rules.Policy.Decide(policy.Input{Actor: v.actor, Target: nobody}).Refusal))
		return
	}
	all, marks, err := p.marks(r.Context(), v)
	var rows []foundRow
	if err == nil {
		rows, err = list(all)
	}
	if err != nil {
		p.fail(w, r, "listing people", err)
		return
	}
	users := make([]userJSON, 0, len(rows))
	for _, row := range rows {
		users = append(users, userOf(v.judge(row.user, p.Clock.Now(), false), marks))
	}
	answer(w, http.StatusOK, map[string]any{"users": users})
}
