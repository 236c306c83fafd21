package evidence_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

// TestTextsOfAllKinds: whatever a row is asked to say, its pack verifies, by bytes and by both verifiers: encoders of JSON differ
// in what they escape.
func TestTextsOfAllKinds(t *testing.T) {
	const another = "4c2e1f7b9d8a4e6f8b7c6d5e4f3a2b1c"
	all := "q\"\\/</b>&'\u2028\u2029\u0000\u0001\b\f\v\n\r\t\u007f\u0085\u00a0\u061c\u202e\ufeff\ufffd\uffff\U0001f600\U0010ffff" + string([]byte{0xff, 0xed, 0xa0, 0x80, 0xc0, 0xaf}) + " \u00e9 e\u0301 {\"a\":1}"
	s := newShelf(t)
	fill := func(row any, keep ...string) {
		v := reflect.ValueOf(row).Elem()
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; v.Field(i).Kind() == reflect.String && !strings.Contains(strings.Join(keep, " "), name) {
				v.Field(i).SetString(all)
			}
		}
	}
	for _, kind := range []string{audit.EventImpersonationStarted, audit.EventNoticeSent, audit.EventImpersonationEnded} {
		if kind == audit.EventImpersonationEnded {
			row := &audit.Request{ImpersonationID: another}
			fill(row, "ImpersonationID")
			in, err := s.recorder.Intent(row)
			if err != nil {
				t.Fatal(err)
			}
			out := audit.Outcome{Status: 200}
			fill(&out)
			in.Done(out)
			s.shipped()
		}
		e := audit.Event{Type: kind, ImpersonationID: another}
		fill(&e, "ImpersonationID", "Type", "Detail")
		e.Detail = audit.Detail("policy", all, all, all)
		if err := s.recorder.Event(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		s.shipped()
	}
	if r, out := s.verdicts(s.collect(another), nil); !r.Clean() {
		t.Errorf("%v; verify.py: %s", r.Findings, out)
	}
}
