package caddymodule

import (
	"fmt"
	"io"
	"strings"
	"time"
)

const (
	barAfter = time.Second // what is quicker needs none
	barEvery = 250 * time.Millisecond
	barCells = 30
)

// bar shows how far a long work has come, on a terminal's last line.
type bar struct {
	out   io.Writer
	now   func() time.Time
	total uint64
	next  time.Time
	width int // of the terminal; 0: there is none, and nothing is shown
	shown bool
}

// newBar shows one where out is a terminal.
func newBar(out io.Writer, total uint64, now func() time.Time) *bar {
	return &bar{out: out, now: now, total: total, next: now().Add(barAfter), width: columnsOf(out)}
}

func (b *bar) to(n uint64) {
	if b.width == 0 {
		return
	}
	now := b.now()
	if now.Before(b.next) {
		return
	}
	b.next, b.shown = now.Add(barEvery), true
	part := min(float64(n)/float64(max(b.total, 1)), 1)
	text := fmt.Sprintf("%3.0f%%  %d of %d rows", part*100, n, b.total)
	// A line as wide as the terminal would begin another one.
	if cells := min(barCells, b.width-len(text)-len("[] ")-1); cells > 0 {
		done := int(part * float64(cells))
		text = "[" + strings.Repeat("#", done) + strings.Repeat(".", cells-done) + "] " + text
	}
	fmt.Fprintf(b.out, "\r%s\x1b[K", fit(text, b.width-1))
}

func (b *bar) end() {
	if b.shown {
		fmt.Fprint(b.out, "\r\x1b[K")
	}
}
