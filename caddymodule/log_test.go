package caddymodule

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

// TestSwitchedLog: what outlives a configuration logs where the newest one wants it, with what it was given before.
func TestSwitchedLog(t *testing.T) {
	var first, second bytes.Buffer
	logTo := func(b *bytes.Buffer, level slog.Level) *slog.Logger {
		return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: level}))
	}
	s := newSwitchedLog(logTo(&first, slog.LevelInfo))
	l := s.logger().With("a", 1).WithGroup("g").With("b", 2)
	l.Info("one", "c", 3)
	l.Debug("hidden")
	s.to.Store(logTo(&second, slog.LevelDebug))
	l.Debug("two", "c", 4)

	if got := first.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "msg=one a=1 g.b=2 g.c=3") {
		t.Errorf("first: %q", got)
	}
	if got := second.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "msg=two a=1 g.b=2 g.c=4") {
		t.Errorf("second: %q", got)
	}
}
