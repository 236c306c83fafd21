package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/test/chtest"
)

// chaosSeconds is how long TestChaos goes on; `make chaos` asks for more by CHAOS_SECONDS.
const chaosSeconds = 30

// chaos is a gateway under load, on a small disk and a clock that can be put back, and what happens to it.
type chaos struct {
	t     *testing.T
	rand  *rand.Rand
	ch    *chtest.Server
	fs    *smallFS
	parts *parts
	gate  *gateway
	load  *load
	clock string // the file that says how far it is off
	// down is set while own-account requests may fail, because the gateway is being killed.
	down   atomic.Bool
	killed atomic.Int64
}

// TestChaos kills gateway and ClickHouse, hangs ClickHouse, fills the disk and puts the clock back, in random order, under
// load. Then every request that was answered has its row, none has two, and the log proves it.
func TestChaos(t *testing.T) {
	seconds := chaosSeconds
	if s := os.Getenv("CHAOS_SECONDS"); s != "" {
		var err error
		if seconds, err = strconv.Atoi(s); err != nil {
			t.Fatalf("CHAOS_SECONDS: %v", err)
		}
	}
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("CHAOS_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("CHAOS_SEED: %v", err)
		}
	}
	t.Logf("CHAOS_SEED=%d", seed)
	c := startChaos(t, seed)
	alice := logIn(t, c.parts.origin(), "alice")
	id := alice.become("sam")
	own := c.watchOwn(logIn(t, c.parts.origin(), "bob"))

	c.load = startLoad(alice, 8)
	end := time.Now().Add(time.Duration(seconds) * time.Second)
	for round := 0; round == 0 || time.Now().Before(end); round++ {
		deck := []struct {
			name string
			do   func()
		}{
			{"gateway killed", c.killGateway},
			{"ClickHouse killed", c.killClickHouse},
			{"ClickHouse hangs", c.hangClickHouse},
			{"disk full", c.fillDisk},
			{"clock back", c.clockBack},
			{"gateway killed while ClickHouse hangs", c.killWhileHanging},
			{"gateway killed on a full disk", c.killWhileFull},
		}
		c.rand.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
		for _, card := range deck {
			t.Logf("%d answered: %s", c.load.count(), card.name)
			card.do()
			c.served("requests are answered after: "+card.name, 50)
		}
	}
	answered := c.load.end()
	if failures := own(); failures != "" {
		t.Errorf("own accounts were affected: %s", failures)
	}
	alice.back()
	waitFor(t, 3*time.Minute, "the last event reaches ClickHouse", func() bool {
		return c.ch.Count("SELECT count() FROM impersonate.events WHERE type = 'impersonation_ended' AND impersonation_id = '"+id+"'") == 1
	})
	c.gate.kill(syscall.SIGTERM) // with a last checkpoint
	lost, twice := c.compare(id, answered)
	if lost > 0 || twice > 0 {
		t.Errorf("%d answered requests have no row, %d rows are there twice", lost, twice)
	}
	if clean, said := c.verifies(c.ch.DSN); !clean {
		t.Errorf("what was recorded does not verify:\n%s", said)
	}
	// Package tamper's own test does this in short.
	if os.Getenv("CHAOS_SECONDS") != "" {
		found, tried := c.tampering()
		fmt.Printf("CHAOS requests=%d lost=%d twice=%d tampering=%d/%d\n", len(answered), lost, twice, found, tried)
	}
}

func startChaos(t *testing.T, seed uint64) *chaos {
	t.Helper()
	c := &chaos{t: t, rand: rand.New(rand.NewPCG(seed, 0)), ch: chtest.StartOwn(t), fs: newSmallFS(t, 16), parts: newParts(t)}
	c.parts.App = startMirror(t)
	c.parts.ClickHouse = c.ch.DSN
	run(t, "impersonate", "schema", "apply", "--dsn", c.ch.DSN)
	if err := os.Symlink(c.fs.dir, filepath.Join(c.parts.Dir, "journal")); err != nil {
		t.Fatal(err)
	}
	stepped := filepath.Join(t.TempDir(), "steppedgateway")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", stepped, "./steppedgateway")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the gateway with a clock of its own: %v\n%s", err, out)
	}
	c.clock = filepath.Join(c.parts.Dir, "clock")
	write(t, c.clock, "0")
	config := filepath.Join(c.parts.Dir, "config.json")
	write(t, config, string(c.parts.configWithClock(t, "stepped")))
	c.gate = &gateway{
		t: t, parts: c.parts, log: &logBuffer{}, config: config, binary: stepped,
		env: []string{"CLOCK_OFFSET=" + c.clock}, ready: "/.impersonate/healthz", // the journal may be full
	}
	c.gate.start()
	t.Cleanup(func() {
		c.gate.kill(syscall.SIGTERM)
		if t.Failed() {
			log := c.gate.log.String()
			t.Logf("the gateway's log:\n%s", log[max(0, len(log)-20_000):])
		}
	})
	return c
}

// watchOwn sends requests from an own account all the time, and tells which were not served though the gateway was there.
func (c *chaos) watchOwn(bob *person) (failures func() string) {
	stop, result := make(chan struct{}), make(chan string)
	go func() {
		var failed []string
		n := 0
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				if n == 0 {
					failed = append(failed, "none was sent")
				}
				result <- strings.Join(failed, "; ")
				return
			case <-tick.C:
			}
			down, killed := c.down.Load(), c.killed.Load()
			req, err := http.NewRequest(http.MethodGet, bob.origin+"/echo", nil) //nolint:noctx // cut on purpose
			if err != nil {
				panic(err)
			}
			req.Header.Set("Cookie", bob.cookie)
			res, err := bob.client.Do(req)
			n++
			if err == nil {
				drain(res.Body)
			}
			switch {
			case down || c.killed.Load() != killed || len(failed) > 5: // it was not there, for a while at least
			case err != nil:
				failed = append(failed, err.Error())
			case res.StatusCode != http.StatusOK:
				failed = append(failed, res.Status)
			}
		}
	}()
	return func() string {
		close(stop)
		return <-result
	}
}

// served waits until so many more impersonated requests were answered.
func (c *chaos) served(what string, more int) {
	c.t.Helper()
	at := c.load.count()
	waitFor(c.t, 4*time.Minute, what, func() bool { return c.load.count() > at+more })
}

// refused waits until impersonated requests are refused.
func (c *chaos) refused(what string) {
	c.t.Helper()
	at := c.load.failed.Load()
	waitFor(c.t, 4*time.Minute, what, func() bool { return c.load.failed.Load() > at+20 })
}

func (c *chaos) killGateway() {
	c.down.Store(true)
	c.killed.Add(1)
	c.gate.kill(syscall.SIGKILL)
	c.gate.start()
	c.down.Store(false)
}

func (c *chaos) killClickHouse() {
	c.ch.Kill()
	c.served("requests are answered while ClickHouse is down", 100+c.rand.IntN(1000))
	c.ch.Restart()
}

func (c *chaos) hangClickHouse() {
	c.ch.Hang()
	c.served("requests are answered while ClickHouse hangs", 100+c.rand.IntN(1000))
	c.ch.Resume()
}

func (c *chaos) fillDisk() {
	free := c.fs.fill()
	c.refused("impersonated requests are refused on a full disk")
	free()
}

// clockBack puts the clock between a second and ten minutes back from what it should be, or right again.
func (c *chaos) clockBack() {
	back := time.Second + time.Duration(c.rand.Int64N(int64(10*time.Minute)))
	if c.rand.IntN(3) == 0 {
		back = 0
	}
	write(c.t, c.clock, strconv.FormatInt(-int64(back), 10))
}

func (c *chaos) killWhileHanging() {
	c.ch.Hang()
	c.served("requests are answered while ClickHouse hangs", 50)
	c.killGateway()
	c.ch.Resume()
}

func (c *chaos) killWhileFull() {
	free := c.fs.fill()
	c.refused("impersonated requests are refused on a full disk")
	c.killGateway()
	free()
}

// compare counts the answered requests without a row, and rows that are there more than once.
func (c *chaos) compare(id string, answered map[string]bool) (lost, twice int) {
	c.t.Helper()
	where := " FROM impersonate.requests WHERE impersonation_id = '" + id + "'"
	twice = int(c.ch.Count("SELECT toUInt64(count() - uniqExact(request_id))"+where) + c.ch.Count("SELECT toUInt64(count() - uniqExact(log_id, seq)) FROM impersonate.requests"))
	rows, err := c.ch.Conn().Query(c.t.Context(), "SELECT query, count()"+where+" AND path = '/echo' GROUP BY query")
	if err != nil {
		c.t.Fatal(err)
	}
	defer rows.Close()
	there := map[string]uint64{}
	for rows.Next() {
		var query string
		var n uint64
		if err := rows.Scan(&query, &n); err != nil {
			c.t.Fatal(err)
		}
		there[strings.TrimPrefix(query, "id=")] = n
		if n > 1 {
			twice++
		}
	}
	if err := rows.Err(); err != nil {
		c.t.Fatal(err)
	}
	for id := range answered {
		if there[id] == 0 {
			lost++
		}
	}
	if interrupted := c.ch.Count("SELECT count()" + where + " AND outcome = 'interrupted'"); interrupted == 0 && c.killed.Load() > 0 {
		c.t.Errorf("nothing is marked interrupted, though the gateway was killed %d times under load", c.killed.Load())
	}
	return lost, twice
}
