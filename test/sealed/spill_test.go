package sealed_test

import (
	"strings"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit/proof"
	"github.com/seed-240d5494/caddy-impersonate/test/chtest"
)

// spilled is how many parts the engine has sorted on disk.
func spilled(srv *chtest.Server) uint64 {
	return srv.Count("SELECT sum(value) FROM system.events WHERE event = 'ExternalSortWritePart'")
}

// TestSettingsReachTheSort: a log is verified the same when the engine sorts it on disk, which it does by the store's
// settings and not without.
func TestSettingsReachTheSort(t *testing.T) {
	srv := chtest.StartOwn(t)
	sink := applied(t, srv)
	key := write(t, sink, rows(t, 20_000))
	if err := sink.Close(); err != nil {
		t.Fatal(err)
	}
	db, ours := reading(t, srv)
	// As ours, of a log that is smaller.
	for settings, want := range map[string]bool{"": false, ours: false, strings.Replace(ours, "268435456", "100000", 1): true} {
		before := spilled(srv)
		r, err := proof.Verify(t.Context(), &proof.Store{DB: db, Prefix: chtest.Database + ".", Settings: settings}, proof.Options{Keys: []string{key}, Now: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		if got := spilled(srv) - before; !r.Clean() || (got > 0) != want {
			t.Errorf("%q: %d parts sorted on disk; %+v", settings, got, r)
		}
	}
}

// TestSortOnDisk: more rows than the engine may hold are sorted by the settings of SortOnDisk, and not in memory.
func TestSortOnDisk(t *testing.T) {
	srv := chtest.StartOwn(t)
	applied(t, srv)
	// 700 MB, which come in another order than they are read.
	srv.Exec("INSERT INTO " + chtest.Database + ".requests (log_id, seq, path) SELECT 'log', number * 7919 % 700000, hex(randomString(500)) FROM numbers(700000)")
	sort := func(settings string) error {
		return srv.Conn().Exec(t.Context(), "SELECT * FROM "+chtest.Database+".requests WHERE log_id = 'log' ORDER BY seq"+settings+", max_memory_usage = 1000000000 FORMAT Null")
	}
	_, ours := reading(t, srv)
	before := spilled(srv)
	if err := sort(strings.Replace(ours, "268435456", "0", 1)); err == nil || spilled(srv) > before {
		t.Errorf("in memory: %v, %d parts sorted on disk", err, spilled(srv)-before)
	}
	if err := sort(ours); err != nil || spilled(srv) == before {
		t.Errorf("on disk: %v, %d parts", err, spilled(srv)-before)
	}
}
