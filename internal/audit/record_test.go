package audit_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

var stamp = time.Date(2026, 3, 1, 9, 30, 0, 123456000, time.UTC)

// full has a different value in every column.
func full() *audit.Request {
	return &audit.Request{
		Time: stamp, LogID: "c2", Seq: 3, RequestID: "c4", ImpersonationID: "c5", ImpersonationSeq: 6,
		ActorID: "c7", ActorUsername: "c8", ActorName: "c9 Zoë", TargetID: "c10", TargetUsername: "c11", TargetName: "c12",
		Mode: "c13", ClientIP: "2001:db8::14", UserAgent: "c15", Method: "c16", Scheme: "c17", Host: "c18", Path: "c19",
		Query: "c20", Action: "c21", Status: 22, Outcome: "c23", Refusal: "c24", Banner: "c25",
		Duration: 26 * time.Microsecond, RequestBytes: 27, ResponseBytes: 28, ContentType: strings.Repeat("c29", 60),
	}
}

// withFields has the columns of later versions, too.
func withFields() *audit.Request {
	r := full()
	r.Fields = "c30"
	return r
}

func fullEvent() *audit.Event {
	return &audit.Event{
		Time: stamp, LogID: "c2", Seq: 3, Type: "c4", ImpersonationID: "c5", ActorID: "c6", ActorUsername: "c7",
		TargetID: "c8", TargetUsername: "c9", ClientIP: "2001:db8::10", Reason: "c11", Ticket: "c12", Detail: `{"c":13}`,
		ActorName: "c14", TargetName: "c15", Mode: "c16",
	}
}

// encode is the canonical encoding as the specification says it, made from the columns' text.
func encode(table string, columns []audit.Column, values []string) []byte {
	prefixed := func(b []byte, s string) []byte { return append(binary.AppendUvarint(b, uint64(len(s))), s...) }
	b := prefixed(nil, table+"/1")
	for i, c := range columns {
		if values[i] != "" && (c.Kind != audit.KindNumber || values[i] != "0") {
			b = prefixed(binary.AppendUvarint(b, uint64(c.Number)), values[i])
		}
	}
	return b
}

// TestCanonical: the encoder does what the specification says, and the decoder undoes it.
func TestCanonical(t *testing.T) {
	t.Parallel()
	for _, r := range []*audit.Request{full(), withFields(), {Time: stamp}, {Time: stamp.Truncate(time.Second), Seq: 1 << 60, Status: -1, RequestBytes: -5, Duration: -1}} {
		got := r.AppendCanonical(nil)
		if want := encode(audit.TableRequests, audit.RequestColumns(), r.Values()); !bytes.Equal(got, want) {
			t.Errorf("encoded %q, want %q", got, want)
		}
		back, err := audit.DecodeRequest(got)
		if err != nil {
			t.Fatal(err)
		}
		r.Hash()
		r.Status, r.RequestBytes, r.Duration = max(r.Status, 0), max(r.RequestBytes, 0), max(r.Duration, 0)
		if diff := cmp.Diff(r, back); diff != "" {
			t.Errorf("decoded (-want +got):\n%s", diff)
		}
	}
	for _, e := range []*audit.Event{fullEvent(), {Time: stamp}} {
		got := e.AppendCanonical(nil)
		if want := encode(audit.TableEvents, audit.EventColumns(), e.Values()); !bytes.Equal(got, want) {
			t.Errorf("encoded %q, want %q", got, want)
		}
		back, err := audit.DecodeEvent(got)
		if err != nil {
			t.Fatal(err)
		}
		e.Hash()
		if diff := cmp.Diff(e, back); diff != "" {
			t.Errorf("decoded (-want +got):\n%s", diff)
		}
	}
}

// TestGolden holds the encoding still: rows that were hashed must hash the same for ever.
func TestGolden(t *testing.T) {
	t.Parallel()
	hash := audit.LeafHash(full().AppendCanonical(nil))
	if got, want := hex.EncodeToString(hash[:]), "c35231fcffeeab8cb2c402f4929d625dc0ed127ef393c9d28a762b71177a6ec2"; got != want {
		t.Errorf("request's leaf hash %s, want %s", got, want)
	}
	hash = audit.LeafHash(withFields().AppendCanonical(nil))
	if got, want := hex.EncodeToString(hash[:]), "7569a4b7c6533b98dce8814cf658ce9d63719946fb13b05ba6ecb962957f629a"; got != want {
		t.Errorf("leaf hash of a request with fields %s, want %s", got, want)
	}
	hash = audit.LeafHash(fullEvent().AppendCanonical(nil))
	if got, want := hex.EncodeToString(hash[:]), "2ca561685358071097987502d975d9ae319eb2e276e0a2e5e868f4ae6b5d7af4"; got != want {
		t.Errorf("event's leaf hash %s, want %s", got, want)
	}
}

// TestEveryColumnCounts: no column can change without the leaf hash changing.
func TestEveryColumnCounts(t *testing.T) {
	t.Parallel()
	for _, row := range []any{full(), fullEvent()} {
		v := reflect.ValueOf(row).Elem()
		encode := func() string {
			switch row := row.(type) {
			case *audit.Request:
				return string(row.AppendCanonical(nil))
			case *audit.Event:
				return string(row.AppendCanonical(nil))
			}
			return ""
		}
		seen := map[string]string{encode(): "unchanged"}
		for i := range v.NumField() {
			name := v.Type().Field(i).Name
			if name == "LeafHash" {
				continue
			}
			f := v.Field(i)
			old := reflect.ValueOf(f.Interface())
			switch old.Kind() {
			case reflect.String:
				f.SetString("0")
			case reflect.Uint64:
				f.SetUint(77)
			case reflect.Int, reflect.Int64:
				f.SetInt(77_000_000)
			default:
				f.Set(reflect.ValueOf(stamp.Add(time.Microsecond)))
			}
			if had, ok := seen[encode()]; ok {
				t.Errorf("%T: changing %s encodes as %s", row, name, had)
			}
			seen[encode()] = name
			f.Set(old)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	start := "\x0arequests/1"
	when := "\x01\x1b2026-03-01T09:30:00.123456Z"
	tests := []struct{ name, encoding, want string }{
		{"nothing", "", "cut off"},
		{"only a name", start, "no time"},
		{"another table", "\x08events/1" + when, "not \"requests/1\""},
		{"a later version", "\x0arequests/2" + when, "requests/2"},
		{"cut in a column", start + when + "\x02\x05ab", "cut off"},
		{"no length", start + when + "\x02", "cut off"},
		{"order", start + when + "\x05\x01a\x04\x01a", "out of order"},
		{"twice", start + when + "\x04\x01a\x04\x01a", "out of order"},
		{"empty", start + when + "\x04\x00", "empty"},
		{"zero", start + when + "\x03\x010", "not a number"},
		{"leading zero", start + when + "\x03\x0201", "not a number"},
		{"sign", start + when + "\x03\x02+1", "not a number"},
		{"too large", start + when + "\x16\x0599999", "not a number"},
		{"letters", start + when + "\x1b\x02ab", "not a number"},
		{"unknown column", start + when + "\x1f\x01a", "newer version"},
		{"far column", start + when + "\xff\xff\x03\x01a", "out of order"},
		{"not UTF-8", start + when + "\x04\x01\xff", "UTF-8"},
		{"another time", start + "\x01\x142026-03-01T09:30:00Z", "not a time"},
		{"no date", start + "\x01\x1b2026-02-31T09:30:00.123456Z", "not a time"},
		{"long form of a length", start + when + "\x04\x81\x00a", "cut off"},
		{"endless length", start + when + "\x04\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "cut off"},
	}
	for _, tt := range tests {
		if _, err := audit.DecodeRequest([]byte(tt.encoding)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(full().AppendCanonical(nil))
	f.Add(withFields().AppendCanonical(nil))
	f.Add(fullEvent().AppendCanonical(nil))
	f.Add([]byte("\x0arequests/1\x01\x1b2026-03-01T09:30:00.123456Z\x16\x0599999"))
	f.Fuzz(func(t *testing.T, b []byte) {
		// What is accepted is the one encoding of what was decoded.
		if r, err := audit.DecodeRequest(b); err == nil {
			if again := r.AppendCanonical(nil); !bytes.Equal(b, again) {
				t.Errorf("%q decodes, and encodes as %q", b, again)
			}
		}
		if e, err := audit.DecodeEvent(b); err == nil {
			if again := e.AppendCanonical(nil); !bytes.Equal(b, again) {
				t.Errorf("%q decodes, and encodes as %q", b, again)
			}
		}
	})
}

// FuzzRow: whatever comes in at the door, the row that is recorded decodes to itself and keeps to its bounds.
func FuzzRow(f *testing.F) {
	f.Add("a\x00b", "x=\xff", "Zoë\u202e", strings.Repeat("ü", 700), int64(5), int64(-1))
	f.Add("/"+strings.Repeat("p", 5000), "token=1", "", "\n\t\r", int64(1)<<62, int64(1)<<40)
	f.Fuzz(func(t *testing.T, path, query, name, agent string, n, ns int64) {
		r := &audit.Request{
			Time: time.Unix(n, ns), Path: path, Query: query, ActorName: name, UserAgent: agent, Method: name, Host: name,
			ClientIP: agent, Status: int(n), Duration: time.Duration(ns), RequestBytes: n, ResponseBytes: ns, Action: agent,
		}
		audit.CleanRow(r, audit.NewRedactor())
		encoding := r.AppendCanonical(nil)
		back, err := audit.DecodeRequest(encoding)
		if err != nil {
			t.Fatalf("%+v does not decode: %v", r, err)
		}
		if !bytes.Equal(back.AppendCanonical(nil), encoding) {
			t.Error("it does not decode to itself")
		}
		if len(r.Path) > 2048 || len(r.Query) > 2048 || len(r.UserAgent) > 512 || len(encoding) > 16<<10 {
			t.Errorf("too long: %d bytes in all", len(encoding))
		}
		for _, value := range r.Values() {
			for _, c := range value {
				if c < ' ' || c >= 0x7f && c < 0xa0 || c >= 0x202a && c <= 0x202e {
					t.Errorf("%q holds %U", value, c)
				}
			}
		}
	})
}

func TestClean(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in    string
		limit int
		want  string
	}{
		{"", 10, ""},
		{"plain", 5, "plain"},
		{"plainer", 5, "pl…"},
		{"Zoë", 4, "Zoë"},
		{"Zoë", 3, "…"},
		{"李雷李雷", 8, "李…"},
		{"a\r\nb\tc", 10, "a  b c"},
		{"a\x00b\x7fc\u0085d", 20, "a\uFFFDb\uFFFDc\uFFFDd"},
		{"\xff\xfe", 20, "\uFFFD\uFFFD"},
		{"abc\u202edef", 20, "abc\uFFFDdef"},
		{"👩🏽\u200d🔧", 20, "👩🏽\u200d🔧"},
		{"\uFFFE\U0001FFFF", 20, "\uFFFD\uFFFD"},
		{strings.Repeat("x", 100), 10, "xxxxxxx…"},
	}
	for _, tt := range tests {
		if got := audit.Clean(tt.in, tt.limit); got != tt.want {
			t.Errorf("%q in %d bytes: %q, want %q", tt.in, tt.limit, got, tt.want)
		}
	}
}
