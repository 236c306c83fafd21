package clickhouse_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/clickhouse"
	"github.com/seed-240d5494/caddy-impersonate/test/chtest"
)

// ready starts an engine of the test's own with the schema in it.
func ready(t *testing.T) (*chtest.Server, *clickhouse.Sink) {
	t.Helper()
	srv := chtest.StartOwn(t)
	s := open(t, srv.DSN)
	if err := s.Apply(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return srv, s
}

func write(t *testing.T, s *clickhouse.Sink, b *audit.Batch) {
	t.Helper()
	if err := s.Write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

// TestNothingTwiceNothingLostOverCrash: the server commits a table of the batch and dies before it says so.
func TestNothingTwiceNothingLostOverCrash(t *testing.T) {
	for _, sameProcess := range []bool{true, false} {
		srv, s := ready(t)
		write(t, s, makeBatch("log", 1, 100, march))
		b := makeBatch("log", 101, 200, lateMarch)
		srv.DieAfterCommit()
		if err := s.Write(t.Context(), b); err == nil || errors.Is(err, audit.ErrPermanent) {
			t.Fatalf("the server died, but the write returned %v", err)
		}
		srv.Wait()
		srv.Restart()
		if !sameProcess {
			s = open(t, srv.DSN)
		}
		write(t, s, b)
		write(t, s, b)
		holdsOnce(t, srv, "log", 200, 2)
	}
}

// The states of a plain MergeTree in which its token and its data disagree, which a crash at the wrong moment or a
// power failure leaves behind.
func TestNothingTwiceNothingLostWhenTokensLie(t *testing.T) {
	tablePath := func(srv *chtest.Server, table string) string {
		var path string
		err := srv.Conn().QueryRow(context.Background(), "SELECT data_paths[1] FROM system.tables WHERE database = ? AND name = ?", chtest.Database, table).Scan(&path)
		if err != nil {
			t.Fatal(err)
		}
		if !filepath.IsAbs(path) {
			path = filepath.Join(srv.Dir, path)
		}
		return path
	}
	remove := func(t *testing.T, pattern string) {
		t.Helper()
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("nothing at %s: %v", pattern, err)
		}
		for _, f := range found {
			if err := os.RemoveAll(f); err != nil {
				t.Fatal(err)
			}
		}
	}
	tests := []struct {
		name   string
		damage func(t *testing.T, requests, events string)
	}{
		{"tokens without rows", func(t *testing.T, requests, _ string) { remove(t, requests+"/20260[34]_*") }},
		{"tokens without the rows of one month", func(t *testing.T, requests, _ string) { remove(t, requests+"/202604_*") }},
		{"tokens without one table's rows", func(t *testing.T, _, events string) { remove(t, events+"/20260[34]_*") }},
		{"rows without tokens", func(t *testing.T, requests, events string) {
			remove(t, requests+"/deduplication_logs/*")
			remove(t, events+"/deduplication_logs/*")
		}},
		{"rows of one month without tokens", func(t *testing.T, requests, _ string) {
			remove(t, requests+"/deduplication_logs/*")
			remove(t, requests+"/202604_*")
		}},
		{"nothing", func(*testing.T, string, string) {}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv, s := ready(t)
			b := makeBatch("log", 1, 100, lateMarch)
			write(t, s, b)
			requests, events := tablePath(srv, "requests"), tablePath(srv, "events")
			srv.Kill()
			tt.damage(t, requests, events)
			srv.Restart()
			s = open(t, srv.DSN)
			s.SetSettle(50 * time.Millisecond)
			write(t, s, b)
			holdsOnce(t, srv, "log", 100, 1)
		})
	}
}

// TestNothingTwiceNothingLostOverKills kills the server again and again at random moments, under load.
func TestNothingTwiceNothingLostOverKills(t *testing.T) {
	srv, s := ready(t)
	const size, batches, kills = 200, 60, 8
	done := make(chan error, 1)
	go func() {
		for n := range uint64(batches) {
			b := makeBatch("log", n*size+1, (n+1)*size, lateMarch.Add(time.Duration(n)*20*time.Second))
			for {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				err := s.Write(ctx, b)
				cancel()
				if err == nil {
					break
				}
				if errors.Is(err, audit.ErrPermanent) || t.Context().Err() != nil {
					done <- err
					return
				}
			}
		}
		done <- nil
	}()
	for n := 0; ; n++ {
		if n < kills {
			select {
			case err := <-done:
				t.Logf("ended after %d kills", n)
				check(t, srv, err, size*batches, batches)
				return
			case <-time.After(time.Duration(rand.IntN(200)) * time.Millisecond): // when exactly is left to chance
			}
			srv.Kill()
			srv.Restart()
			continue
		}
		check(t, srv, <-done, size*batches, batches)
		return
	}
}

func check(t *testing.T, srv *chtest.Server, err error, rows, checkpoints uint64) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	holdsOnce(t, srv, "log", rows, checkpoints)
}
