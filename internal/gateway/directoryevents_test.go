package gateway

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
)

func account(id, username string) *directory.User {
	return &directory.User{Identity: identity.Identity{ID: id, Username: username, Name: strings.ToUpper(username)}, Source: "file u.yaml"}
}

func TestDirectoryEvents(t *testing.T) {
	recorder, err := audit.Open(audit.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer recorder.Close(t.Context())
	collected := &collect{to: recorder}
	d := NewDirectoryEvents(collected, slog.New(slog.DiscardHandler))
	d.Changed([]directory.Change{
		{Kind: directory.Added, After: account("1", "new")},
		{Kind: directory.Deactivated, Before: account("2", "sam"), After: account("2", "sam")},
		{Kind: directory.Changed, Before: account("3", "ann"), After: account("3", "ann")},
		{Kind: directory.Reactivated, Before: account("4", "bob"), After: account("4", "bob")},
		{Kind: directory.Removed, Before: account("5", "eve")},
	})
	d.Broken(t.Context(), "file u.yaml", errors.New("u.yaml:3: no username"))
	d.Close(t.Context())

	want := []audit.Event{
		{Type: "user_deactivated", TargetID: "2", TargetUsername: "sam", TargetName: "SAM", Detail: `{"source":"file u.yaml"}`},
		{Type: "user_reactivated", TargetID: "4", TargetUsername: "bob", TargetName: "BOB", Detail: `{"source":"file u.yaml"}`},
		{Type: "user_deactivated", TargetID: "5", TargetUsername: "eve", TargetName: "EVE", Detail: `{"removed":true,"source":"file u.yaml"}`},
		{Type: "directory_broken", Reason: "u.yaml:3: no username", Detail: `{"source":"file u.yaml"}`},
	}
	if diff := cmp.Diff(want, collected.events); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := recorder.Stats().Events; got != 4 {
		t.Errorf("%d events in the journal", got)
	}
}

// TestDirectoryEventsNotTaken: what the journal does not take is in the log, and nothing waits for ever.
func TestDirectoryEventsNotTaken(t *testing.T) {
	recorder, err := audit.Open(audit.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if err := recorder.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	d := NewDirectoryEvents(recorder, slog.New(slog.NewTextHandler(&log, nil)))
	d.Changed([]directory.Change{{Kind: directory.Deactivated, After: account("2", "sam")}})
	d.Close(t.Context())
	if got := log.String(); !strings.Contains(got, "missing from the audit") || !strings.Contains(got, "username=sam") {
		t.Errorf("logged %q", got)
	}

	// A journal that does not answer: Close ends when it may wait no longer.
	log.Reset()
	stuck := NewDirectoryEvents(stuckEvents{}, slog.New(slog.NewTextHandler(&log, nil)))
	stuck.Changed([]directory.Change{{Kind: directory.Deactivated, After: account("2", "sam")}, {Kind: directory.Removed, Before: account("5", "eve")}})
	now, cancel := context.WithCancel(t.Context())
	cancel()
	stuck.Close(now)
	if got := strings.Count(log.String(), "missing from the audit"); got != 2 {
		t.Errorf("%d of 2 events logged: %s", got, log.String())
	}
}

// TestDirectoryEventsAreBounded: a source may deactivate everybody while the journal does not answer.
func TestDirectoryEventsAreBounded(t *testing.T) {
	var log bytes.Buffer
	d := NewDirectoryEvents(stuckEvents{}, slog.New(slog.NewTextHandler(&log, nil)))
	everybody := make([]directory.Change, maxQueued+100)
	for i := range everybody {
		everybody[i] = directory.Change{Kind: directory.Deactivated, After: account("2", "sam")}
	}
	d.Changed(everybody)
	if got := strings.Count(log.String(), "too many at once"); got < 99 || got > 100 { // one is being written
		t.Errorf("%d logged at once", got)
	}
	now, cancel := context.WithCancel(t.Context())
	cancel()
	d.Close(now)
	if got := strings.Count(log.String(), "missing from the audit"); got != len(everybody) {
		t.Errorf("%d of %d events logged", got, len(everybody))
	}
}

// collect passes events on and keeps a copy.
type collect struct {
	to     audit.Events
	events []audit.Event
}

func (c *collect) Event(ctx context.Context, e audit.Event) error {
	c.events = append(c.events, e)
	return c.to.Event(ctx, e)
}

// stuckEvents is a journal on a disk that hangs.
type stuckEvents struct{}

func (stuckEvents) Event(ctx context.Context, _ audit.Event) error {
	<-ctx.Done()
	return ctx.Err()
}
