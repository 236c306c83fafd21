package portal_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	auditsqlite "github.com/seed-240d5494/caddy-impersonate/internal/audit/sqlite"
)

const auditAPI = "/.impersonate/api/v1/audit/"

// auditRig is a rig with a record to read.
type auditRig struct {
	*rig
	sink *auditsqlite.Sink
	path string
	seq  uint64
}

// newAuditRig has an SQLite record, empty; wrap may stand between it and the portal.
func newAuditRig(t testing.TB, wrap ...func(audit.Reader) audit.Reader) *auditRig {
	t.Helper()
	a := &auditRig{path: filepath.Join(t.TempDir(), "audit.db")}
	var err error
	if a.sink, err = auditsqlite.Open(t.Context(), a.path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.sink.Close() })
	reader, err := auditsqlite.OpenReader(a.path, func() time.Time { return start })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = reader.Close() })
	for _, w := range wrap {
		reader = w(reader)
	}
	a.rig = newRigOn(t, reader)
	return a
}

// write puts rows into the record, one batch for all.
func (a *auditRig) write(rows ...any) {
	a.t.Helper()
	b := &audit.Batch{LogID: "kxp3vbq2mwu7zdnc", From: a.seq + 1}
	for _, row := range rows {
		a.seq++
		switch r := row.(type) {
		case *audit.Request:
			r.LogID, r.Seq = b.LogID, a.seq
			r.Hash()
			b.Requests = append(b.Requests, r)
		case *audit.Event:
			r.LogID, r.Seq = b.LogID, a.seq
			r.Hash()
			b.Events = append(b.Events, r)
		}
	}
	b.To = a.seq
	b.Token = fmt.Sprint("test-", b.From, "-", b.To)
	if err := a.sink.Write(context.Background(), b); err != nil {
		a.t.Fatal(err)
	}
}

func recorded(ago time.Duration, id, method, path string, change func(*audit.Request)) *audit.Request {
	r := &audit.Request{
		Time: start.Add(-ago), RequestID: "req-" + path, ImpersonationID: id, ActorID: "id-admin", ActorUsername: "admin", ActorName: "Alice Ng",
		TargetID: "id-sam", TargetUsername: "sam", TargetName: "Sam Reed", Mode: "full", ClientIP: "192.0.2.7", Method: method, Scheme: "https",
		Host: "app.example.com", Path: path, Status: 200, Outcome: audit.OutcomeCompleted, Banner: audit.BannerMarked, Duration: 12 * time.Millisecond,
		ContentType: "text/html",
	}
	if change != nil {
		change(r)
	}
	return r
}

func happened(ago time.Duration, kind, id, detail string) *audit.Event {
	e := &audit.Event{
		Time: start.Add(-ago), Type: kind, ImpersonationID: id, ActorID: "id-admin", ActorUsername: "admin", ActorName: "Alice Ng",
		TargetID: "id-sam", TargetUsername: "sam", TargetName: "Sam Reed", Mode: "full", ClientIP: "192.0.2.7", Detail: detail,
	}
	if kind == audit.EventImpersonationStarted {
		e.Reason, e.Ticket = "the booking won't complete", "T-17"
	}
	return e
}

// aDay writes one impersonation, that of imp-1.
func (a *auditRig) aDay() {
	a.t.Helper()
	a.write(
		happened(time.Hour, audit.EventImpersonationStarted, "imp-1", `{"policy":"support","mode":"full","duration_s":1800,"site":"https://app.example.com"}`),
		recorded(59*time.Minute, "imp-1", "GET", "/bookings/17", nil),
		recorded(58*time.Minute, "imp-1", "POST", "/bookings/17/complete", func(r *audit.Request) { r.Action = "Completed booking" }),
		recorded(57*time.Minute, "imp-1", "GET", "/account/password", func(r *audit.Request) {
			r.Outcome, r.Refusal, r.Status = audit.OutcomeRefused, "path_denied", 403
		}),
		happened(50*time.Minute, audit.EventImpersonationEnded, "imp-1", `{"cause":"stopped","by":"admin","duration_s":600,"requests":3}`),
	)
}

func (a *answerOf) list(t testing.TB, name string) []map[string]any {
	t.Helper()
	var m map[string]json.RawMessage
	var rows []map[string]any
	if err := errors.Join(json.Unmarshal([]byte(a.body), &m), json.Unmarshal(m[name], &rows)); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	return rows
}

// TestAuditRoles: the audit is for auditors and owners, page and API.
func TestAuditRoles(t *testing.T) {
	a := newAuditRig(t)
	a.aDay()
	paths := []string{
		auditAPI + "impersonations", auditAPI + "requests", auditAPI + "events", auditAPI + "activity", auditAPI + "notable",
		auditAPI + "impersonations/imp-1", auditAPI + "export?format=csv",
	}
	for _, path := range paths {
		a.anonymous().json("GET", path, "").want(t, http.StatusUnauthorized)
		for _, who := range []string{"admin", "super", "sam"} {
			got := a.login(who).json("GET", path, "").want(t, http.StatusForbidden)
			if got.object(t)["type"] != "urn:caddy-impersonate:problem:forbidden" {
				t.Errorf("%s: %s", path, got.body)
			}
		}
		for _, who := range []string{"auditor", "owner"} {
			a.login(who).json("GET", path, "").want(t, http.StatusOK)
		}
		a.login("auditor").json("POST", path, "{}").want(t, http.StatusMethodNotAllowed)
	}
	if got := len(a.events.of(audit.EventAuditRead)); got != 2*6 {
		t.Errorf("%d events of reading, want one for each answer with rows", got)
	}
}

// TestAuditAPI: rows are those of the tables, by the filters of the contract.
func TestAuditAPI(t *testing.T) {
	a := newAuditRig(t)
	a.aDay()
	b := a.login("auditor")
	one := b.json("GET", auditAPI+"impersonations?actor=admin&target=sam&from=2026-03-01&q=booking", "").want(t, http.StatusOK).list(t, "impersonations")
	if len(one) != 1 || one[0]["impersonation_id"] != "imp-1" || one[0]["writes"] != 1.0 || one[0]["refusals"] != 1.0 || one[0]["end_cause"] != "stopped" {
		t.Errorf("impersonations: %v", one)
	}
	rows := b.json("GET", auditAPI+"requests?impersonation=imp-1&outcome=refused", "").want(t, http.StatusOK).list(t, "requests")
	if len(rows) != 1 || rows[0]["path"] != "/account/password" || rows[0]["duration_us"] != 12000.0 || len(rows[0]["leaf_hash"].(string)) != 64 {
		t.Errorf("requests: %v", rows)
	}
	events := b.json("GET", auditAPI+"events?type=impersonation_ended&outcome=stopped&order=oldest", "").want(t, http.StatusOK).list(t, "events")
	if len(events) != 1 || events[0]["seq"] != 5.0 {
		t.Errorf("events: %v", events)
	}
	timeline := b.json("GET", auditAPI+"impersonations/imp-1", "").want(t, http.StatusOK).list(t, "timeline")
	if len(timeline) != 5 || timeline[0]["event"] == nil || timeline[1]["request"] == nil {
		t.Errorf("timeline: %v", timeline)
	}
	b.json("GET", auditAPI+"impersonations/none", "").want(t, http.StatusNotFound)
	activity := b.json("GET", auditAPI+"activity?step=day&from=2d", "").want(t, http.StatusOK)
	if got := activity.list(t, "actors"); len(got) != 1 || got[0]["requests"] != 3.0 {
		t.Errorf("actors: %v", got)
	}
	found := b.json("GET", auditAPI+"notable?refusals=1&long=5m&hours=0-24&weekend=true", "").want(t, http.StatusOK).list(t, "findings")
	kinds := []string{}
	for _, f := range found {
		kinds = append(kinds, f["kind"].(string))
	}
	slices.Sort(kinds)
	if diff := cmp.Diff([]string{audit.NotableFirstForPair, audit.NotableRefusals, audit.NotableLong}, kinds); diff != "" {
		t.Errorf("worth a look (-want +got):\n%s", diff)
	}
	for _, q := range []string{
		"requests?from=yesterday", "requests?actr=alice", "requests?actor=a&actor=b", "requests?limit=0", "requests?limit=1000", "requests?order=up",
		"requests?outcome=a%20b", "requests?q=" + strings.Repeat("x", 201), "requests?from=2026-03-02&to=2026-03-01", "requests?cursor=AAAA",
		"requests?actor=%FF", "activity?step=minute", "activity?step=hour&from=2025-01-01", "activity?from=2001-01-01&step=day", "notable?from=2025-01-01",
		"notable?hours=x", "notable?zone=Mars", "notable?refusals=0", "notable?long=1s", "export", "export?format=xml", "export?format=csv&table=users",
		"export?format=csv&limit=1", "impersonations/imp-1?x=1",
	} {
		got := b.json("GET", auditAPI+q, "").want(t, http.StatusBadRequest)
		if got.object(t)["type"] != "urn:caddy-impersonate:problem:bad-request" {
			t.Errorf("%s: %s", q, got.body)
		}
	}
}

// TestAuditPages: no row is missed or shown twice while rows come in, and a cursor opens nothing else.
func TestAuditPages(t *testing.T) {
	a := newAuditRig(t)
	for i := range 30 {
		a.write(recorded(time.Duration(60-i)*time.Second, "imp-1", "GET", fmt.Sprint("/", i), nil))
	}
	b := a.login("auditor")
	var got []string
	cursor := ""
	for {
		page := b.json("GET", auditAPI+"requests?limit=7&actor=admin&cursor="+url.QueryEscape(cursor), "").want(t, http.StatusOK)
		for _, row := range page.list(t, "requests") {
			got = append(got, row["path"].(string))
		}
		a.write(recorded(0, "imp-1", "GET", "/new", nil))
		if cursor = page.object(t)["next_cursor"].(string); cursor == "" {
			break
		}
	}
	var want []string
	for i := 29; i >= 0; i-- {
		want = append(want, fmt.Sprint("/", i))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("pages (-want +got):\n%s", diff)
	}
	first := b.json("GET", auditAPI+"requests?limit=1&actor=admin", "").want(t, http.StatusOK).object(t)["next_cursor"].(string)
	for _, q := range []string{"requests?cursor=" + first, "requests?actor=sam&cursor=" + first, "events?actor=admin&cursor=" + first, "requests?actor=admin&order=oldest&cursor=" + first} {
		b.json("GET", auditAPI+q, "").want(t, http.StatusBadRequest)
	}
}

// TestReadingIsRecorded: before rows are shown it is recorded who reads what; further parts of a list make one event.
func TestReadingIsRecorded(t *testing.T) {
	a := newAuditRig(t)
	for i := range 30 {
		a.write(recorded(time.Duration(60-i)*time.Second, "imp-1", "GET", fmt.Sprint("/", i), nil))
	}
	b := a.login("auditor")
	page := func(cursor string) string {
		return b.json("GET", auditAPI+"requests?limit=10&q=%2F&actor=admin&cursor="+cursor, "").want(t, http.StatusOK).object(t)["next_cursor"].(string)
	}
	second := page("")
	third := page(second)
	page(third)
	page("") // once more, in the same minute
	got := a.events.of(audit.EventAuditRead)
	if len(got) != 1 || got[0].ActorUsername != "auditor" || got[0].ClientIP != "192.0.2.7" {
		t.Fatalf("events: %+v", got)
	}
	if want := `{"what":"requests","actor":"admin","q":"/","rows":10}`; got[0].Detail != want {
		t.Errorf("detail %s, want %s", got[0].Detail, want)
	}
	a.clock.Advance(time.Minute)
	got = a.events.of(audit.EventAuditRead)
	if want := `{"what":"requests","actor":"admin","q":"/","rows":30,"parts":3}`; len(got) != 2 || got[1].Detail != want {
		t.Errorf("after a minute: %+v, want %s", got, want)
	}
	page("")
	a.clock.Advance(time.Minute)
	if got := a.events.of(audit.EventAuditRead); len(got) != 3 {
		t.Errorf("read again: %d events, want 3", len(got))
	}

	a.events.mu.Lock()
	a.events.fail = errors.New("disk full")
	a.events.mu.Unlock()
	for _, path := range []string{"requests", "impersonations", "events", "activity", "notable", "impersonations/imp-1", "export?format=csv"} {
		if path == "impersonations/imp-1" {
			continue // it has no start
		}
		got := b.json("GET", auditAPI+path, "").want(t, http.StatusServiceUnavailable)
		if got.object(t)["type"] != "urn:caddy-impersonate:problem:audit-unavailable" || strings.Contains(got.body, "/29") {
			t.Errorf("%s: %s", path, got.body)
		}
	}
}

// TestAuditUnreadable: the sink is gone; the answer says so, and that nothing is lost.
func TestAuditUnreadable(t *testing.T) {
	a := newAuditRig(t)
	a.aDay()
	b := a.login("auditor")
	b.json("GET", auditAPI+"requests", "").want(t, http.StatusOK)
	for _, table := range []string{"requests", "events"} {
		if err := dropTable(a.path, table); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"requests", "impersonations", "events", "activity", "notable", "impersonations/imp-1", "export?format=jsonl"} {
		got := b.json("GET", auditAPI+path, "").want(t, http.StatusServiceUnavailable, "goes on being recorded")
		if got.object(t)["type"] != "urn:caddy-impersonate:problem:audit-unreadable" || got.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %s", path, got.body)
		}
		if strings.Contains(got.body, a.path) {
			t.Errorf("%s tells where the database is: %s", path, got.body)
		}
	}
	if !strings.Contains(a.log.String(), a.path) {
		t.Error("the log does not say which database can't be read")
	}
	none := newRig(t)
	none.login("auditor").json("GET", auditAPI+"requests", "").want(t, http.StatusServiceUnavailable, "None of the audit's sinks")
}

// TestExportCSV: what spreadsheets would compute is text, and all that was asked for is there.
func TestExportCSV(t *testing.T) {
	a := newAuditRig(t)
	attacks := []string{`=cmd|' /C calc'!A0`, "+1+1", "-2+3", "@SUM(1)", " =1", "\t=1+1", "\r=1+1", "\n@SUM(1)", "\u00a0=1", "'=1", "＝1", "\"=1", "|x", "%0A=1", "a,b\"c", "<script>alert(1)</script>"}
	for i, s := range attacks {
		a.write(recorded(time.Duration(i+1)*time.Second, "imp-1", "GET", "/x", func(r *audit.Request) { r.UserAgent, r.ActorName = s, s }))
	}
	for i := range 2500 {
		a.write(recorded(time.Hour+time.Duration(i)*time.Second, "imp-2", "GET", "/y", nil))
	}
	b := a.login("auditor")
	got := b.json("GET", auditAPI+"export?format=csv&impersonation=imp-1", "").want(t, http.StatusOK)
	if kind := got.Header.Get("Content-Disposition"); !strings.HasPrefix(kind, `attachment; filename="audit-requests-`) || !strings.HasSuffix(kind, `.csv"`) {
		t.Errorf("disposition %s", kind)
	}
	records, err := csv.NewReader(strings.NewReader(got.body)).ReadAll()
	if err != nil || len(records) != 1+len(attacks) || len(records[0]) != len(audit.RequestColumns())+1 {
		t.Fatalf("%d records, %v", len(records), err)
	}
	for _, record := range records[1:] {
		for i, cell := range record {
			if bare := strings.TrimLeft(cell, " \t\r\n\u00a0\""); bare != "" && strings.ContainsAny(bare[:1], "=+-@|%") {
				t.Errorf("column %s is computed: %q", records[0][i], cell)
			}
		}
	}
	whole := b.json("GET", auditAPI+"export?format=csv", "").want(t, http.StatusOK)
	if records, err = csv.NewReader(strings.NewReader(whole.body)).ReadAll(); err != nil || len(records) != 1+len(attacks)+2500 {
		t.Errorf("%d records, %v", len(records), err)
	}
	events := a.events.of(audit.EventAuditExported)
	if len(events) != 4 {
		t.Fatalf("%d events", len(events))
	}
	if d := events[3].Detail; !strings.Contains(d, fmt.Sprintf(`"state":"done","requests":%d`, len(attacks)+2500)) || !strings.Contains(events[2].Detail, `"state":"begun"`) {
		t.Errorf("detail %s", d)
	}
	if d := events[1].Detail; !strings.Contains(d, `"impersonation":"imp-1"`) || !strings.Contains(d, fmt.Sprintf(`"requests":%d`, len(attacks))) {
		t.Errorf("detail %s", d)
	}
}

// TestExportJSONL: the rows come back as they are, and an end that is missing is told.
func TestExportJSONL(t *testing.T) {
	a := newAuditRig(t)
	a.aDay()
	b := a.login("owner")
	got := b.json("GET", auditAPI+"export?format=jsonl", "").want(t, http.StatusOK)
	type row struct {
		Table  string
		Values []string
	}
	var rows []row
	read := func(text string) error {
		rows = nil
		return audit.ReadJSONL(strings.NewReader(text), func(table string, values []string) error {
			rows = append(rows, row{table, values})
			return nil
		})
	}
	if err := read(got.body); err != nil || len(rows) != 5 {
		t.Fatalf("%d rows, %v: %s", len(rows), err, got.body)
	}
	for _, r := range rows {
		columns := audit.RequestColumns()
		if r.Table == audit.TableEvents {
			columns = audit.EventColumns()
		}
		if hash, ok := leafOf(r.Table, columns, r.Values); !ok {
			t.Errorf("the leaf hash can't be computed from the row: %s %v", hash, r)
		}
	}
	lines := strings.SplitAfter(got.body, "\n")
	for name, text := range map[string]string{
		"no end":      strings.Join(lines[:len(lines)-2], ""),
		"a row less":  lines[0] + strings.Join(lines[2:], ""),
		"no first":    strings.Join(lines[1:], ""),
		"after end":   got.body + "{}\n",
		"half a line": got.body[:len(got.body)/2],
		"nothing":     "",
	} {
		if err := read(text); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	// One impersonation has no checkpoints: they prove the whole.
	one := b.json("GET", auditAPI+"export?format=jsonl&impersonation=imp-1", "").want(t, http.StatusOK)
	if strings.Contains(lines[0], "checkpoints") == strings.Contains(one.body, "checkpoints") {
		t.Errorf("tables of %s and %s", lines[0], one.body)
	}
	list := b.json("GET", auditAPI+"export?format=jsonl&table=impersonations", "").want(t, http.StatusOK, `"table":"impersonations"`, `"writes":1`)
	if err := read(list.body); err != nil || len(rows) != 1 {
		t.Errorf("%d rows, %v", len(rows), err)
	}
}

// TestExportBreaksOff: when the sink goes away half-way the file does not look whole, and the event says so.
func TestExportBreaksOff(t *testing.T) {
	a := newAuditRig(t)
	a.aDay()
	b := a.login("auditor")
	if err := dropTable(a.path, "requests"); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest("GET", a.server.URL+auditAPI+"export?format=jsonl", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := b.c.Do(req)
	if err == nil {
		var all bytes.Buffer
		_, err = all.ReadFrom(res.Body)
		res.Body.Close()
	}
	if err == nil {
		t.Error("the answer ended as if it were whole")
	}
	events := a.events.of(audit.EventAuditExported)
	if len(events) != 2 || !strings.Contains(events[1].Detail, `"state":"broken_off"`) {
		t.Errorf("events %+v", events)
	}
}

func leafOf(table string, columns []audit.Column, values []string) (string, bool) {
	hash := fmt.Sprintf("%x", audit.LeafHash(canonical(table, columns, values)))
	return hash, hash == values[len(columns)]
}

func dropTable(path, table string) error {
	if _, err := os.Stat(path); err != nil {
		return err
	}
	return execSQLite(path, "DROP TABLE "+table)
}
