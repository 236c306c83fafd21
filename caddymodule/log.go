package caddymodule

import (
	"context"
	"log/slog"
	"sync/atomic"
)

// switchedLog is the logger of what outlives a configuration: it writes where the newest configuration wants it. A
// configuration's own logger must not be kept, since its outputs are closed when it is unloaded.
type switchedLog struct {
	to atomic.Pointer[slog.Logger]
}

func newSwitchedLog(to *slog.Logger) *switchedLog {
	s := new(switchedLog)
	s.to.Store(to)
	return s
}

// logger returns the logger to hand out.
func (s *switchedLog) logger() *slog.Logger { return slog.New(&switchedHandler{log: s}) }

// switchedHandler repeats on each record what With and WithGroup were called with, because the handler below changes.
// Logging is rare enough for that.
type switchedHandler struct {
	log *switchedLog
	via []func(slog.Handler) slog.Handler
}

func (h *switchedHandler) now() slog.Handler {
	to := h.log.to.Load().Handler()
	for _, f := range h.via {
		to = f(to)
	}
	return to
}

// Enabled implements [slog.Handler].
func (h *switchedHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.log.to.Load().Handler().Enabled(ctx, level)
}

// Handle implements [slog.Handler].
func (h *switchedHandler) Handle(ctx context.Context, r slog.Record) error {
	return h.now().Handle(ctx, r)
}

// WithAttrs implements [slog.Handler].
func (h *switchedHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.with(func(to slog.Handler) slog.Handler { return to.WithAttrs(attrs) })
}

// WithGroup implements [slog.Handler].
func (h *switchedHandler) WithGroup(name string) slog.Handler {
	return h.with(func(to slog.Handler) slog.Handler { return to.WithGroup(name) })
}

func (h *switchedHandler) with(f func(slog.Handler) slog.Handler) slog.Handler {
	via := make([]func(slog.Handler) slog.Handler, len(h.via), len(h.via)+1)
	copy(via, h.via)
	return &switchedHandler{log: h.log, via: append(via, f)}
}

// Interface guard
var _ slog.Handler = (*switchedHandler)(nil)
