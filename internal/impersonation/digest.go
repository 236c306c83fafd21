package impersonation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
	"github.com/seed-240d5494/caddy-impersonate/internal/notify"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

const (
	digestSetting = "digest_sent" // of the last digest, or when the first was to come
	digestLines   = 30
	// What is unusual: longer than veryLong, more than manyTargets accounts in a day, not in working hours.
	veryLong    = 2 * time.Hour
	manyTargets = 5
	workFrom    = 7
	workUntil   = 19
	// digestLook is how long the digest is slept on at most: the clock may be set.
	digestLook = time.Hour
	// digestPatience is how long the digest waits for the record when that can't be asked.
	digestPatience = 6 * time.Hour
)

// Schedule is when the week's digest is sent.
type Schedule struct {
	Day  time.Weekday
	At   time.Duration // of the day
	Zone *time.Location
}

// last is when it was due last, at now or before.
func (s Schedule) last(now time.Time) time.Time {
	local := now.In(s.Zone)
	for back := range 8 {
		day := local.AddDate(0, 0, -back)
		due := time.Date(day.Year(), day.Month(), day.Day(), int(s.At/time.Hour), int(s.At%time.Hour/time.Minute), 0, 0, s.Zone)
		if due.Weekday() == s.Day && !due.After(now) {
			return due
		}
	}
	return local.AddDate(0, 0, -7) // not reached: there is one in every eight days
}

// week is the one that ends when the digest is due.
func (s Schedule) week(due time.Time) (from, until time.Time) {
	return due.In(s.Zone).AddDate(0, 0, -7), due
}

// Refused tells of which impersonations many requests were refused in a span of time. The state does not know; the record
// does.
type Refused func(ctx context.Context, from, until time.Time) (map[string]bool, error)

// RunDigest queues the digest whenever it is due, until ctx ends. What was missed while nothing ran is made up for, once. Refused
// is nil where the record can't be asked.
func (m *Manager) RunDigest(ctx context.Context, s Schedule, refused Refused) {
	due := make(chan struct{}, 1)
	for {
		if err := m.digestDue(ctx, s, refused); err != nil && ctx.Err() == nil {
			m.log.ErrorContext(ctx, "the digest can't be sent; it is tried again", "error", err)
		}
		now := m.clock.Now()
		wait := min(s.last(now.AddDate(0, 0, 7)).Sub(now), digestLook)
		t := m.clock.AfterFunc(max(wait, time.Second), func() { due <- struct{}{} })
		select {
		case <-due:
		case <-ctx.Done():
			t.Stop()
			return
		}
	}
}

// digestDue queues the digest that is due, if it has not been.
func (m *Manager) digestDue(ctx context.Context, s Schedule, refused Refused) error {
	due := s.last(m.clock.Now())
	name := due.UTC().Format(time.RFC3339)
	sent, err := m.store.Setting(ctx, digestSetting)
	switch {
	case errors.Is(err, state.ErrNotFound): // the first is the next: what was before nobody has asked for
		return m.store.PutSetting(ctx, digestSetting, name)
	case err != nil:
		return err
	case sent >= name:
		return nil
	}
	cur := m.cur.Load()
	if cur == nil || m.notices == nil {
		return ErrNotReady
	}
	from, until := s.week(due)
	var many map[string]bool
	if refused != nil {
		if many, err = refused(ctx, from, until); err != nil {
			err = fmt.Errorf("asking the record for refusals: %w", err)
			if m.clock.Now().Sub(due) < digestPatience {
				return err
			}
			m.log.WarnContext(ctx, "the digest does not say where many requests were refused", "error", err)
		}
	}
	d, site, err := m.Digest(ctx, from, until, many)
	if err != nil {
		return err
	}
	d.Zone = s.Zone.String()
	msg := &notify.Message{
		ID: "digest_" + name, Kind: notify.KindDigest, At: m.clock.Now(), Digest: d, Site: site, Link: ReviewPath, To: cur.WithRole(policy.RoleOwner, policy.RoleAuditor),
	}
	notices, err := m.notices.Prepare(ctx, msg)
	if err != nil {
		return err
	}
	// Together, so that a crash between them makes it neither nothing nor two.
	if err := m.store.PutSettingTelling(ctx, digestSetting, name, notices...); err != nil {
		return fmt.Errorf("queueing the digest: %w", err)
	}
	m.notices.Wake()
	return nil
}

// Digest is what was started in the time given, the unusual first, and before it emergencies of any time that nobody has
// reviewed; refused are those in which much was. Site is the one used last.
func (m *Manager) Digest(ctx context.Context, from, until time.Time, refused map[string]bool) (d *notify.Digest, site string, err error) {
	d = &notify.Digest{From: from, Until: until}
	var all, overdue []*state.Impersonation // of the time; emergencies of before that
	var behind state.Place
	for {
		some, err := m.store.ListImpersonations(ctx, "", "", behind, state.MaxList)
		if err != nil {
			return nil, "", fmt.Errorf("listing impersonations: %w", err)
		}
		for _, i := range some {
			i = m.newest(i)
			if site == "" {
				site = i.Site
			}
			if isUnreviewed(i) {
				d.Unreviewed++
				if i.StartedAt.Before(from) {
					overdue = append(overdue, i)
				}
			}
			if !i.StartedAt.Before(from) && i.StartedAt.Before(until) && i.EndCause != CauseStartFailed {
				all = append(all, i)
			}
		}
		if len(some) < state.MaxList {
			break
		}
		behind = PlaceOf(some[len(some)-1])
	}
	d.Total = len(all)
	many := manyInADay(all, from.Location())
	for _, i := range append(overdue, all...) {
		odd, err := m.unusual(ctx, i, many, from.Location())
		if err != nil {
			return nil, "", err
		}
		if refused[i.ID] {
			odd = append(odd, notify.OddRefusals)
		}
		if len(odd) > 0 && !i.StartedAt.Before(from) {
			d.Unusual++
		}
		line := notify.DigestLine{
			ImpersonationID: i.ID, Actor: cmp.Or(i.ActorName, i.ActorUsername), Target: cmp.Or(i.TargetName, i.TargetUsername), Reason: i.Reason,
			StartedAt: i.StartedAt, Duration: m.lasted(i), Unusual: odd,
		}
		d.Lines = append(d.Lines, line)
	}
	slices.SortStableFunc(d.Lines, func(a, b notify.DigestLine) int {
		return cmp.Or(cmp.Compare(weight(b.Unusual), weight(a.Unusual)), a.StartedAt.Compare(b.StartedAt))
	})
	d.Lines = d.Lines[:min(len(d.Lines), digestLines)]
	return d, site, nil
}

// isUnreviewed: an emergency that somebody has yet to look at.
func isUnreviewed(i *state.Impersonation) bool {
	return i.Emergency && i.ReviewedAt.IsZero() && i.EndCause != CauseStartFailed
}

func (m *Manager) lasted(i *state.Impersonation) time.Duration {
	if i.Live() {
		return max(0, m.clock.Now().Sub(i.StartedAt))
	}
	return max(0, i.EndedAt.Sub(i.StartedAt))
}

// unusual is what is unusual about one.
func (m *Manager) unusual(ctx context.Context, i *state.Impersonation, many map[string]bool, zone *time.Location) ([]string, error) {
	var odd []string
	if i.Emergency {
		odd = append(odd, notify.OddEmergency)
	}
	if isUnreviewed(i) {
		odd = append(odd, notify.OddUnreviewed)
	}
	if !i.ObjectedAt.IsZero() {
		odd = append(odd, notify.OddObjection)
	}
	if at := i.StartedAt.In(zone); at.Hour() < workFrom || at.Hour() >= workUntil || at.Weekday() == time.Saturday || at.Weekday() == time.Sunday {
		odd = append(odd, notify.OddOutOfHours)
	}
	earlier, err := m.store.ListImpersonations(ctx, i.ActorUsername, i.TargetUsername, PlaceOf(i), 1)
	if err != nil {
		return nil, fmt.Errorf("listing impersonations: %w", err)
	}
	if len(earlier) == 0 {
		odd = append(odd, notify.OddFirst)
	}
	if m.lasted(i) > veryLong {
		odd = append(odd, notify.OddLong)
	}
	if many[dayOf(i, zone)] {
		odd = append(odd, notify.OddMany)
	}
	return odd, nil
}

// manyInADay are the days on which one actor used many accounts.
func manyInADay(all []*state.Impersonation, zone *time.Location) map[string]bool {
	targets := make(map[string]map[string]bool)
	for _, i := range all {
		day := dayOf(i, zone)
		if targets[day] == nil {
			targets[day] = make(map[string]bool)
		}
		targets[day][identity.Key(i.TargetUsername)] = true
	}
	many := make(map[string]bool)
	for day, t := range targets {
		many[day] = len(t) > manyTargets
	}
	return many
}

func dayOf(i *state.Impersonation, zone *time.Location) string {
	return i.StartedAt.In(zone).Format("2006-01-02 ") + identity.Key(i.ActorUsername)
}

// weight orders the unusual: what nobody has reviewed, emergencies and objections first, then by how much is.
func weight(odd []string) int {
	w := len(odd)
	if slices.Contains(odd, notify.OddUnreviewed) {
		w += 200
	}
	if slices.Contains(odd, notify.OddEmergency) || slices.Contains(odd, notify.OddObjection) {
		w += 100
	}
	return w
}
