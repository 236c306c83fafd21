package caddymodule

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// TestCells: as many columns as a terminal gives it.
func TestCells(t *testing.T) {
	for text, want := range map[string]int{
		"": 0, "Sam Reed": 8, "José": 4, "Jose\u0301": 4, "佐藤 ゆき": 9, "한글": 4, "각": 2, "\u1100\u1161\u11a8": 2, "Ａ": 2, "ｱ": 1,
		"👩‍🔧": 2, "🇩🇪": 2, "👍": 2, "مريم": 4, "Ňéw̃": 3, "…": 1,
	} {
		if got := cellsOf(text); got != want {
			t.Errorf("%q has %d columns, not %d", text, got, want)
		}
	}
}

// TestPlain: nothing that a terminal obeys, and of names all that belongs to them.
func TestPlain(t *testing.T) {
	for text, want := range map[string]string{
		"a\x1b[2Jb\u202ec\u200bd\n": "a\ufffd[2Jb\ufffdc\ufffdd\ufffd", "김민준\u3000선임\u00a0x": "김민준 선임 x", "👩\u200d🔧": "👩\u200d🔧", "می\u200cخواهم": "می\u200cخواهم",
	} {
		if got := plain(text); got != want {
			t.Errorf("%q is printed as %q, not %q", text, got, want)
		}
	}
}

func TestFitAndWrap(t *testing.T) {
	const text = "佐藤さんの予定を確認 because the plan for Monday has a gap 👩‍🔧"
	for columns := 10; columns < 80; columns++ {
		if got := fit(text, columns); cellsOf(got) > columns || cellsOf(text) > columns != strings.HasSuffix(got, "…") {
			t.Errorf("%d: %q", columns, got)
		}
		lines := wrap(text, columns-2, columns)
		for i, line := range lines {
			if cellsOf(line) > columns || i == 0 && cellsOf(line) > max(columns-2, leastWidth/2) {
				t.Errorf("%d: the line %q of %q", columns, line, lines)
			}
		}
		bare := func(s string) string { return strings.ReplaceAll(s, " ", "") }
		if got := bare(strings.Join(lines, "")); got != bare(text) {
			t.Errorf("%d: %q is lost of it", columns, got)
		}
	}
	if got := hanging("12:00  ", "one two three four", 18, 7); got != "12:00  one two\n       three four" {
		t.Errorf("%q", got)
	}
	if got := strings.Join(wrap(strings.Repeat("f", 25), 10, 12), " "); got != "ffffffffff ffffffffffff fff" {
		t.Errorf("a long word: %q", got)
	}
}

// TestTableBelow: what may stand below does so before it is cut, wide characters are counted as such, and sentences are
// broken, not cut.
func TestTableBelow(t *testing.T) {
	tab := &table{head: []string{"WHEN", "WHO", "ID", "WHY"}, whole: []string{"WHEN", "ID"}, below: []string{"ID", "WHY"}}
	tab.add("2026-03-02", "佐藤 ゆき", "0123456789abcdef0123456789abcdef", "a booking that does not complete")
	tab.add("2026-03-03", "sam", "f123456789abcdef0123456789abcdef", "")
	for width, want := range map[int]string{
		100: "WHEN        WHO        ID                                WHY\n2026-03-02  佐藤 ゆき  0123456789abcdef0123456789abcdef  a booking that does not complete\n2026-03-03  sam        f123456789abcdef0123456789abcdef\n",
		60:  "WHEN        WHO\n  ID                                WHY\n2026-03-02  佐藤 ゆき\n  0123456789abcdef0123456789abcdef  a booking that does not…\n2026-03-03  sam\n  f123456789abcdef0123456789abcdef\n",
	} {
		var b strings.Builder
		if err := tab.print(&b, width); err != nil || b.String() != want {
			t.Errorf("width %d (%v):\n%s\nwant:\n%s", width, err, b.String(), want)
		}
	}
	tab = &table{head: []string{"RULE", "WHY"}, whole: []string{"RULE"}, sentences: true}
	tab.add("protect", "the target is not of group account-owners, group admins")
	for width, want := range map[int]string{
		40: "RULE     WHY\nprotect  the target is not of group\n         account-owners, group admins\n",
		22: "RULE  protect\nWHY   the target is\n      not of group\n      account-owners,\n      group admins\n",
	} {
		var b strings.Builder
		if err := tab.print(&b, width); err != nil || b.String() != want {
			t.Errorf("width %d (%v):\n%s\nwant:\n%s", width, err, b.String(), want)
		}
	}
}

// TestHelp: each command says what it is for, in lines that a terminal of 80 columns holds.
func TestHelp(t *testing.T) {
	n := 0
	var look func(prefix string, c *cobra.Command)
	look = func(prefix string, c *cobra.Command) {
		n++
		name := strings.TrimSpace(prefix + " " + c.Name())
		if c.Short == "" || len(c.Name())+len(c.Short) > 72 {
			t.Errorf("%s: short: %q", name, c.Short)
		}
		_, flags, _ := strings.Cut(c.UsageString(), "\nFlags:")
		for line := range strings.Lines(c.Long + "\n" + flags) {
			if cellsOf(strings.TrimSuffix(line, "\n")) > 80 && !strings.HasPrefix(line, "Use ") {
				t.Errorf("%s: %q", name, line)
			}
		}
		for _, sub := range c.Commands() {
			look(name, sub)
		}
	}
	for _, c := range commands() {
		tidy(c)
		look("", c)
	}
	if n < 20 {
		t.Errorf("%d commands", n)
	}
	if got := reflow("\none two\nthree\n\n  as it\n  is\n\nlast\n"); got != "one two three\n\n  as it\n  is\n\nlast" {
		t.Errorf("%q", got)
	}
}

// TestBarNeedsATerminal: nothing is shown in a file, however long it takes.
func TestBarNeedsATerminal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stderr")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	b := newBar(f, 100, func() time.Time { now = now.Add(time.Minute); return now })
	b.to(50)
	b.end()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if said, err := os.ReadFile(path); err != nil || len(said) > 0 {
		t.Errorf("%q, %v", said, err)
	}
}
