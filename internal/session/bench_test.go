package session_test

import (
	"context"
	"strings"
	"testing"

	"github.com/seed-240d5494/caddy-impersonate/internal/session"
)

func BenchmarkGet(b *testing.B) {
	w := newWorld(b)
	m := session.NewManager(session.Options{Store: w.store}) // the system's clock
	_, raw, err := m.Create(context.Background(), alice)
	w.check(err)
	ctx := context.Background()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := m.Get(ctx, raw); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkGetUnknown(b *testing.B) {
	w := newWorld(b)
	raw := strings.Repeat("A", 43)
	for b.Loop() {
		_, _ = w.Get(context.Background(), raw)
	}
}
