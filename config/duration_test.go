package config

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestParseDuration(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want time.Duration
	}{
		{"30m", 30 * time.Minute},
		{"90s", 90 * time.Second},
		{"400d", 400 * day},
		{"1d12h", 36 * time.Hour},
		{"12h1d", 36 * time.Hour},
		{"0.5d", 12 * time.Hour},
		{"1d1d", 48 * time.Hour},
		{"0s", 0},
		{"0d", -1},
		{"", -1},
		{"d", -1},
		{"30", -1},
		{"-1d", -1},
		{"-30m", -1},
		{"1d-2h", -1},
		{"1e300d", -1},
		{"9999999999d", -1},
		{"106751d106751d", -1},
		{"thirty minutes", -1},
		{strings.Repeat("1", 65), -1},
	} {
		got, err := ParseDuration(tt.in)
		if tt.want < 0 {
			if err == nil {
				t.Errorf("ParseDuration(%q) = %v, want an error", tt.in, got)
			}
			continue
		}
		if err != nil || time.Duration(got) != tt.want {
			t.Errorf("ParseDuration(%q) = %v, %v; want %v", tt.in, got, err, tt.want)
		}
	}
}

func TestDurationString(t *testing.T) {
	for d, want := range map[time.Duration]string{
		30 * time.Minute:            "30m",
		12 * time.Hour:              "12h",
		90 * time.Second:            "1m30s",
		400 * day:                   "400d",
		36 * time.Hour:              "36h",
		0:                           "0s",
		1500 * time.Millisecond:     "1.5s",
		time.Hour + 10*time.Second:  "1h0m10s",
		20*time.Hour + 10*time.Hour: "30h",
	} {
		if got := Duration(d).String(); got != want {
			t.Errorf("Duration(%d).String() = %q, want %q", d, got, want)
		}
	}
}

func TestDurationJSON(t *testing.T) {
	for in, want := range map[string]time.Duration{`"30m"`: 30 * time.Minute, `"2d"`: 48 * time.Hour, `1800000000000`: 30 * time.Minute} {
		var d Duration
		if err := json.Unmarshal([]byte(in), &d); err != nil || time.Duration(d) != want {
			t.Errorf("unmarshal %s = %v, %v; want %v", in, d, err, want)
		}
	}
	for _, in := range []string{`"soon"`, `-5`, `1.5`, `{}`, `[]`, `true`} {
		var d Duration
		if err := json.Unmarshal([]byte(in), &d); err == nil {
			t.Errorf("unmarshal %s = %v, want an error", in, d)
		}
	}
}

// FuzzDuration: what is written can be read, and is the same.
func FuzzDuration(f *testing.F) {
	for _, s := range []string{"30m", "1d12h", "0.1d", "1ns", "d", "1d1d1d", "..d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseDuration(s)
		if err != nil {
			return
		}
		if d < 0 {
			t.Fatalf("ParseDuration(%q) = %d, negative", s, d)
		}
		again, err := ParseDuration(d.String())
		if err != nil || again != d {
			t.Fatalf("ParseDuration(%q) = %d, written %q, read %d, %v", s, d, d.String(), again, err)
		}
	})
}
