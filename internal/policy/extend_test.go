package policy

import (
	"testing"
	"time"
)

func TestExtend(t *testing.T) {
	const m = time.Minute
	for name, row := range map[string]struct {
		offered time.Duration
		times   int
		r       Running
		by      time.Duration
		left    int
		limit   time.Duration
		refusal string
	}{
		"not offered":                {r: Running{}, limit: 30 * m, refusal: RefusedExtension},
		"first of two":               {offered: 15 * m, times: 2, by: 15 * m, left: 2, limit: 30 * m},
		"second of two":              {offered: 15 * m, times: 2, r: Running{Extensions: 1, Extended: 15 * m}, by: 15 * m, left: 1, limit: 45 * m},
		"used up":                    {offered: 15 * m, times: 2, r: Running{Extensions: 2, Extended: 30 * m}, limit: 60 * m, refusal: RefusedExtensionsUsed},
		"no longer offered":          {r: Running{Extensions: 1, Extended: 15 * m}, limit: 30 * m, refusal: RefusedExtension},
		"less of it now":             {offered: 10 * m, times: 2, r: Running{Extensions: 1, Extended: 15 * m}, by: 5 * m, left: 1, limit: 45 * m},
		"as much as is left already": {offered: 5 * m, times: 3, r: Running{Extensions: 1, Extended: 15 * m}, limit: 45 * m, refusal: RefusedExtensionsUsed},
		"more of it now":             {offered: 20 * m, times: 3, r: Running{Extensions: 1, Extended: 15 * m}, by: 20 * m, left: 2, limit: 45 * m},
		"less often now":             {offered: 20 * m, times: 1, r: Running{Extensions: 2, Extended: 30 * m}, limit: 50 * m, refusal: RefusedExtensionsUsed},
	} {
		t.Run(name, func(t *testing.T) {
			d := Decision{Duration: 30 * m, Extension: row.offered, Extensions: row.times}
			by, refusal := d.Extend(row.r)
			code := ""
			if refusal != nil {
				code = refusal.Code
			}
			if by != row.by || code != row.refusal || d.ExtensionsLeft(row.r) != row.left || d.Limit(row.r) != row.limit {
				t.Errorf("%s, %q, %d left, limit %s; want %s, %q, %d, %s",
					by, code, d.ExtensionsLeft(row.r), d.Limit(row.r), row.by, row.refusal, row.left, row.limit)
			}
			// A press is never cut off again by the limit after it.
			after := Running{Extensions: row.r.Extensions + 1, Extended: row.r.Extended + by}
			if refusal == nil && d.Limit(after) < d.Limit(row.r)+by {
				t.Errorf("limit %s after adding %s to %s", d.Limit(after), by, d.Limit(row.r))
			}
		})
	}
	if _, r := (&Decision{Refusal: refuse(RefusedSelf)}).Extend(Running{}); r == nil || r.Code != RefusedSelf {
		t.Errorf("refused otherwise: %v", r)
	}
}

// TestExtensionCompiled: what the operator wrote arrives in decisions, and without a number it is once.
func TestExtensionCompiled(t *testing.T) {
	some, others := Match{Groups: []string{"support"}}, Match{Groups: []string{"field"}}
	for times, want := range map[int]int{0: 1, 1: 1, 3: 3} {
		s, err := Compile(Rules{Policies: []Policy{{Name: "p", Actor: some, Target: others, Extension: time.Minute, Extensions: times, Color: "#123"}}})
		if err != nil {
			t.Fatal(err)
		}
		if d := s.policies[0].decision; d.Extension != time.Minute || d.Extensions != want || d.Color != "#123" {
			t.Errorf("%d times: %+v", times, d)
		}
	}
}
