package e2e

import (
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/seed-240d5494/caddy-impersonate/test/chtest"
)

// load sends impersonated requests, each with an id of its own, until stopped. It remembers those that were answered.
type load struct {
	mu       sync.Mutex
	answered map[string]bool
	sent     atomic.Int64
	failed   atomic.Int64
	stop     chan struct{}
	wg       sync.WaitGroup
}

func startLoad(p *person, workers int) *load {
	l := &load{answered: map[string]bool{}, stop: make(chan struct{})}
	for w := range workers {
		l.wg.Add(1)
		go func() {
			defer l.wg.Done()
			for n := 0; ; n++ {
				select {
				case <-l.stop:
					return
				default:
				}
				id := fmt.Sprintf("load-%d-%d", w, n)
				method := http.MethodGet
				if n%3 == 0 {
					method = http.MethodPost
				}
				req, err := http.NewRequest(method, p.origin+"/echo?id="+id, nil) //nolint:noctx // cut on purpose
				if err != nil {
					panic(err)
				}
				req.Header.Set("Cookie", p.cookie)
				l.sent.Add(1)
				res, err := p.client.Do(req)
				if err != nil {
					l.failed.Add(1)
					continue
				}
				_, err = io.Copy(io.Discard, res.Body)
				res.Body.Close()
				if res.StatusCode == http.StatusOK || err != nil {
					// The head of an answer is an answer: its request must be in the audit.
					l.mu.Lock()
					l.answered[id] = true
					l.mu.Unlock()
				} else {
					l.failed.Add(1)
				}
			}
		}()
	}
	return l
}

func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.answered)
}

func (l *load) end() map[string]bool {
	close(l.stop)
	l.wg.Wait()
	return l.answered
}

// ClickHouse dies in the middle of it and comes back: the app's users notice nothing, every answered request is in
// the table, none twice (invariants 5, 6 and 7).
func TestClickHouseKilledUnderLoad(t *testing.T) {
	ch := chtest.StartOwn(t)
	p := newParts(t)
	p.App = startMirror(t)
	p.ClickHouse = ch.DSN
	run(t, "impersonate", "schema", "apply", "--dsn", ch.DSN)
	startGateway(t, p)
	alice := logIn(t, p.origin(), "alice")
	id := alice.become("sam")

	l := startLoad(alice, 8)
	waitFor(t, 3*time.Minute, "rows reach ClickHouse", func() bool { return ch.Count("SELECT count() FROM impersonate.requests") > 200 })
	for round := range 2 {
		ch.Kill()
		at := l.count()
		waitFor(t, 3*time.Minute, "the app is served while ClickHouse is down", func() bool { return l.count() > at+1000 })
		ch.Restart()
		before := ch.Count("SELECT count() FROM impersonate.requests")
		waitFor(t, 3*time.Minute, fmt.Sprintf("rows reach ClickHouse again (round %d)", round), func() bool {
			return ch.Count("SELECT count() FROM impersonate.requests") > before
		})
	}
	answered := l.end()
	if n := l.failed.Load(); n > 0 {
		t.Errorf("%d of %d requests failed, though only ClickHouse was down", n, l.sent.Load())
	}
	alice.back()
	waitFor(t, 3*time.Minute, "the last event reaches ClickHouse", func() bool {
		return ch.Count("SELECT count() FROM impersonate.events WHERE type = 'impersonation_ended' AND impersonation_id = '"+id+"'") == 1
	})
	total := ch.Count("SELECT count() FROM impersonate.requests WHERE impersonation_id = '" + id + "'")
	unique := ch.Count("SELECT uniqExact(request_id) FROM impersonate.requests WHERE impersonation_id = '" + id + "'")
	distinct := ch.Count("SELECT uniqExact(query) FROM impersonate.requests WHERE impersonation_id = '" + id + "' AND path = '/echo'")
	t.Logf("%d requests answered, %d rows", len(answered), total)
	if total != unique {
		t.Errorf("%d rows for %d request ids: some are there twice", total, unique)
	}
	if distinct != uint64(len(answered)) {
		t.Errorf("%d requests were answered, %d are in the table", len(answered), distinct)
	}
	if n := ch.Count("SELECT requests FROM impersonate.impersonations WHERE impersonation_id = '" + id + "'"); n != total {
		t.Errorf("the impersonation counts %d requests, the table has %d", n, total)
	}
}

// The gateway dies as from a power cut, twice, under load: what was answered is in the audit once; what it had under
// way appears as interrupted.
func TestGatewayKilledUnderLoad(t *testing.T) {
	ch := chtest.StartOwn(t)
	p := newParts(t)
	p.App = startMirror(t)
	p.ClickHouse = ch.DSN
	run(t, "impersonate", "schema", "apply", "--dsn", ch.DSN)
	g := startGateway(t, p)
	alice := logIn(t, p.origin(), "alice")
	id := alice.become("sam")

	l := startLoad(alice, 8)
	for range 2 {
		at := l.count()
		waitFor(t, 3*time.Minute, "requests are answered", func() bool { return l.count() > at+1000 })
		g.kill(syscall.SIGKILL)
		g.start()
	}
	at := l.count()
	waitFor(t, 3*time.Minute, "the impersonation goes on after the restart", func() bool { return l.count() > at+100 })
	answered := l.end()
	alice.back()
	waitFor(t, 3*time.Minute, "the last event reaches ClickHouse", func() bool {
		return ch.Count("SELECT count() FROM impersonate.events WHERE type = 'impersonation_ended' AND impersonation_id = '"+id+"'") == 1
	})
	where := " FROM impersonate.requests WHERE impersonation_id = '" + id + "'"
	total, unique := ch.Count("SELECT count()"+where), ch.Count("SELECT uniqExact(request_id)"+where)
	if total != unique {
		t.Errorf("%d rows for %d request ids", total, unique)
	}
	if seqs, last := ch.Count("SELECT uniqExact(impersonation_seq)"+where), ch.Count("SELECT max(impersonation_seq)"+where); seqs != total || last != total {
		t.Errorf("%d rows, %d different impersonation_seq, the last is %d: they must count 1, 2, … without a gap", total, seqs, last)
	}
	rows, err := ch.Conn().Query(t.Context(), "SELECT query, count()"+where+" AND path = '/echo' GROUP BY query")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	inAudit := map[string]uint64{}
	for rows.Next() {
		var q string
		var n uint64
		if err := rows.Scan(&q, &n); err != nil {
			t.Fatal(err)
		}
		inAudit[strings.TrimPrefix(q, "id=")] = n
	}
	missing := 0
	for id := range answered {
		if inAudit[id] != 1 {
			missing++
		}
	}
	interrupted := ch.Count("SELECT count()" + where + " AND outcome = 'interrupted'")
	t.Logf("%d answered, %d rows, %d interrupted, %d sent", len(answered), total, interrupted, l.sent.Load())
	if missing > 0 {
		t.Errorf("%d answered requests are not in the audit exactly once", missing)
	}
	if interrupted == 0 {
		t.Error("nothing is marked interrupted, though the gateway was killed twice under load")
	}
}

// The same with the SQLite sink: the two share the shipper, not the sink.
func TestGatewayKilledUnderLoadSQLite(t *testing.T) {
	p := newParts(t)
	p.App = startMirror(t)
	g := startGateway(t, p)
	alice := logIn(t, p.origin(), "alice")
	id := alice.become("sam")
	l := startLoad(alice, 4)
	waitFor(t, 3*time.Minute, "requests are answered", func() bool { return l.count() > 500 })
	g.kill(syscall.SIGKILL)
	g.start()
	answered := l.end()
	alice.back()

	db, err := sql.Open("sqlite", "file:"+p.Dir+"/audit.db?mode=ro&_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	count := func(q string) (n int) {
		_ = db.QueryRowContext(t.Context(), q, id).Scan(&n) // not there yet: asked again
		return n
	}
	waitFor(t, 3*time.Minute, "the last event reaches SQLite", func() bool {
		return count("SELECT count(*) FROM events WHERE type = 'impersonation_ended' AND impersonation_id = ?") == 1
	})
	total, unique := count("SELECT count(*) FROM requests WHERE impersonation_id = ?"), count("SELECT count(DISTINCT request_id) FROM requests WHERE impersonation_id = ?")
	if total != unique || total < len(answered) {
		t.Errorf("%d answered, %d rows, %d request ids", len(answered), total, unique)
	}
	rows, err := db.QueryContext(t.Context(), "SELECT query FROM requests WHERE impersonation_id = ?", id)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var q string
		if err := rows.Scan(&q); err != nil {
			t.Fatal(err)
		}
		delete(answered, strings.TrimPrefix(q, "id="))
	}
	if len(answered) > 0 {
		t.Errorf("%d answered requests are missing", len(answered))
	}
}
