package config

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration is a length of time, written "90s", "30m", "12h", "400d" or a mixture ("1d12h"). In JSON a string like
// that, or a number of nanoseconds.
type Duration time.Duration

const day = 24 * time.Hour

// ParseDuration reads a duration: those of [time.ParseDuration], and whole or broken days ("d", 24 hours).
func ParseDuration(s string) (Duration, error) {
	if len(s) > 64 {
		return 0, fmt.Errorf("duration of %d characters; write it like 30m, 12h or 400d", len(s))
	}
	rest, total := s, time.Duration(0)
	for {
		i := strings.IndexByte(rest, 'd')
		if i < 0 {
			break
		}
		// What stands before the d is a number of days, perhaps after other units: 12h1d.
		start := strings.LastIndexFunc(rest[:i], func(r rune) bool { return (r < '0' || r > '9') && r != '.' }) + 1
		days, err := strconv.ParseFloat(rest[start:i], 64)
		if err != nil || days > math.MaxInt64/float64(day)/2 {
			return 0, badDuration(s)
		}
		total += time.Duration(days * float64(day))
		rest = rest[:start] + rest[i+1:]
	}
	// "-1d" leaves "-": nothing here may be negative.
	if rest != "" || total == 0 {
		d, err := time.ParseDuration(rest)
		if err != nil || d < 0 || total > math.MaxInt64-d {
			return 0, badDuration(s)
		}
		total += d
	}
	return Duration(total), nil
}

func badDuration(s string) error {
	return fmt.Errorf("duration %q: write a number and a unit, such as 90s, 30m, 12h or 400d", s)
}

// Std is the same as a [time.Duration].
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String is the shortest way to write it: 30m, not 30m0s; 400d, not 9600h.
func (d Duration) String() string {
	t := time.Duration(d)
	if t != 0 && t%day == 0 {
		return strconv.FormatInt(int64(t/day), 10) + "d"
	}
	s := t.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// MarshalJSON writes the string.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

// UnmarshalJSON reads a string, or a number of nanoseconds.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err == nil {
		v, err := ParseDuration(s)
		if err != nil {
			return err
		}
		*d = v
		return nil
	}
	var n int64
	if err := json.Unmarshal(b, &n); err != nil || n < 0 {
		return fmt.Errorf("duration %.40s: write a string such as \"30m\", or a number of nanoseconds", b)
	}
	*d = Duration(n)
	return nil
}
