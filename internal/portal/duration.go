package portal

import (
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

var errDuration = errors.New(`duration: give seconds, such as 900, or a text such as "15m"`)

// maxDuration bounds what is read; the policy's limit is far below.
const maxDuration = 366 * 24 * time.Hour

// duration reads "15m" or 900 (seconds). The zero value asks for the policy's own.
type duration time.Duration

// UnmarshalJSON implements json.Unmarshaler.
func (d *duration) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	var s string
	if len(b) > 0 && b[0] == '"' {
		if err := json.Unmarshal(b, &s); err != nil {
			return errDuration
		}
	} else {
		s = string(b)
	}
	got, err := parseDuration(s)
	*d = duration(got)
	return err
}

// parseDuration takes seconds or Go's notation; empty is zero. Negative, endless and absurd ones are errors.
func parseDuration(s string) (time.Duration, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return 0, nil
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		if math.IsNaN(f) || f <= 0 || f > maxDuration.Seconds() {
			return 0, errDuration
		}
		return time.Duration(f * float64(time.Second)), nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 || d > maxDuration {
		return 0, errDuration
	}
	return d, nil
}

// steps are the durations a person is offered up to the limit, which is the last of them.
func steps(limit time.Duration) []time.Duration {
	var out []time.Duration
	for _, m := range []time.Duration{5, 15, 30, 60, 2 * 60, 4 * 60, 8 * 60, 24 * 60} {
		if d := m * time.Minute; d < limit {
			out = append(out, d)
		}
	}
	return append(out, limit)
}
