package policy

import (
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

func TestSettle(t *testing.T) {
	strict := Decision{Policy: "p", Modes: []string{ModeReadOnly, ModeFull}, Duration: 90 * time.Minute, RequireReason: true}
	lax := Decision{Policy: "p", Modes: []string{ModeFull}, Duration: 10 * time.Minute}
	for name, row := range map[string]struct {
		d    Decision
		want Choice
		got  Choice
		code string
	}{
		"defaults":         {lax, Choice{}, Choice{Mode: ModeFull, Duration: 10 * time.Minute}, ""},
		"default is first": {strict, Choice{Reason: "why"}, Choice{Mode: ModeReadOnly, Reason: "why", Duration: 90 * time.Minute}, ""},
		"other mode":       {strict, Choice{Mode: ModeFull, Reason: "why"}, Choice{Mode: ModeFull, Reason: "why", Duration: 90 * time.Minute}, ""},
		"mode not offered": {lax, Choice{Mode: ModeReadOnly}, Choice{}, RefusedMode},
		"no such mode":     {lax, Choice{Mode: "root"}, Choice{}, RefusedMode},
		"shorter":          {lax, Choice{Duration: time.Minute}, Choice{Mode: ModeFull, Duration: time.Minute}, ""},
		"just as long":     {lax, Choice{Duration: 10 * time.Minute}, Choice{Mode: ModeFull, Duration: 10 * time.Minute}, ""},
		"longer":           {lax, Choice{Duration: 10*time.Minute + 1}, Choice{}, RefusedDuration},
		"too short":        {lax, Choice{Duration: 999 * time.Millisecond}, Choice{}, RefusedDurationShort},
		"negative":         {lax, Choice{Duration: -time.Hour}, Choice{}, RefusedDurationShort},
		"no reason":        {strict, Choice{}, Choice{}, RefusedReason},
		"blank reason":     {strict, Choice{Reason: " \n\t  \u00a0 "}, Choice{}, RefusedReason},
		"invisible reason": {strict, Choice{Reason: "\u200b\u200d\u202e\ufeff"}, Choice{}, RefusedReason},
		"two letters":      {strict, Choice{Reason: " ab "}, Choice{}, RefusedReason},
		"three spaced out": {strict, Choice{Reason: "a b c"}, Choice{Mode: ModeReadOnly, Reason: "a b c", Duration: 90 * time.Minute}, ""},
		"three characters": {strict, Choice{Reason: "支払い"}, Choice{Mode: ModeReadOnly, Reason: "支払い", Duration: 90 * time.Minute}, ""},
		"reason at most":   {strict, Choice{Reason: strings.Repeat("é", 500)}, Choice{Mode: ModeReadOnly, Reason: strings.Repeat("é", 500), Duration: 90 * time.Minute}, ""},
		"reason too long":  {strict, Choice{Reason: strings.Repeat("é", 501)}, Choice{}, RefusedReasonLong},
		"long, unasked":    {lax, Choice{Reason: strings.Repeat("x", 1_000_000)}, Choice{}, RefusedReasonLong},
		"short, unasked":   {lax, Choice{Reason: "x"}, Choice{Mode: ModeFull, Reason: "x", Duration: 10 * time.Minute}, ""},
		"cleaned": {
			strict,
			Choice{Reason: "  line\r\none\x00two\u202e\xff ", Ticket: "\tHD-12\n"},
			Choice{Mode: ModeReadOnly, Reason: "line\none two\ufffd", Ticket: "HD-12", Duration: 90 * time.Minute},
			"",
		},
		"ticket too long": {lax, Choice{Ticket: strings.Repeat("x", 201)}, Choice{}, RefusedTicketLong},
		"refused already": {Decision{Refusal: refuse(RefusedSelf)}, Choice{}, Choice{}, RefusedSelf},
	} {
		t.Run(name, func(t *testing.T) {
			got, r := (*Set)(nil).Settle(row.d, row.want)
			code := ""
			if r != nil {
				code = r.Code
			}
			if code != row.code || got != row.got {
				t.Errorf("got %+v %q, want %+v %q", got, code, row.got, row.code)
			}
			if c := (*Set)(nil).Check(row.d, row.want); (c == nil) != (r == nil) {
				t.Errorf("Check and Settle differ: %v, %v", c, r)
			}
		})
	}
}

// TestMessages: every refusal is a sentence that tells what to do next, and none repeats what the person sent or
// tells about others.
func TestMessages(t *testing.T) {
	d := Decision{Policy: "secret-policy", Modes: []string{ModeFull, ModeReadOnly}, Duration: 90 * time.Minute, RequireReason: true}
	all := []*Refusal{}
	for code, sentence := range english.Refusals {
		if !strings.Contains(sentence, "%") {
			all = append(all, refuse(code))
		}
	}
	all = append(all, refuse(RefusedHours, []Hours{officeHours}), refuse(RefusedLimitActor, 2), refuse(RefusedLimitTarget, 1), refuse(RefusedTicketForm, "SUP-1"))
	for _, c := range []Choice{
		{Mode: "<script>"},
		{Reason: "<"},
		{Reason: strings.Repeat("<", 501)},
		{Reason: "why", Ticket: strings.Repeat("<", 201)},
		{Reason: "why", Duration: 2 * time.Hour},
		{Reason: "why", Duration: 1},
	} {
		r := (*Set)(nil).Check(d, c)
		if r == nil {
			t.Fatalf("%+v is not refused", c)
		}
		all = append(all, r)
	}
	seen := map[string]bool{}
	for _, r := range all {
		seen[r.Code] = true
		if strings.Count(r.Message, ". ") < 1 && !strings.Contains(r.Message, ", ") || !strings.HasSuffix(r.Message, ".") || !unicode.IsUpper(rune(r.Message[0])) {
			t.Errorf("%s: not a sentence and a way on: %q", r.Code, r.Message)
		}
		if strings.ContainsAny(r.Message, "<%{") || strings.Contains(r.Message, "secret") || strings.Contains(r.Message, "_") {
			t.Errorf("%s: tells too much: %q", r.Code, r.Message)
		}
		if r.Error() != r.Message {
			t.Errorf("%s: Error() is %q", r.Code, r.Error())
		}
	}
	if len(seen) != len(english.Refusals) {
		t.Errorf("%d codes have messages", len(seen))
	}
	if m := d.longRefusal().Message; !strings.Contains(m, "Choose 1 hour 30 minutes or less.") {
		t.Error(m)
	}
	if m := d.modeRefusal().Message; !strings.Contains(m, "Choose full access or read only.") {
		t.Error(m)
	}
}

func FuzzCleanText(f *testing.F) {
	f.Add("why \u202e\x00\xff\r\n")
	f.Fuzz(func(t *testing.T, s string) {
		c := CleanText(s)
		if !utf8.ValidString(c) || strings.TrimSpace(c) != c {
			t.Fatalf("%q", c)
		}
		for _, r := range c {
			if unicode.IsControl(r) && r != '\n' || unicode.Is(unicode.Bidi_Control, r) {
				t.Fatalf("%q holds %U", c, r)
			}
		}
		if again := CleanText(c); again != c && len(s) <= 16*MaxReason {
			t.Fatalf("%q, cleaned again %q", c, again)
		}
	})
}
