// Command steppedgateway is the gateway on a clock that can be put back: the machine's, plus the nanoseconds in the file
// that CLOCK_OFFSET names.
package main

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	"github.com/seed-240d5494/caddy-impersonate/caddymodule"
	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
)

// every is how often the file is looked at.
const every = 50 * time.Millisecond

// stepped has no monotonic reading, so that what measures by it sees the step.
type stepped struct{ offset *atomic.Int64 }

func (c stepped) Now() time.Time {
	return time.Now().Round(0).Add(time.Duration(c.offset.Load()))
}

func (stepped) AfterFunc(d time.Duration, f func()) clock.Timer { return clock.System.AfterFunc(d, f) }

// source is a guest of impersonate.clocks.
type source struct{ offset *atomic.Int64 }

// CaddyModule implements [caddy.Module].
func (s source) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "impersonate.clocks.stepped", New: func() caddy.Module { return &source{s.offset} }}
}

// Clock implements [caddymodule.ClockSource].
func (s source) Clock() caddymodule.Clock { return stepped(s) }

var _ caddymodule.ClockSource = source{}

func main() {
	offset := new(atomic.Int64)
	look := func() {
		if text, err := os.ReadFile(os.Getenv("CLOCK_OFFSET")); err == nil {
			if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil {
				offset.Store(n)
			}
		}
	}
	look() // nothing is to see the machine's own time
	go func() {
		for range time.Tick(every) {
			look()
		}
	}()
	caddy.RegisterModule(source{offset})
	caddycmd.Main()
}
