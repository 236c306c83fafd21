package portal_test

import (
	"fmt"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
)

// BenchmarkPortal is the list at 100,000 accounts, over HTTP: each search with the decisions of its rows. The metric
// is the 95th percentile. "few" is a supervisor who may log in as ten of them, at the end of the alphabet.
func BenchmarkPortal(b *testing.B) {
	users := crowd(100_000)
	for i := range 10 {
		users = append(users, user(fmt.Sprintf("zz%d", i), fmt.Sprintf("Zoe Zulu %d", i), true, "tiny-team"))
	}
	g := newRig(b, users...)
	r := rules()
	r.Policies = append(r.Policies, policyOf("tiny", "tiny-leads", "tiny-team"))
	g.use(r)
	g.change("office", func(u *directory.User) { u.Groups = []string{"tiny-leads"} })
	queries := []string{"", "a", "jo", "jose", "mei", "mei jans", "muller", "u0499", "u04999@ex", "zzz", "no such"}
	for _, who := range []string{"super", "office"} {
		for _, kind := range []string{"?part=1&q=", "?q=", "?part=1&only=1&q=", "api/v1/users?limit=100&q="} {
			name := map[string]string{"super": "many", "office": "few"}[who] + "/" + map[string]string{"?part=1&q=": "piece", "?q=": "page", "?part=1&only=1&q=": "mine", "api/v1/users?limit=100&q=": "api"}[kind]
			b.Run(name, func(b *testing.B) {
				br := g.login(who)
				br.t = b
				var took []time.Duration
				for i := 0; b.Loop(); i++ {
					at := time.Now()
					br.get("/.impersonate/"+kind+url.QueryEscape(queries[i%len(queries)])).want(b, 200)
					took = append(took, time.Since(at))
				}
				slices.Sort(took)
				b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1000, "p95-ms")
			})
		}
	}
}
