package retention

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Period is how long rows are kept, in days of 24 hours. [Forever] keeps them for good.
type Period int

// Forever is longer than any other Period.
const Forever Period = 0

// maxPeriod is a hundred years: what is meant to be longer is forever.
const maxPeriod Period = 36_500

const day = 24 * time.Hour

// Parse reads a period: "400d", "52w" or "forever".
func Parse(s string) (Period, error) {
	s = strings.TrimSpace(s)
	if s == "forever" {
		return Forever, nil
	}
	number, days := strings.TrimSuffix(s, "d"), 1
	if n, ok := strings.CutSuffix(s, "w"); ok {
		number, days = n, 7
	}
	n, err := strconv.Atoi(number)
	switch {
	case len(s) > 16 || err != nil || number == s || number[0] == '+':
		return 0, fmt.Errorf("%.20q is not how long: write whole days, such as 400d, or forever", s)
	case n < 1:
		return 0, fmt.Errorf("%s is not how long: at least 1d; or write forever", s)
	case n > int(maxPeriod)/days:
		return 0, fmt.Errorf("%s is longer than %s: write forever", s, maxPeriod)
	}
	return Period(n * days), nil
}

// String is how [Parse] reads it.
func (p Period) String() string {
	if p == Forever {
		return "forever"
	}
	return strconv.Itoa(int(p)) + "d"
}

// Shorter tells whether p is shorter than q.
func (p Period) Shorter(q Period) bool { return p != Forever && (q == Forever || p < q) }

// Before is the time up to which rows are not kept; false: all are.
func (p Period) Before(now time.Time) (time.Time, bool) {
	if p == Forever {
		return time.Time{}, false
	}
	return now.UTC().Add(-time.Duration(p) * day), true
}

func longer(p, q Period) Period {
	if p.Shorter(q) {
		return q
	}
	return p
}
