package gateway

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/banner"
	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
	"github.com/seed-240d5494/caddy-impersonate/internal/lang"
	"github.com/seed-240d5494/caddy-impersonate/internal/session"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

// rings tells whether the person is to be told, on the page they ask for, that somebody used their account. While nobody
// is to be told anything it costs a load.
func (s *Site) rings(r *http.Request, v *view) bool {
	bells := s.Impersonations.Bells()
	return bells.Any() && r.Method == http.MethodGet && banner.IsDocument(r) && bells.Due(v.who.Actor.Username)
}

// serveBell forwards an own-account navigation and puts on the page that somebody used the account. A page that can't
// carry it passes as it is: the next one will.
func (s *Site) serveBell(ow *ownWriter, r *http.Request, next Next, v *view, now time.Time) (err error) {
	name, bells := v.who.Actor.Username, s.Impersonations.Bells()
	ids := bells.Claim(name)
	info, gone := s.bellInfo(r, v, ids, now)
	if info == nil {
		s.told(name, gone, ids)
		return next(ow, r)
	}
	banner.PrepareRequest(r)
	nw := &noticeWriter{own: ow, info: info, claim: func() bool {
		ow.Header().Set("Cache-Control", "no-store") // it is told once
		return true
	}}
	whole := false
	defer func() {
		shown := false
		if nw.banner != nil {
			nw.banner.Abort()
			shown = whole && err == nil && nw.banner.Marked()
		}
		s.told(name, shown, ids)
	}()
	if err = next(nw, r); err == nil && nw.banner != nil {
		if nw.banner.Close() != nil {
			panic(http.ErrAbortHandler) // the page is not whole
		}
	}
	whole = true
	return err
}

func (s *Site) told(name string, shown bool, ids []string) {
	ctx, cancel := context.WithTimeout(context.Background(), storeWithin) // the browser has it, even if it is gone now
	defer cancel()
	s.Impersonations.Bells().Told(ctx, name, shown, s.Impersonations.IsLive, ids...)
}

// bellInfo is what the bar says of the newest; nil: nothing can be said. Gone: nor can it later.
func (s *Site) bellInfo(r *http.Request, v *view, ids []string, now time.Time) (info *banner.Info, gone bool) {
	var newest *state.Impersonation
	more := -1
	for _, id := range ids {
		i, err := s.Impersonations.Get(r.Context(), id)
		switch {
		case errors.Is(err, state.ErrNotFound):
			continue
		case err != nil:
			s.Log.Warn("somebody is not told yet that their account was used", "error", err, "impersonation", id)
			return nil, false
		case i.TargetID != "" && v.who.Actor.ID != "" && i.TargetID != v.who.Actor.ID:
			continue // it was another person's account, who had this name
		}
		more++
		if newest == nil || i.StartedAt.After(newest.StartedAt) {
			newest = i
		}
	}
	if newest == nil {
		return nil, true
	}
	zone := s.Zone
	if zone == nil {
		zone = time.UTC
	}
	bell := &banner.Bell{Live: newest.Live(), Reason: newest.Reason, More: more, When: newest.StartedAt.In(zone).Format("2006-01-02 15:04 MST")}
	if !bell.Live {
		from, until := newest.StartedAt.In(zone), newest.EndedAt.In(zone)
		bell.When = from.Format("2006-01-02 15:04") + "\u2013" + until.Format("15:04 MST")
		if from.YearDay() != until.YearDay() || from.Year() != until.Year() {
			bell.When = from.Format("2006-01-02 15:04") + " \u2013 " + until.Format("2006-01-02 15:04 MST")
		}
	}
	return &banner.Info{
		Origin: s.origin(r), Notice: "bell", Bell: bell, Actor: newest.ActorName, ActorUsername: newest.ActorUsername, Now: now,
		Languages: r.Header.Get("Accept-Language"),
	}, false
}

// noteLanguage remembers in which language the session's person reads, for emails. Once for each session.
func (g *Gateway) noteLanguage(sess *session.Session, accept string) {
	ctx, cancel := context.WithTimeout(context.Background(), storeWithin)
	defer cancel()
	key := identity.Key(sess.Claims.Username)
	if key == "" {
		return
	}
	if err := g.Store.PutLanguage(ctx, key, lang.Of(accept)); err != nil {
		g.Log.Debug("a person's language can't be kept", "error", err)
	}
}
