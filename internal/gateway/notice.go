package gateway

import (
	"cmp"
	"context"
	"errors"
	"log/slog"

	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
	"github.com/seed-240d5494/caddy-impersonate/internal/session"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

// LeaveNotice is for [impersonation.Options.OnEnd]: after an end nobody asked for, the person's session is left a
// notice, told once on the next page; until then forms of the target's pages are refused.
func LeaveNotice(sessions *session.Manager, log *slog.Logger) func(context.Context, *impersonation.Live, *impersonation.Ended) {
	return func(ctx context.Context, l *impersonation.Live, e *impersonation.Ended) {
		if !e.Unasked() {
			return
		}
		err := sessions.SetNotice(ctx, l.Session, impersonation.Notice{Cause: e.Cause, Target: cmp.Or(l.TargetName, l.TargetUsername)}.String())
		if err != nil && !errors.Is(err, state.ErrNotFound) {
			log.Warn("nobody will be told how an impersonation ended", "error", err, "impersonation", l.ID)
		}
	}
}
