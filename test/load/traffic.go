package load

import (
	"encoding/base32"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

// What the traffic is of: a company whose service desk uses a field service app in the names of those in the field.
const (
	actors   = 400
	targets  = 20_000
	agents   = 120
	assets   = 300
	bookings = 500_000
	atOnce   = 25 // impersonations
)

// impersonation is one under way.
type impersonation struct {
	id            string
	actor, target int
	seq, length   int
	mode          string
}

// Traffic is n requests of impersonations in the order of their Seq, the same at each call: some 25 at once in working
// hours, one or two at night, of pages with what belongs to them, scripts that ask again, searches, writes, and what the
// gateway refused. Ids are as random as the gateway's. Rows have their leaf hash.
func Traffic(n int) iter.Seq[*audit.Request] {
	return func(yield func(*audit.Request) bool) {
		rnd := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // repeatable
		at := time.Date(2026, 3, 2, 6, 0, 0, 0, time.UTC)
		live := make([]*impersonation, atOnce)
		for seq := 1; seq <= n; seq++ {
			at = at.Add(pause(rnd, at))
			i := rnd.IntN(len(live))
			if live[i] == nil || live[i].seq >= live[i].length {
				live[i] = begin(rnd)
			}
			live[i].seq++
			r := live[i].request(rnd, at, uint64(seq))
			r.Hash()
			if !yield(r) {
				return
			}
		}
	}
}

// pause is the time to the next request: short by day, long at night.
func pause(rnd *rand.Rand, at time.Time) time.Duration {
	mean := 60 * time.Millisecond
	if h := at.Hour(); h < 6 || h >= 18 || at.Weekday() == time.Saturday || at.Weekday() == time.Sunday {
		mean = 5 * time.Second
	}
	return time.Duration(rnd.ExpFloat64() * float64(mean)).Truncate(time.Microsecond)
}

func begin(rnd *rand.Rand) *impersonation {
	mode := "full"
	if rnd.IntN(5) == 0 {
		mode = "read_only"
	}
	return &impersonation{
		id:    fmt.Sprintf("%016x%016x", rnd.Uint64(), rnd.Uint64()),
		actor: int(math.Pow(rnd.Float64(), 2) * actors), target: rnd.IntN(targets), // some people do most
		length: 20 + int(rnd.ExpFloat64()*150), mode: mode,
	}
}

func (s *impersonation) request(rnd *rand.Rand, at time.Time, seq uint64) *audit.Request {
	r := &audit.Request{
		Time: at, LogID: "kxp3vbq2mwu7zdnc", Seq: seq, RequestID: randomText(rnd), ImpersonationID: s.id, ImpersonationSeq: uint64(s.seq),
		ActorID: person('a', s.actor), ActorUsername: fmt.Sprintf("%s.%s", given[s.actor%len(given)], family[s.actor/len(given)%len(family)]),
		ActorName: name(s.actor), TargetID: person('t', s.target), TargetUsername: fmt.Sprintf("worker%05d", s.target), TargetName: name(s.target),
		Mode: s.mode, ClientIP: fmt.Sprintf("10.20.%d.%d", s.actor/200, s.actor%200+10), UserAgent: agent(s.actor % agents), Method: "GET",
		Scheme: "https", Host: "app.example.com", Status: 200, Outcome: audit.OutcomeCompleted,
		Duration: time.Duration(900+rnd.ExpFloat64()*25_000) * time.Microsecond,
	}
	switch k := rnd.IntN(100); {
	case k < 12:
		r.Path, r.ContentType, r.Banner = fmt.Sprintf("/bookings/%d", rnd.IntN(bookings)), "text/html; charset=utf-8", audit.BannerMarked
		r.ResponseBytes = int64(14_000 + rnd.IntN(25_000))
	case k < 18:
		r.Path, r.Query, r.ContentType, r.Banner = "/bookings", fmt.Sprintf("page=%d&sort=date", rnd.IntN(40)), "text/html; charset=utf-8", audit.BannerMarked
		r.ResponseBytes = int64(30_000 + rnd.IntN(30_000))
	case k < 38:
		r.Path, r.ContentType, r.ResponseBytes = fmt.Sprintf("/api/v2/bookings/%d", rnd.IntN(bookings)), "application/json", int64(400+rnd.IntN(6000))
	case k < 50:
		r.Path, r.ContentType, r.ResponseBytes = "/api/v2/notifications", "application/json", 2
	case k < 53:
		r.Path, r.Query, r.ContentType = "/api/v2/search", fmt.Sprintf("q=%s+%s&limit=20", given[rnd.IntN(len(given))], family[rnd.IntN(len(family))]), "application/json"
		r.ResponseBytes = int64(rnd.IntN(9000))
	case k < 58:
		r.Path, r.Method, r.Action, r.Status = fmt.Sprintf("/bookings/%d/complete", rnd.IntN(bookings)), "POST", "Completed booking", 303
		r.RequestBytes = int64(100 + rnd.IntN(900))
		if s.mode == "read_only" {
			r.Status, r.Outcome, r.Refusal, r.Duration = 403, audit.OutcomeRefused, "read_only", time.Duration(80+rnd.IntN(200))*time.Microsecond
		}
	case k < 59:
		r.Path, r.Status, r.Outcome, r.Refusal = "/account/password", 403, audit.OutcomeRefused, "denied_path"
	case k < 60:
		r.Path, r.Status, r.Outcome = fmt.Sprintf("/files/%d.pdf", rnd.IntN(bookings)), 0, audit.OutcomeAborted
	default:
		a := rnd.IntN(assets)
		r.Path, r.ContentType, r.ResponseBytes = fmt.Sprintf("/static/js/chunk-%08x.js", uint32(a)*2_654_435_761), "text/javascript; charset=utf-8", int64(900*a%90_000)
		if rnd.IntN(3) > 0 {
			r.Status, r.ResponseBytes, r.ContentType = 304, 0, ""
		}
	}
	return r
}

// randomText is as crypto/rand.Text, which names requests, makes it.
func randomText(rnd *rand.Rand) string {
	var b [17]byte
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	return base32.StdEncoding.EncodeToString(b[:])[:26]
}

// person is the id of an account: of a provider, a UUID as a rule.
func person(kind byte, n int) string {
	p := rand.New(rand.NewPCG(uint64(kind), uint64(n))) //nolint:gosec // the same for the same person
	return fmt.Sprintf("%08x-%04x-4%03x-a%03x-%012x", p.Uint32(), p.Uint32()&0xffff, p.Uint32()&0xfff, p.Uint32()&0xfff, p.Uint64()&0xffff_ffff_ffff)
}

func name(n int) string {
	return given[n%len(given)] + " " + family[n/len(given)%len(family)]
}

func agent(n int) string {
	systems := []string{"Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10_15_7", "X11; Linux x86_64"}
	return fmt.Sprintf("Mozilla/5.0 (%s) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0.%d.%d Safari/537.36", systems[n%3], 128+n%12, 6500+n*7, n*3)
}

var (
	given = []string{
		"Alice", "Bob", "Chloé", "Dmitri", "Elif", "Fatima", "Georg", "Hana", "Ivan", "Jörg", "Keiko", "Luis", "Mei", "Nora", "Omar",
		"Priya", "Quentin", "Rosa", "Sven", "Tariq", "Uma", "Viktor", "Wen", "Ximena", "Yara", "Zofia",
	}
	family = []string{
		"Ng", "Moss", "Dubois", "Ivanov", "Yılmaz", "Haddad", "Schmidt", "Sato", "Petrov", "Müller", "Tanaka", "García", "Chen", "Berg",
		"Khan", "Patel", "Martin", "Silva", "Lind", "Aziz", "Roy", "Novak", "Li", "López", "Costa", "Kowalska",
	}
)
