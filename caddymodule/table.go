package caddymodule

import (
	"io"
	"slices"
	"strings"
)

// table prints for people. Where a row is wider than the terminal the widest columns give way, but for those that are copied
// or compared whole; then what may stand below a row does; where that is not enough, each row is a paragraph.
type table struct {
	head  []string
	whole []string // heads of the columns that never give way
	below []string // heads of those that go to a second line before they are cut short
	// sentences: the last column is broken into lines, not cut.
	sentences bool
	rows      [][]string
}

const (
	// leastColumn is how narrow a column gets, and leastBelow one that may stand below as well.
	leastColumn = 8
	leastBelow  = 24
	gap         = 2
)

func (t *table) add(cells ...string) {
	for i := range cells {
		cells[i] = plain(cells[i])
	}
	t.rows = append(t.rows, cells)
}

func (t *table) print(w io.Writer, width int) error {
	all := make([]int, len(t.head))
	for i := range all {
		all[i] = i
	}
	var beside, below []int
	for i, h := range t.head {
		if slices.Contains(t.below, h) {
			below = append(below, i)
		} else {
			beside = append(beside, i)
		}
	}
	var b strings.Builder
	if widths := t.widths(all, width); widths != nil {
		for _, row := range t.lines() {
			t.line(&b, row, all, widths)
		}
	} else if widths := t.widths(beside, width); widths != nil && len(below) > 0 {
		natural := t.widths(below, unlimited)
		for _, row := range t.lines() {
			t.line(&b, row, beside, widths)
			var second strings.Builder
			t.line(&second, row, below, natural)
			if line := strings.TrimRight(second.String(), "\n"); line != "" {
				b.WriteString(fit("  "+line, width) + "\n")
			}
		}
	} else {
		t.paragraphs(&b, width)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// lines are the heads and the rows.
func (t *table) lines() [][]string { return append([][]string{t.head}, t.rows...) }

// widths are those of the columns when they stand beside each other in so many; nil: they can't.
func (t *table) widths(columns []int, width int) []int {
	widths, total := make([]int, len(columns)), gap*(len(columns)-1)
	for i, c := range columns {
		for _, row := range t.lines() {
			widths[i] = max(widths[i], cellsOf(row[c]))
		}
		total += widths[i]
	}
	least := func(i int) int {
		switch h := t.head[columns[i]]; {
		case slices.Contains(t.whole, h):
			return widths[i]
		case slices.Contains(t.below, h), t.sentences && columns[i] == len(t.head)-1:
			return leastBelow
		}
		return leastColumn
	}
	for ; total > width; total-- {
		widest := -1
		for i, n := range widths {
			if n > least(i) && (widest < 0 || n > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			return nil
		}
		widths[widest]--
	}
	return widths
}

func (t *table) line(b *strings.Builder, row []string, columns, widths []int) {
	line, indent := "", 0
	for i, c := range columns {
		if i == len(columns)-1 && t.sentences {
			line = hanging(line, row[c], indent+widths[i], indent)
			break
		}
		line += pad(fit(row[c], widths[i]), widths[i])
		if i < len(columns)-1 {
			line += strings.Repeat(" ", gap)
			indent += widths[i] + gap
		}
	}
	b.WriteString(strings.TrimRight(line, " ") + "\n")
}

// paragraphs prints each column of a row on a line of its own.
func (t *table) paragraphs(b *strings.Builder, width int) {
	heads := 0
	for _, h := range t.head {
		heads = max(heads, cellsOf(h))
	}
	for i, row := range t.rows {
		if i > 0 {
			b.WriteByte('\n')
		}
		for i, c := range row {
			room := max(width-heads-gap, leastColumn)
			switch {
			case slices.Contains(t.whole, t.head[i]):
			case t.sentences:
				c = strings.Join(wrap(c, room, room), "\n"+strings.Repeat(" ", heads+gap))
			default:
				c = fit(c, room)
			}
			b.WriteString(strings.TrimRight(pad(t.head[i], heads+gap)+c, " ") + "\n")
		}
	}
}
