package statetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

// notice is one with every field set.
func notice(n int) *state.Notice {
	return &state.Notice{
		ID: fmt.Sprint("n-", n), Via: "email", Body: []byte("{\x00}"), CreatedAt: at(0), DueAt: at(time.Duration(n) * time.Second),
		Attempts: n, Error: "420 later", Sent: n%2 == 1,
	}
}

func notices(t *testing.T, s state.Store) {
	ctx := t.Context()
	claim := func(via string, now, until time.Duration, limit int) ([]*state.Notice, time.Time) {
		t.Helper()
		claimed, next, err := s.ClaimNotices(ctx, via, base.Add(now), base.Add(until), limit)
		check(t, err)
		return claimed, next
	}
	none, next := claim("email", time.Hour, 2*time.Hour, 10)
	same(t, len(none), 0)
	same(t, next, time.Time{})
	check(t, s.PutNotices(ctx))

	other := notice(4)
	other.Via = "webhook"
	check(t, s.PutNotices(ctx, notice(2), notice(1)))
	check(t, s.PutNotices(ctx, notice(3), other))
	same(t, must[map[string]int](t)(s.CountNotices(ctx)), map[string]int{"email": 3, "webhook": 1})
	// All or none; one that is there stays as it is.
	wantErr(t, s.PutNotices(ctx, notice(5), &state.Notice{ID: "bad"}), state.ErrInvalid)
	again := notice(1)
	again.Body = []byte("changed")
	check(t, s.PutNotices(ctx, again))
	same(t, must[map[string]int](t)(s.CountNotices(ctx)), map[string]int{"email": 3, "webhook": 1})

	// The earliest first, as they are but for when they are due again.
	want := notice(1)
	want.DueAt = at(time.Hour)
	got, next := claim("email", 2*time.Second, time.Hour, 1)
	same(t, got, []*state.Notice{want})
	same(t, next, at(2*time.Second))
	got, next = claim("email", 2*time.Second, time.Hour, 10) // 3 is not due yet, 1 is taken
	same(t, len(got), 1)
	same(t, got[0].ID, "n-2")
	same(t, next, at(3*time.Second))
	got, _ = claim("email", time.Hour, 2*time.Hour, 10) // nobody dealt with them in time
	same(t, len(got), 3)
	got, _ = claim("webhook", time.Hour, 2*time.Hour, 10)
	same(t, len(got), 1)

	up := notice(2)
	up.DueAt, up.Attempts, up.Error, up.Sent = at(time.Minute), 7, "", true
	check(t, s.UpdateNotice(ctx, up))
	got, _ = claim("email", time.Minute, time.Hour, 10)
	up.DueAt = at(time.Hour)
	same(t, got, []*state.Notice{up})
	check(t, s.DeleteNotice(ctx, "n-2"))
	check(t, s.DeleteNotice(ctx, "n-2"))
	check(t, s.UpdateNotice(ctx, up)) // gone: nothing comes back
	same(t, must[map[string]int](t)(s.CountNotices(ctx)), map[string]int{"email": 2, "webhook": 1})
}

// startTelling: a start and what people are told of it are kept together, or not at all.
func startTelling(t *testing.T, s state.Store) {
	ctx := t.Context()
	bell := &state.Bell{Username: "sam", ImpersonationID: "imp-1", CreatedAt: at(0)}
	told := state.Telling{Notices: []*state.Notice{notice(1), notice(2)}, Bell: bell}
	wantErr(t, s.CreateImpersonation(ctx, Impersonation(1), told), state.ErrNotFound)
	same(t, len(must[[]*state.Bell](t)(s.Bells(ctx))), 0)
	same(t, must[map[string]int](t)(s.CountNotices(ctx)), map[string]int{})

	with(t, s, 1)
	bad := told
	bad.Notices = []*state.Notice{notice(1), {ID: "bad"}}
	wantErr(t, s.CreateImpersonation(ctx, Impersonation(1), bad), state.ErrInvalid)
	_, err := s.Impersonation(ctx, "imp-1")
	wantErr(t, err, state.ErrNotFound)
	same(t, must[map[string]int](t)(s.CountNotices(ctx)), map[string]int{})

	check(t, s.CreateImpersonation(ctx, Impersonation(1), told))
	same(t, must[[]*state.Bell](t)(s.Bells(ctx)), []*state.Bell{bell})
	same(t, must[map[string]int](t)(s.CountNotices(ctx)), map[string]int{"email": 2})
}

func bells(t *testing.T, s state.Store) {
	ctx := t.Context()
	bell := func(who, id string, d time.Duration) *state.Bell {
		return &state.Bell{Username: who, ImpersonationID: id, CreatedAt: at(d)}
	}
	check(t, s.PutBell(ctx, bell("sam", "i2", time.Minute)))
	check(t, s.PutBell(ctx, bell("sam", "i1", 0)))
	check(t, s.PutBell(ctx, bell("kim", "i3", time.Hour)))
	told := bell("sam", "i2", time.Minute)
	told.Told = true
	check(t, s.PutBell(ctx, told))
	same(t, must[[]*state.Bell](t)(s.Bells(ctx)), []*state.Bell{bell("sam", "i1", 0), told, bell("kim", "i3", time.Hour)})
	check(t, s.DeleteBell(ctx, "sam", "i1"))
	check(t, s.DeleteBell(ctx, "sam", "i1"))
	same(t, len(must[[]*state.Bell](t)(s.Bells(ctx))), 2)
	wantErr(t, s.PutBell(ctx, &state.Bell{Username: "sam"}), state.ErrInvalid)
}

func locks(t *testing.T, s state.Store) {
	ctx := t.Context()
	a := &state.Lock{ActorUsername: "alice", TargetUsername: "sam", ImpersonationID: "i1", CreatedAt: at(0)}
	b := &state.Lock{ActorUsername: "alice", TargetUsername: "kim", CreatedAt: at(time.Minute)}
	check(t, s.PutLock(ctx, b))
	check(t, s.PutLock(ctx, a))
	later := *a
	later.ImpersonationID, later.CreatedAt = "i9", at(time.Hour)
	check(t, s.PutLock(ctx, &later))
	same(t, must[[]*state.Lock](t)(s.Locks(ctx)), []*state.Lock{a, b})
	wantErr(t, s.DeleteLock(ctx, "sam", "alice"), state.ErrNotFound)
	check(t, s.DeleteLock(ctx, "alice", "sam"))
	wantErr(t, s.DeleteLock(ctx, "alice", "sam"), state.ErrNotFound)
	same(t, must[[]*state.Lock](t)(s.Locks(ctx)), []*state.Lock{b})
	wantErr(t, s.PutLock(ctx, &state.Lock{ActorUsername: "alice"}), state.ErrInvalid)
}

func personLanguages(t *testing.T, s state.Store) {
	ctx := t.Context()
	_, err := s.Language(ctx, "sam")
	wantErr(t, err, state.ErrNotFound)
	check(t, s.PutLanguage(ctx, "sam", "de"))
	check(t, s.PutLanguage(ctx, "kim", "ja"))
	check(t, s.PutLanguage(ctx, "sam", "fr"))
	check(t, s.PutLanguage(ctx, "sam", "fr"))
	same(t, must[string](t)(s.Language(ctx, "sam")), "fr")
	wantErr(t, s.PutLanguage(ctx, "", "fr"), state.ErrInvalid)
}
