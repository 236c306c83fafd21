package directory

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
)

// list is a source that a test writes.
type list struct {
	name  string
	users []User
	err   error
	tell  func(User)
}

func (l *list) Name() string { return l.name }

func (l *list) Users(context.Context) ([]User, error) {
	users := l.users
	l.users = nil
	return users, l.err
}

func (l *list) OnUser(f func(User)) { l.tell = f }

func of(t testing.TB, users ...User) (*Directory, *list, *clock.Manual) {
	t.Helper()
	l := &list{name: "list", users: users}
	c := clock.NewManual(time.Unix(1_800_000_000, 0))
	d := New(Options{Clock: c, Sources: []Source{l}})
	if err := d.Refresh(context.Background()); err != nil {
		t.Fatal(err)
	}
	return d, l, c
}

func person(username, name, email string) User {
	return User{Active: true, Identity: identity.Identity{ID: username, Username: username, Name: name, Email: email}}
}

func names(p Page) []string {
	all := []string{}
	for _, u := range p.Users {
		all = append(all, u.Username)
	}
	return all
}

func find(t testing.TB, d *Directory, q string) []string {
	t.Helper()
	p, err := d.Search(q, maxLimit, "")
	if err != nil {
		t.Fatal(err)
	}
	if p.Total != len(p.Users) {
		t.Errorf("%q: total %d, listed %d", q, p.Total, len(p.Users))
	}
	return names(p)
}

func TestSearchWords(t *testing.T) {
	d, _, _ := of(
		t,
		person("jgarcia", "José García", "jose.garcia@example.com"),
		person("obrien", "Conan O’Brien", "conan@example.org"),
		person("ann_lee", "Ann Lee", ""),
		person("strasse", "Jörg Straße", ""),
		person("lukasz", "Łukasz Żółć", ""),
		person("wang", "王小明", ""),
		person("kim", "김철수", ""),
		person("saku", "さくらがわ", ""),
		person("olya", "Ольга ИВАНОВА", ""),
		person("yiorgos", "Γιώργος", ""),
		person("wide", "Ｗｉｄｅ Ⅳ", ""),
		person("hindi", "किरण", ""),
		person("arab", "مُحَمَّد", ""),
		person("istanbul", "İnci Işık", ""),
		person("nameless", "", ""),
		person("x.y-z@corp", "9th User", ""),
	)
	for q, want := range map[string]string{
		"jose":             "jgarcia",
		"JOSÉ":             "jgarcia",
		"jose\u0301":       "jgarcia", // as a Mac sends it
		"gar jo":           "jgarcia", // any order
		"jose nobody":      "",
		"garcía josé jose": "jgarcia",
		"arcia":            "", // not the beginning of a word
		"jose.garcia@exam": "jgarcia",
		"@example.org":     "obrien",
		"brien":            "obrien",
		"o'brien":          "obrien",
		"OBRIEN":           "obrien",
		"conan":            "obrien",
		"ann lee":          "ann_lee",
		"lee":              "ann_lee",
		"strasse":          "strasse",
		"STRASSE":          "strasse",
		"stras":            "strasse",
		"straße":           "strasse",
		"zolc":             "lukasz",
		"łuk":              "lukasz",
		"王":                "wang",
		"小明":               "wang",
		"명":                "",
		"김":                "kim",
		"철수":               "kim",
		"さくらか":             "", // か is not が
		"くらが":              "saku",
		"ольга и":          "olya",
		"γιωρ":             "yiorgos",
		"ΓΙΏΡΓΟΣ":          "yiorgos",
		"wide iv":          "wide",
		"किर":              "hindi",
		"करण":              "", // the vowel signs make the word
		"محمد":             "arab",
		"inci isik":        "istanbul",
		"nameless":         "nameless",
		"9TH":              "x.y-z@corp",
		"corp y":           "x.y-z@corp",
		"!":                "",
		"...":              "",
		"\xff\xfe":         "",
		"\x00":             "",
	} {
		if got := strings.Join(find(t, d, q), " "); got != want {
			t.Errorf("%q finds %q, want %q", q, got, want)
		}
	}
	for _, q := range []string{"", " ", "\t"} {
		if n := len(find(t, d, q)); n != 16 {
			t.Errorf("%q finds %d, want all 16", q, n)
		}
	}
	if got := find(t, d, strings.Repeat("jose ", 100_000)); len(got) != 1 {
		t.Errorf("a long query finds %v", got)
	}
}

func TestSearchOrder(t *testing.T) {
	d, _, _ := of(t, person("u3", "Bea", ""), person("u1", "bea", ""), person("u2", "Béa", ""), person("zed", "Älva", ""), person("aaa", "Zoe", ""), person("carl", "", ""))
	if diff := cmp.Diff([]string{"zed", "u1", "u2", "u3", "carl", "aaa"}, find(t, d, "")); diff != "" {
		t.Error(diff)
	}
}

// crowd makes users of every script; their words come often, and together.
func crowd(n int) []User {
	r := rand.New(rand.NewPCG(1, 2))
	users := make([]User, n)
	for i := range users {
		users[i] = person(fmt.Sprintf("u%d", i), firsts[r.IntN(len(firsts))]+" "+lasts[r.IntN(len(lasts))], fmt.Sprintf("%c%d@example.com", 'a'+rune(r.IntN(26)), r.IntN(n)))
	}
	return users
}

// oracle finds by looking at everybody.
func oracle(users map[string]User, q string) []string {
	var found []*entry
	query := queryWords(q)
	for _, u := range users {
		if e := newEntry(&u); e.matches(query) && (len(query) > 0 || q == "") {
			found = append(found, e)
		}
	}
	slices.SortFunc(found, func(a, b *entry) int { return strings.Compare(a.order, b.order) })
	all := []string{}
	for _, e := range found {
		all = append(all, e.user.Username)
	}
	return all
}

// Whatever was changed, and whether it is in the index or beside it: pages put together are the whole answer.
func TestSearchAgainstOracle(t *testing.T) {
	const n = 700
	users := map[string]User{}
	for _, u := range crowd(n) {
		users[u.Username] = u
	}
	all := func() []User {
		var l []User
		for _, u := range users {
			l = append(l, u)
		}
		return l
	}
	d, l, c := of(t, all()...)
	r := rand.New(rand.NewPCG(3, 4))
	queries := []string{"", "a", "u1", "jo", "李", "example", "com e", "sam reed", "o b", "u", "ZZZ", "王", "9 a", "ан"}
	for round := range 24 {
		switch round % 4 {
		case 1: // some change, by a source that tells
			for range 20 {
				u := person(fmt.Sprintf("u%d", r.IntN(n+50)), firsts[r.IntN(len(firsts))], "new@example.com")
				users[u.Username] = u
				l.tell(u)
			}
		case 2: // some are removed
			for range 10 {
				delete(users, fmt.Sprintf("u%d", r.IntN(n)))
			}
			l.users = all()
			if err := d.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
		case 3: // the rest goes into the index
			c.Advance(time.Second)
		}
		for _, q := range queries {
			want := oracle(users, q)
			var got []string
			limit := 1 + r.IntN(maxLimit)
			cursor := ""
			for {
				p, err := d.Search(q, limit, cursor)
				if err != nil {
					t.Fatal(err)
				}
				if p.Total != len(want) || len(p.Users) > limit {
					t.Fatalf("round %d, %q: total %d, want %d; %d on a page of %d", round, q, p.Total, len(want), len(p.Users), limit)
				}
				got = append(got, names(p)...)
				if cursor = p.Next; cursor == "" {
					break
				}
			}
			if diff := cmp.Diff(want, append([]string{}, got...)); diff != "" {
				t.Fatalf("round %d, %q, pages of %d: -want +got:\n%s", round, q, limit, diff)
			}
		}
		if d.Len() != len(users) {
			t.Fatalf("%d accounts, want %d", d.Len(), len(users))
		}
	}
}

func TestCursorIsStable(t *testing.T) {
	d, l, _ := of(t, person("b", "B", ""), person("d", "D", ""), person("f", "F", ""), person("h", "H", ""))
	first, err := d.Search("", 2, "")
	if err != nil || first.Next == "" {
		t.Fatal(first, err)
	}
	l.tell(person("a", "A", "")) // before the place
	l.tell(person("e", "E", "")) // after it
	l.users = []User{person("a", "A", ""), person("b", "B", ""), person("e", "E", ""), person("f", "F", ""), person("h", "H", "")}
	if err := d.Refresh(t.Context()); err != nil { // the one at the place is gone
		t.Fatal(err)
	}
	second, err := d.Search("", 10, first.Next)
	if diff := cmp.Diff([]string{"e", "f", "h"}, names(second)); diff != "" || err != nil || second.Next != "" {
		t.Errorf("%v, next %q:\n%s", err, second.Next, diff)
	}
	for _, c := range []string{"!", "YQ=", "YWJj", strings.Repeat("A", 10_000), "_w"} {
		if _, err := d.Search("", 10, c); !errors.Is(err, ErrCursor) {
			t.Errorf("cursor %.20q: error %v", c, err)
		}
	}
}

func TestLimit(t *testing.T) {
	d, _, _ := of(t, crowd(1000)...)
	for limit, want := range map[int]int{0: 50, -1: 50, 1: 1, 200: 200, 201: 200, 1 << 40: 200} {
		if p, err := d.Search("", limit, ""); err != nil || len(p.Users) != want {
			t.Errorf("limit %d: %d users, %v", limit, len(p.Users), err)
		}
	}
}

func TestFilter(t *testing.T) {
	d, l, _ := of(t, crowd(1000)...)
	l.tell(person("u7", "Beside The Index", ""))
	asked := 0
	even := func(u *User) bool { asked++; return (u.ID[len(u.ID)-1]-'0')%2 == 0 }
	var got []string
	cursor := ""
	for pages := 0; ; pages++ {
		asked = 0
		p, err := d.Search("u", 10, cursor, even, nil)
		if err != nil || p.Total != -1 || pages > 51 {
			t.Fatal(p.Total, pages, err)
		}
		if asked > 100 {
			t.Errorf("a page of 10 asked about %d", asked)
		}
		got = append(got, names(p)...)
		if cursor = p.Next; cursor == "" {
			break
		}
	}
	var want []string
	cursor = ""
	for {
		p, err := d.Search("u", maxLimit, cursor)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range p.Users {
			if even(u) {
				want = append(want, u.Username)
			}
		}
		if cursor = p.Next; cursor == "" {
			break
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	// Nobody passes: the end, after everyone was asked about.
	p, err := d.Search("", 10, "", func(*User) bool { return false })
	if len(p.Users) != 0 || p.Next != "" || err != nil {
		t.Errorf("%v, %v", p, err)
	}
}

func FuzzSearch(f *testing.F) {
	d, _, _ := of(f, crowd(200)...)
	f.Add("jose", 10, "")
	f.Add("ﷺ İ", -1, "AAAA")
	f.Fuzz(func(t *testing.T, q string, limit int, cursor string) {
		p, err := d.Search(q, limit, cursor)
		if err != nil && !errors.Is(err, ErrCursor) {
			t.Error(err)
		}
		if len(p.Users) > maxLimit || p.Total > 200 {
			t.Error("too many")
		}
		if folded := fold(q); fold(folded) != folded && fold(fold(folded)) != fold(folded) {
			t.Errorf("folding %q never ends", q)
		}
	})
}

// benchQueries are what people type: beginnings of all lengths of words that are there, alone and together.
func benchQueries(users []User) []string {
	r := rand.New(rand.NewPCG(5, 6))
	queries := []string{"", "e", "u", "example", "com", "a e", "e c u", "zzzz"}
	for len(queries) < 5000 {
		var q []string
		for range 1 + r.IntN(3) {
			w := newEntry(&users[r.IntN(len(users))]).words
			word := []rune(w[r.IntN(len(w))])
			q = append(q, string(word[:1+r.IntN(len(word))]))
		}
		queries = append(queries, strings.Join(q, " "))
	}
	return queries
}

// BenchmarkSearch100k reports the 95th percentile of the first page's time.
func BenchmarkSearch100k(b *testing.B) {
	users := crowd(100_000)
	queries := benchQueries(users)
	d, l, _ := of(b, slices.Clone(users)...)
	for i := range 100 {
		l.tell(person(fmt.Sprintf("u%d", i*7), "Changed Since", "x@example.com"))
	}
	for name, filter := range map[string][]func(*User) bool{"all": nil, "filtered": {func(u *User) bool { return strings.HasSuffix(u.ID, "7") }}} {
		b.Run(name, func(b *testing.B) {
			times := make([]time.Duration, 0, len(queries))
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				start := time.Now()
				if _, err := d.Search(queries[i%len(queries)], 50, "", filter...); err != nil {
					b.Fatal(err)
				}
				if len(times) < cap(times) {
					times = append(times, time.Since(start))
				} else {
					times[i%len(times)] = time.Since(start)
				}
				i++
			}
			slices.Sort(times)
			b.ReportMetric(float64(times[len(times)*95/100].Microseconds()), "p95-µs")
			b.ReportMetric(float64(times[len(times)-1].Microseconds()), "max-µs")
		})
	}
}

func BenchmarkLookup(b *testing.B) {
	d, l, _ := of(b, crowd(100_000)...)
	l.tell(person("u7", "Beside The Index", ""))
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := d.Lookup("u4711"); !ok {
			b.Fatal("not found")
		}
	}
}

func BenchmarkPerson(b *testing.B) {
	d, _, _ := of(b, User{Active: true, Identity: identity.Identity{ID: "1", Username: "sam", Name: "Sam", Email: "s@x", Groups: []string{"g"}, Attributes: map[string]string{}}})
	claims := &identity.Identity{ID: "1", Username: "sam"}
	b.ReportAllocs()
	for b.Loop() {
		d.Person(claims)
	}
}

func BenchmarkBuild100k(b *testing.B) {
	all := map[string]*User{}
	users := crowd(100_000)
	for i := range users {
		all[users[i].Username] = &users[i]
	}
	b.ReportAllocs()
	for b.Loop() {
		buildIndex(all)
	}
}

// BenchmarkOneChange is what a login costs that brings new facts.
func BenchmarkOneChange(b *testing.B) {
	d, l, _ := of(b, crowd(100_000)...)
	for i := range maxOverlay {
		l.tell(person(fmt.Sprintf("u%d", i), "Changed", "x@example.com"))
	}
	i := 0
	for b.Loop() {
		i++
		l.tell(person("u7", fmt.Sprint("Name ", i), ""))
	}
	_ = d
}
