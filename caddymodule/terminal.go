package caddymodule

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"

	"golang.org/x/term"
	"golang.org/x/text/width"
)

const (
	// unlimited is how wide lines are that go to a file or another program.
	unlimited = 1 << 16
	// leastWidth is what a terminal has at least, whatever it says.
	leastWidth = 20
)

// columnsOf is how wide the terminal is that is written to; 0: it is none.
func columnsOf(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	n, _, err := term.GetSize(int(f.Fd()))
	if err != nil || n <= 0 {
		return 80
	}
	return max(n, leastWidth)
}

// widthOf is how wide lines may be.
func widthOf(w io.Writer) int {
	if n := columnsOf(w); n > 0 {
		return n
	}
	return unlimited
}

// plain is s without what could move a terminal's cursor: accounts and rows come from elsewhere. Blanks of other kinds are
// blanks; what joins letters and emoji stays.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsPrint(r), r == joiner, r == '\u200c':
			return r
		case unicode.Is(unicode.Zs, r):
			return ' '
		}
		return unicode.ReplacementChar
	}, s)
}

const joiner = '\u200d'

// cellsOf is how many columns a terminal gives a text: two for each East Asian wide character, none for what is joined to
// the one before.
func cellsOf(s string) int {
	n, before := 0, rune(0)
	for _, r := range s {
		n += cellsOfRune(r, before)
		before = r
	}
	return n
}

func cellsOfRune(r, before rune) int {
	switch {
	case r >= 0x20 && r < 0x7f:
		return 1
	case before == joiner, unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf), r >= 0x1160 && r <= 0x11ff: // vowels and finals of Hangul
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// fit cuts a text to so many columns; a cut one ends in "…".
func fit(s string, columns int) string {
	if cellsOf(s) <= columns {
		return s
	}
	return strings.TrimRight(prefix(s, columns-1), " "+string(joiner)) + "…"
}

// pad fills a text up to so many columns.
func pad(s string, columns int) string { return s + strings.Repeat(" ", max(columns-cellsOf(s), 0)) }

// wrap breaks a text at blanks into lines, the first of at most so many columns, the rest likewise; a longer word is broken
// where the line ends.
func wrap(s string, first, rest int) []string {
	first, rest = max(first, leastWidth/2), max(rest, leastWidth/2)
	if cellsOf(s) <= first {
		return []string{s}
	}
	var lines []string
	line, room := "", first
	end := func() {
		lines = append(lines, line)
		line, room = "", rest
	}
	for _, word := range strings.Fields(s) {
		switch {
		case line == "":
		case cellsOf(line)+1+cellsOf(word) <= room:
			line += " " + word
			continue
		default:
			end()
		}
		for cellsOf(word) > room {
			line = prefix(word, room)
			word = word[len(line):]
			end()
		}
		line = word
	}
	return append(lines, line)
}

// prefix is as much of a text as has so many columns, at least one character.
func prefix(s string, columns int) string {
	n, before := 0, rune(0)
	for i, r := range s {
		c := cellsOfRune(r, before)
		if n+c > columns && i > 0 {
			return s[:i]
		}
		n, before = n+c, r
	}
	return s
}

// hanging is a text behind what leads it, in lines of at most so many columns; all but the first begin with the indent.
func hanging(lead, text string, columns, indent int) string {
	return lead + strings.Join(wrap(text, columns-cellsOf(lead), columns-indent), "\n"+strings.Repeat(" ", indent))
}

// printFacts prints names and what they are, one below the other.
func printFacts(to io.Writer, facts [][2]string) error {
	names := 0
	for _, f := range facts {
		names = max(names, cellsOf(f[0]))
	}
	var b strings.Builder
	for _, f := range facts {
		b.WriteString(hanging(pad(f[0], names+gap), plain(f[1]), widthOf(to), names+gap) + "\n")
	}
	_, err := io.WriteString(to, b.String())
	return err
}

// several is how many there are of something, in words that fit.
func several[N int | uint64](n N, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// helpWidth is how wide help is: what terminals have at least.
const helpWidth = 79

// reflow breaks the paragraphs of a text anew; lines that begin with a blank stay as they are.
func reflow(text string) string {
	paragraphs := strings.Split(strings.Trim(text, "\n"), "\n\n")
	for i, p := range paragraphs {
		if !strings.HasPrefix(p, " ") && !strings.Contains(p, "\n ") {
			paragraphs[i] = strings.Join(wrap(strings.ReplaceAll(p, "\n", " "), helpWidth, helpWidth), "\n")
		}
	}
	return strings.Join(paragraphs, "\n\n")
}
