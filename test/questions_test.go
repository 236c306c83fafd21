package test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/clickhouse"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/sqlite"
	"github.com/seed-240d5494/caddy-impersonate/test/chtest"
)

// answers are what the questions of docs/auditing.md have to find in the rows of story, by their numbers.
var answers = map[string]string{
	"1": `
03-07 22:10 | Bob Moss (impersonating Sam Reed): DELETE /bookings/7 (interrupted)
03-07 22:05 | Bob Moss (impersonating Sam Reed): GET /bookings/1042
03-02 09:33 | Alice Ng (impersonating Sam Reed): GET /account/password (refused: denied_path)
03-02 09:32 | Alice Ng (impersonating Sam Reed): Completed booking
03-02 09:31 | Alice Ng (impersonating Sam Reed): GET /bookings/1042
02-20 10:01 | Alice Ng (impersonating Sam Reed): GET /`,
	"2": `
03-02 09:30 | alice | sam | Booking 1042 is stuck | T-1 | stopped | 3 | 1 | 1
03-07 22:00 | bob | sam | Nobody answers |  | objection | 2 | 1 | 0
03-10 10:00 | alice | kim | Report missing | T-3 |  | 1 | 0 | 0`,
	"3": `i-3 | alice | kim | 03-10 10:00 | read_only`,
	"4": `
1 | 03-02 09:31 | GET | /bookings/1042 | tab=log |  | 200 | completed |  | marked
2 | 03-02 09:32 | POST | /bookings/1042/complete |  | Completed booking | 303 | completed |  | 
3 | 03-02 09:33 | GET | /account/password |  |  | 403 | refused | denied_path | `,
	"5": `
03-02 09:32 | alice | POST | /bookings/1042/complete | Completed booking | 303 | completed
03-07 22:10 | bob | DELETE | /bookings/7 |  | 0 | interrupted`,
	"6": `
03-02 09:31 | alice | sam | GET | /bookings/1042 | 200
03-02 09:32 | alice | sam | POST | /bookings/1042/complete | 303
03-07 22:05 | bob | sam | GET | /bookings/1042 | 200`,
	"7": `
alice | 3 | 2 | 5 | 1
bob | 1 | 1 | 2 | 1`,
	"8": `
mallory | olivia | protected | 2 | 03-05 14:01
mallory | sam | no_policy | 1 | 03-05 14:02`,
	"9":  `03-07 22:00 | bob | sam | Nobody answers`,
	"10": `03-10 09:59 | approval_granted | olivia | alice | kim | Report missing`,
	"11": `03-07 22:00 | bob | sam | Nobody answers`,
	"12": `denied_path | alice | GET | /account/password | 1`,
	"13": `withheld | app.example.com | /reports/1.html | 1`,
	"14": `03-07 22:10 | bob | sam | DELETE | /bookings/7 | interrupted`,
	"15": `03-07 22:00 | bob | sam | Nobody answers`,
	"16": `
bob | sam | 03-07 22:00
alice | kim | 03-10 10:00`,
	"17": `i-2 | bob | 2 | 192.0.2.8 | 198.51.100.9`,
	"18": `03-07 22:20 | sam | bob | I did not ask for this | locked`,
	"19": `
03-07 22:00 | bob | sam
03-10 10:00 | alice | kim`,
	"21": `03-02 09:32 | alice | sam | POST | /bookings/1042/complete | title, internal_note, done[], …`,
	"22": `
i-y | bob | kim | 01-30 09:00 | 01-30 09:01 | 2 | 0
i-z | alice | kim | 01-31 09:00 | 01-31 09:05 | 1 | 1
i-x | alice | olivia | 01-31 10:00 | 01-31 10:00 | 0 | 1`,
	"20": `
03-11 08:00 | audit_read | uma | 192.0.2.50
03-11 08:05 | audit_exported | uma | 192.0.2.50`,
}

// story is what happened: four impersonations, what led to them and what came of them; of three before nothing but the end is
// left.
func story() *audit.Batch {
	people := map[string]string{"alice": "Alice Ng", "bob": "Bob Moss", "sam": "Sam Reed", "kim": "Kim Yu", "olivia": "Olivia Hart", "mallory": "Mallory", "uma": "Uma Roy"}
	b := &audit.Batch{LogID: "storystorystoryx", From: 1, Token: "story"}
	at := func(when string) time.Time {
		t, err := time.Parse("2006-01-02 15:04", "2026-"+when)
		if err != nil {
			panic(err)
		}
		b.To++
		return t
	}
	event := func(when, kind, imp, actor, target string, set func(*audit.Event)) {
		e := &audit.Event{
			Time: at(when), LogID: b.LogID, Type: kind, ImpersonationID: imp, ActorID: "id-" + actor, ActorUsername: actor, ActorName: people[actor],
			ClientIP: "192.0.2.50", Detail: "{}",
		}
		if target != "" {
			e.TargetID, e.TargetUsername, e.TargetName = "id-"+target, target, people[target]
		}
		if set != nil {
			set(e)
		}
		e.Seq = b.To
		e.Hash()
		b.Events = append(b.Events, e)
	}
	n := map[string]uint64{}
	request := func(when, imp, actor, target, method, path string, set func(*audit.Request)) {
		n[imp]++
		r := &audit.Request{
			Time: at(when), LogID: b.LogID, Seq: b.To, RequestID: fmt.Sprintf("r-%d", b.To), ImpersonationID: imp, ImpersonationSeq: n[imp],
			ActorID: "id-" + actor, ActorUsername: actor, ActorName: people[actor], TargetID: "id-" + target, TargetUsername: target, TargetName: people[target],
			Mode: "full", ClientIP: "192.0.2.8", UserAgent: "Mozilla/5.0", Method: method, Scheme: "https", Host: "app.example.com", Path: path,
			Status: 200, Outcome: audit.OutcomeCompleted, Duration: 20 * time.Millisecond, ResponseBytes: 4000, ContentType: "text/html",
		}
		if set != nil {
			set(r)
		}
		r.Hash()
		b.Requests = append(b.Requests, r)
	}
	started := func(reason, ticket, mode string) func(*audit.Event) {
		return func(e *audit.Event) {
			e.Reason, e.Ticket, e.Mode, e.Detail = reason, ticket, mode, `{"policy":"support","mode":"`+mode+`"}`
		}
	}
	detail := func(text string) func(*audit.Event) { return func(e *audit.Event) { e.Detail = text } }

	request("01-30 09:00", "i-y", "bob", "kim", "GET", "/rooms", nil)
	request("01-30 09:01", "i-y", "bob", "kim", "GET", "/rooms", nil)
	request("01-31 09:00", "i-z", "alice", "kim", "GET", "/rooms", nil)
	event("01-31 09:05", audit.EventImpersonationEnded, "i-z", "alice", "kim", detail(`{"cause":"stopped","by":"alice","requests":9}`))
	event("01-31 10:00", audit.EventImpersonationEnded, "i-x", "alice", "olivia", detail(`{"cause":"stopped","by":"alice","requests":4}`))

	event("02-20 10:00", audit.EventImpersonationStarted, "i-0", "alice", "sam", started("Training", "T-0", "full"))
	request("02-20 10:01", "i-0", "alice", "sam", "GET", "/", nil)
	event("02-20 10:20", audit.EventImpersonationEnded, "i-0", "alice", "sam", detail(`{"cause":"stopped","by":"alice","requests":1}`))
	event("02-20 10:21", audit.EventNoticeSent, "i-0", "alice", "sam", nil)

	event("03-02 09:30", audit.EventImpersonationStarted, "i-1", "alice", "sam", started("Booking 1042 is stuck", "T-1", "full"))
	request("03-02 09:31", "i-1", "alice", "sam", "GET", "/bookings/1042", func(r *audit.Request) { r.Query, r.Banner = "tab=log", audit.BannerMarked })
	request("03-02 09:32", "i-1", "alice", "sam", "POST", "/bookings/1042/complete", func(r *audit.Request) {
		r.Action, r.Status, r.Fields = "Completed booking", 303, "title, internal_note, done[], …"
	})
	request("03-02 09:33", "i-1", "alice", "sam", "GET", "/account/password", func(r *audit.Request) {
		r.Status, r.Outcome, r.Refusal = 403, audit.OutcomeRefused, "denied_path"
	})
	event("03-02 09:50", audit.EventImpersonationEnded, "i-1", "alice", "sam", detail(`{"cause":"stopped","by":"alice","requests":3}`))
	event("03-02 09:51", audit.EventNoticeSent, "i-1", "alice", "sam", nil)

	for i, target := range []string{"olivia", "olivia", "sam"} {
		refusal := map[string]string{"olivia": "protected", "sam": "no_policy"}[target]
		event(fmt.Sprintf("03-05 14:0%d", i), audit.EventImpersonationRefused, "", "mallory", target, detail(`{"refusal":"`+refusal+`"}`))
	}

	event("03-07 22:00", audit.EventEmergencyStarted, "i-2", "bob", "sam", started("Nobody answers", "", "full"))
	event("03-07 22:00", audit.EventImpersonationStarted, "i-2", "bob", "sam", started("Nobody answers", "", "full"))
	request("03-07 22:05", "i-2", "bob", "sam", "GET", "/bookings/1042", func(r *audit.Request) { r.Banner = audit.BannerMarked })
	request("03-07 22:10", "i-2", "bob", "sam", "DELETE", "/bookings/7", func(r *audit.Request) {
		r.Status, r.Outcome, r.ClientIP = 0, audit.OutcomeInterrupted, "198.51.100.9"
		r.Fields = "internal-note, Internal_note, internal_note[], an internal_note" // others that look like one
	})
	event("03-07 22:20", audit.EventObjectionRaised, "i-2", "bob", "sam", func(e *audit.Event) {
		e.Reason, e.Detail = "I did not ask for this", `{"consequence":"locked","policy":"support"}`
	})
	event("03-07 22:20", audit.EventImpersonationEnded, "i-2", "bob", "sam", detail(`{"cause":"objection","by":"sam","requests":2}`))
	event("03-07 22:21", audit.EventNoticeFailed, "i-2", "bob", "sam", nil)

	event("03-10 09:59", audit.EventApprovalGranted, "", "alice", "kim", func(e *audit.Event) { e.Reason, e.Detail = "Report missing", `{"by":"olivia"}` })
	event("03-10 10:00", audit.EventImpersonationStarted, "i-3", "alice", "kim", started("Report missing", "T-3", "read_only"))
	request("03-10 10:01", "i-3", "alice", "kim", "GET", "/reports/1.html", func(r *audit.Request) {
		r.Outcome, r.Banner, r.Mode = audit.OutcomeWithheld, audit.BannerWithheld, "read_only"
	})

	event("03-11 08:00", audit.EventAuditRead, "", "uma", "", nil)
	event("03-11 08:05", audit.EventAuditExported, "", "uma", "", nil)
	return b
}

// TestQuestions: the queries of docs/auditing.md find what they say, in both databases.
func TestQuestions(t *testing.T) {
	house, lite := storyDatabases(t)
	headings := regexp.MustCompile(`(?m)^### (\d+)\. .*\?$`)
	text := documents(t)["docs/auditing.md"]
	found := headings.FindAllStringSubmatchIndex(text, -1)
	if len(found) != len(answers) {
		t.Fatalf("%d questions", len(found))
	}
	for i, m := range found {
		end := len(text)
		if i+1 < len(found) {
			end = found[i+1][0]
		}
		number := text[m[2]:m[3]]
		want := strings.TrimPrefix(answers[number], "\n")
		asked := 0
		section, _, _ := strings.Cut(text[m[1]:end], "\n## ")
		for _, block := range fence.FindAllStringSubmatch(section, -1) {
			first, _, _ := strings.Cut(block[3], "\n")
			query := strings.TrimSuffix(strings.TrimSpace(block[3]), ";")
			query = strings.ReplaceAll(query, "3ebaf0d3c4749639ed839b144b80b91e", "i-1")
			for name, db := range map[string]*sql.DB{"SQLite": lite, "ClickHouse": house} {
				if strings.HasPrefix(first, "--") && first != "-- "+name {
					continue
				}
				asked++
				got, err := answer(t.Context(), db, query)
				if err != nil {
					t.Errorf("%s, in %s: %v", number, name, err)
				} else if d := cmp.Diff(want, got); d != "" {
					t.Errorf("%s, in %s (-want +got):\n%s", number, name, d)
				}
			}
		}
		if asked == 0 || want == "" {
			t.Errorf("question %s: asked %d times, the answer is %q", number, asked, want)
		}
	}
}

// storyDatabases are one of each kind with the story in it.
func storyDatabases(t *testing.T) (house, lite *sql.DB) {
	t.Helper()
	srv := chtest.StartOwn(t)
	columnar, err := clickhouse.Open(srv.DSN)
	if err != nil {
		t.Fatal(err)
	}
	if err := columnar.Apply(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "audit.db")
	rows, err := sqlite.Open(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	for _, sink := range []audit.Sink{columnar, rows} {
		if err := sink.Write(t.Context(), story()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = sink.Close() })
	}
	if house, err = clickhouse.OpenReadOnly(srv.DSN); err != nil {
		t.Fatal(err)
	}
	if lite, err = sqlite.OpenReadOnly(file); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = house.Close(), lite.Close() })
	return house, lite
}

// answer is a query's result, a line for each row. Times are shortened.
func answer(ctx context.Context, db *sql.DB, query string) (string, error) {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return "", err
	}
	var lines []string
	for rows.Next() {
		values, to := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			to[i] = &values[i]
		}
		if err := rows.Scan(to...); err != nil {
			return "", err
		}
		texts := make([]string, len(values))
		for i, v := range values {
			texts[i] = plain(v)
		}
		lines = append(lines, strings.Join(texts, " | "))
	}
	return strings.Join(lines, "\n"), rows.Err()
}

func plain(v any) string {
	const short = "01-02 15:04"
	switch v := v.(type) {
	case nil:
		return ""
	case time.Time:
		return v.UTC().Format(short)
	case *time.Time:
		if v == nil {
			return ""
		}
		return v.UTC().Format(short)
	}
	text := fmt.Sprint(v)
	if when, err := time.Parse(audit.TimeLayout, text); err == nil {
		return when.Format(short)
	}
	return text
}
