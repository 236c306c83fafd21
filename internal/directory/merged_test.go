package directory

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
)

// mergedCrowd is a directory of 100,000 accounts that three sources know, each a part of the facts; and the source that has all.
func mergedCrowd(tb testing.TB) (d *Directory, users []User, last *list) {
	tb.Helper()
	users = crowd(100_000)
	for i := range users {
		users[i].Groups = []string{"staff", fmt.Sprint("team-", i%500)}
	}
	bare := slices.Clone(users)
	for i := range bare {
		bare[i].Email, bare[i].Groups, bare[i].Attributes = "", nil, nil
	}
	last = &list{name: "sql", users: slices.Clone(users)}
	d = New(Options{Sources: []Source{&list{name: "file", users: slices.Clone(bare[:1000])}, &list{name: "ldap", users: bare}, last}})
	if err := d.Refresh(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	if d.Len() != 100_000 {
		tb.Fatalf("%d accounts", d.Len())
	}
	return d, users, last
}

// searches are what people type, by what they look for: beginnings of all lengths of names in a script, of usernames and of
// addresses, in any case.
func searches(users []User) map[string][]string {
	r := rand.New(rand.NewPCG(7, 8))
	all := map[string][]string{"first page": {""}}
	add := func(what, text string) {
		letters := []rune(text)
		q := string(letters[:1+r.IntN(len(letters))])
		if r.IntN(2) == 0 {
			q = strings.ToUpper(q)
		}
		all[what] = append(all[what], q)
	}
	for range 20_000 {
		u := &users[r.IntN(len(users))]
		add("username", u.Username)
		add("email", u.Email)
		for _, word := range strings.Fields(u.Name) {
			for name, script := range map[string]*unicode.RangeTable{
				"Latin": unicode.Latin, "Cyrillic": unicode.Cyrillic, "Greek": unicode.Greek, "Arabic": unicode.Arabic,
				"Han": unicode.Han, "Kana": unicode.Hiragana, "Hangul": unicode.Hangul,
			} {
				if unicode.Is(script, []rune(word)[0]) {
					add("name, "+name, word)
				}
			}
		}
	}
	return all
}

// BenchmarkMerged100k is the first page of a search over accounts that three sources know, by what is looked for. With
//
//	go test -run '^$' -bench Merged100k -benchtime 3000x ./internal/directory
//
// the figures of docs/cost.md were made.
func BenchmarkMerged100k(b *testing.B) {
	d, users, _ := mergedCrowd(b)
	all := searches(users)
	for _, what := range slices.Sorted(maps.Keys(all)) {
		queries := all[what]
		b.Run(what, func(b *testing.B) {
			var times []time.Duration
			for n := 0; b.Loop(); n++ {
				start := time.Now()
				page, err := d.Search(queries[n%len(queries)], 50, "")
				if err != nil || len(page.Users) == 0 {
					b.Fatalf("%q: %d accounts, %v", queries[n%len(queries)], len(page.Users), err)
				}
				if len(times) < 1<<20 {
					times = append(times, time.Since(start))
				}
			}
			slices.Sort(times)
			b.ReportMetric(float64(times[len(times)*95/100].Microseconds()), "p95-µs")
			b.ReportMetric(float64(times[len(times)-1].Microseconds()), "max-µs")
		})
	}
}

// BenchmarkMergedReading100k is what it costs when a source has given all of its 100,000 accounts again, with one change.
func BenchmarkMergedReading100k(b *testing.B) {
	d, users, last := mergedCrowd(b)
	for i := 0; b.Loop(); i++ {
		again := slices.Clone(users)
		again[i%len(again)].Active = false
		last.users = again
		if err := d.Refresh(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
