package e2e

import (
	"bufio"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/seed-240d5494/caddy-impersonate/test/freeport"
	"github.com/seed-240d5494/caddy-impersonate/test/idptest"
)

const (
	// soakSeconds is how long TestSoak goes on; `make soak` asks for more by SOAK_MINUTES.
	soakSeconds  = 15
	soakActors   = 6
	soakTargets  = 12
	reloadEvery  = 3 * time.Second
	expiryMargin = time.Second
	// What may remain of a long run, whatever its length.
	maxRSSGrowth       = 100 // MiB
	maxGoroutineGrowth = 50
)

// soak is a gateway under many people who start, stop and let expire, and what is wrong with the answers they get.
type soak struct {
	t     *testing.T
	parts *parts
	gate  *gateway
	admin string

	wrong    atomic.Int64 // answers made as somebody else than it had to be
	starts   atomic.Int64
	expired  atomic.Int64
	requests atomic.Int64
	refused  atomic.Int64
	broken   atomic.Int64 // by reloads
	mu       sync.Mutex
	said     []string        // some of what was wrong
	profile  string          // of the goroutines, at the end
	answered map[string]bool // ids of impersonated requests whose answer came
}

// TestSoak has many admins start, stop and let impersonations expire, under load and reloads. The app says with each
// answer who asked: it must be the one it had to be. Then every answered request has its row, and the process is as large
// as it was.
func TestSoak(t *testing.T) {
	long := soakSeconds * time.Second
	if text := os.Getenv("SOAK_MINUTES"); text != "" {
		minutes, err := strconv.ParseFloat(text, 64)
		if err != nil || minutes <= 0 {
			t.Fatalf("SOAK_MINUTES: %q is no number of minutes", text)
		}
		long = time.Duration(minutes * float64(time.Minute))
	}
	s := startSoak(t)
	people := make([]*person, soakActors)
	for i := range people {
		people[i] = logIn(t, s.parts.origin(), fmt.Sprintf("actor%d", i))
	}
	begun := time.Now()
	s.run(people, long/5) // what is made once, is made
	rss, goroutines := s.size(people, 0)
	s.run(people, long-long/5)
	rssAfter, goroutinesAfter := s.size(people, goroutines+maxGoroutineGrowth)
	s.gate.kill(syscall.SIGTERM)
	lost := s.lost()

	growth, more := rssAfter-rss, goroutinesAfter-goroutines
	t.Logf("%d starts, %d left to expire, %d requests answered, %d refused, %d broken off; RSS %d to %d MiB, goroutines %d to %d",
		s.starts.Load(), s.expired.Load(), s.requests.Load(), s.refused.Load(), s.broken.Load(), rss, rssAfter, goroutines, goroutinesAfter)
	if n := s.wrong.Load(); n > 0 {
		t.Errorf("%d answers were made as the wrong person:\n%s", n, strings.Join(s.said, "\n"))
	}
	if lost > 0 {
		t.Errorf("%d of %d answered requests have no row", lost, len(s.answered))
	}
	if s.starts.Load() < soakActors || s.expired.Load() == 0 || len(s.answered) < 100 {
		t.Errorf("too little was done: %d starts, %d left to expire, %d impersonated requests answered", s.starts.Load(), s.expired.Load(), len(s.answered))
	}
	if growth > maxRSSGrowth || more > maxGoroutineGrowth {
		t.Errorf("the process grew by %d MiB and %d goroutines:\n%.6000s", growth, more, s.profile)
	}
	fmt.Printf("SOAK minutes=%.1f wrong_identity=%d lost=%d rss_growth_mb=%d goroutine_growth=%d\n", time.Since(begun).Minutes(), s.wrong.Load(), lost, growth, more)
}

func startSoak(t *testing.T) *soak {
	t.Helper()
	p := &parts{Dir: t.TempDir(), Addr: freeport.Addr(t), Scheme: "http", App: startMirror(t)}
	s := &soak{t: t, parts: p, admin: freeport.Addr(t), answered: map[string]bool{}}
	p.UsersFile = filepath.Join(p.Dir, "users.yaml")
	var directory strings.Builder
	directory.WriteString("users:\n")
	users := map[string]idptest.User{}
	for i := range soakActors {
		name := fmt.Sprintf("actor%d", i)
		fmt.Fprintf(&directory, "  - {id: a%d, username: %s, name: Actor %d, email: %s@example.test, groups: [support]}\n", i, name, i, name)
		users[name] = idptest.User{Claims: map[string]any{"name": fmt.Sprint("Actor ", i), "email": name + "@example.test"}}
	}
	for i := range soakTargets {
		fmt.Fprintf(&directory, "  - {id: t%d, username: target%d, name: Target %d, email: target%d@example.test, groups: [fieldworkers]}\n", i, i, i, i)
	}
	write(t, p.UsersFile, directory.String())
	client := idptest.Client{
		ID: "gateway", Secret: clientSecret,
		RedirectURIs: []string{p.origin() + "/.impersonate/callback"}, PostLogoutURIs: []string{p.origin() + "/.impersonate/logged-out"},
	}
	p.Issuer = idptest.StartOP(t, idptest.Config{Clients: []idptest.Client{client}, Users: users}).Issuer
	// Connections to the app that nobody uses are not to be taken for a leak.
	p.Config = strings.NewReplacer("admin off", "admin "+s.admin, "reverse_proxy "+p.App, "reverse_proxy "+p.App+" {\n\t\ttransport http {\n\t\t\tkeepalive 1s\n\t\t}\n\t}").Replace(p.caddyfile())
	s.gate = startGateway(t, p)
	return s
}

// run has everybody at work for a time, with reloads, and waits until all is quiet again.
func (s *soak) run(people []*person, long time.Duration) {
	s.t.Helper()
	end := time.Now().Add(long)
	var wg sync.WaitGroup
	for i, p := range people {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), uint64(end.UnixNano())))
			for n := i; time.Now().Before(end); n++ {
				s.turn(p, fmt.Sprintf("actor%d", i), n%3 == 0, r)
			}
		})
	}
	tick := time.NewTicker(reloadEvery)
	defer tick.Stop()
	for n := 0; time.Now().Before(end); n++ {
		<-tick.C
		config := filepath.Join(s.parts.Dir, "Caddyfile")
		text := strings.Replace(s.parts.Config, "duration 30m", fmt.Sprintf("duration %dm", 20+n%10), 1)
		write(s.t, config, text)
		run(s.t, "reload", "--config", config, "--adapter", "caddyfile", "--address", s.admin)
	}
	wg.Wait()
}

// turn is one impersonation: its start, requests from three windows at once, and its end by the person or by time.
func (s *soak) turn(p *person, actor string, expires bool, r *rand.Rand) {
	s.ask(p, actor, nil, "", 2) // back in one's own account
	target := fmt.Sprintf("target%d", r.IntN(soakTargets))
	long := "10m"
	if expires {
		long = "2s"
	}
	sent := time.Now()
	res, body := s.send(p, http.MethodPost, "/.impersonate/api/v1/impersonations", `{"target":"`+target+`","reason":"soaking","duration":"`+long+`"}`)
	if res == nil { // perhaps it was made
		s.back(p, actor)
		return
	}
	if res.StatusCode != http.StatusCreated {
		s.t.Errorf("%s can't become %s: %v %.300s", actor, target, res, body)
		return
	}
	answered := time.Now() // it began between the two
	s.starts.Add(1)
	var windows sync.WaitGroup
	if expires {
		s.expired.Add(1)
		// What is answered before it can be over is the target's; then it may be the actor's, until it must be over.
		mayBeOver := func(at time.Time) string {
			if at.Before(sent.Add(2 * time.Second)) {
				return ""
			}
			return actor
		}
		for range 3 {
			windows.Go(func() {
				for time.Since(answered) < 2*time.Second+expiryMargin {
					s.ask(p, target, mayBeOver, target, 1)
				}
			})
		}
		windows.Wait()
		return
	}
	n := 5 + r.IntN(40)
	for range 3 {
		windows.Go(func() { s.ask(p, target, nil, target, n) })
	}
	windows.Wait()
	s.back(p, actor)
}

// back ends the impersonation.
func (s *soak) back(p *person, actor string) {
	for range 10 {
		res, body := s.send(p, http.MethodPost, "/.impersonate/stop", "")
		switch {
		case res == nil: // again
		case res.StatusCode == http.StatusSeeOther:
			return
		default:
			s.t.Errorf("%s can't return: %d %.300s", actor, res.StatusCode, body)
			return
		}
	}
	s.t.Errorf("%s can't return: no answer", actor)
}

var soakID atomic.Int64

// ask sends requests that the app must see as made by who, or by the other, if there may be one when the answer is there.
// Those made as target are to have their rows.
func (s *soak) ask(p *person, who string, orBy func(answered time.Time) string, target string, n int) {
	for range n {
		id := fmt.Sprintf("soak-%d", soakID.Add(1))
		method := http.MethodGet
		if soakID.Load()%4 == 0 {
			method = http.MethodPost
		}
		res, body := s.send(p, method, "/echo?id="+id, "")
		if res == nil {
			continue
		}
		other := ""
		if orBy != nil {
			other = orBy(time.Now())
		}
		if res.StatusCode != http.StatusOK {
			s.refused.Add(1) // such as a form of the target's, after the end
			continue
		}
		s.requests.Add(1)
		var echo seen
		if err := json.Unmarshal([]byte(body), &echo); err != nil {
			s.t.Errorf("%v: %.300s", err, body)
			continue
		}
		user, email, by := echo.Header.Get("Remote-User"), echo.Header.Get("Remote-Email"), echo.Header.Get("X-Impersonated-By")
		if user != who && (other == "" || user != other) || email != user+"@example.test" || (by != "") != strings.HasPrefix(user, "target") {
			s.wrong.Add(1)
			s.mu.Lock()
			if len(s.said) < 10 {
				s.said = append(s.said, fmt.Sprintf("%s: as %s, by %s, e-mail %s; it had to be %s %s", id, user, by, email, who, other))
			}
			s.mu.Unlock()
		}
		if user == target && target != "" {
			s.mu.Lock()
			s.answered[id] = true
			s.mu.Unlock()
		}
	}
}

// send is person.do for goroutines. Nil is a request on a connection that a reload closed just then.
func (s *soak) send(p *person, method, path, body string) (*http.Response, string) {
	req, err := http.NewRequestWithContext(s.t.Context(), method, p.origin+path, strings.NewReader(body))
	if err != nil {
		s.t.Error(err)
		return nil, ""
	}
	req.Header.Set("Cookie", p.cookie)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := p.client.Do(req)
	if err != nil {
		if s.broken.Add(1) > s.requests.Load()/20+50 {
			s.t.Errorf("%s %s: %v, and so many others", method, path, err)
		}
		return nil, ""
	}
	defer res.Body.Close()
	all, err := io.ReadAll(res.Body)
	if err != nil { // cut at the end of the impersonation
		s.broken.Add(1)
		return nil, ""
	}
	return res, string(all)
}

// size is the process's memory in MiB and its goroutines, once connections that nobody uses are closed. For as few as
// enough goroutines it waits a while.
func (s *soak) size(people []*person, enough int) (rss, goroutines int) {
	s.t.Helper()
	for _, p := range people {
		p.client.CloseIdleConnections()
	}
	// A reload that has just been done may still cut a connection to the administration it replaced.
	get := func(path string) (body string) {
		waitFor(s.t, 3*time.Minute, "the administration answers", func() bool {
			res, err := http.Get("http://" + s.admin + path) //nolint:noctx // on loopback, for a test
			if err != nil {
				return false
			}
			defer res.Body.Close()
			b, err := io.ReadAll(res.Body)
			body = string(b)
			return err == nil
		})
		return body
	}
	metric := func(name string) int {
		lines := bufio.NewScanner(strings.NewReader(get("/metrics")))
		for lines.Scan() {
			if text, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
				n, err := strconv.ParseFloat(text, 64)
				if err != nil {
					s.t.Fatal(err)
				}
				return int(n)
			}
		}
		s.t.Fatalf("there is no metric %s", name)
		return 0
	}
	// Configurations that were replaced let their last requests end.
	least := metric("go_goroutines")
	settled := time.Now().Add(5 * time.Second)
	waitFor(s.t, 3*time.Minute, "the gateway is at rest", func() bool {
		least = min(least, metric("go_goroutines"))
		return time.Now().After(settled) && (least <= enough || enough == 0 || time.Since(settled) > time.Minute)
	})
	s.profile = get("/debug/pprof/goroutine?debug=1")
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.gate.cmd.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if text, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			if rss, err = strconv.Atoi(strings.Fields(text)[0]); err != nil {
				s.t.Fatal(err)
			}
		}
	}
	return rss >> 10, least
}

// lost counts the impersonated requests that were answered and have no row.
func (s *soak) lost() (lost int) {
	s.t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(s.parts.Dir, "audit.db")+"?mode=ro")
	if err != nil {
		s.t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(s.t.Context(), "SELECT query FROM requests WHERE path = '/echo' AND impersonation_id <> ''")
	if err != nil {
		s.t.Fatal(err)
	}
	defer rows.Close()
	there := map[string]bool{}
	for rows.Next() {
		var query string
		if err := rows.Scan(&query); err != nil {
			s.t.Fatal(err)
		}
		there[strings.TrimPrefix(query, "id=")] = true
	}
	if err := rows.Err(); err != nil {
		s.t.Fatal(err)
	}
	for id := range s.answered {
		if !there[id] {
			lost++
		}
	}
	return lost
}
