package caddymodule

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// screen is a terminal of so many columns: what is printed into tty comes out of what follows once it is closed.
type screen struct {
	tty  *os.File
	read func() string
}

func newScreen(t *testing.T, columns uint16) *screen {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = master.Close() })
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprint("/dev/pts/", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tty.Close() })
	if err := unix.IoctlSetWinsize(int(tty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}); err != nil {
		t.Fatal(err)
	}
	done, all := make(chan struct{}), &bytes.Buffer{}
	go func() {
		defer close(done)
		_, _ = io.Copy(all, master) // ends with an error when nobody has the terminal open
	}()
	return &screen{tty, func() string {
		_ = tty.Close()
		<-done
		return strings.ReplaceAll(all.String(), "\r\n", "\n")
	}}
}

// TestBar: on a terminal a long work shows how far it is, on one line however narrow, and takes that away at its end.
func TestBar(t *testing.T) {
	for columns, want := range map[uint16]string{
		120: "\r[###############...............]  50%  500000 of 1000000 rows\x1b[K\r\x1b[K",
		50:  "\r[#########.........]  50%  500000 of 1000000 rows\x1b[K\r\x1b[K",
		24:  "\r 50%  500000 of 100000…\x1b[K\r\x1b[K",
	} {
		s := newScreen(t, columns)
		now := time.Now()
		b := newBar(s.tty, 1_000_000, func() time.Time { return now })
		b.to(1)
		now = now.Add(2 * time.Second)
		b.to(500_000)
		b.to(500_001) // at once: not shown
		b.end()
		got := s.read()
		if got != want {
			t.Errorf("%d columns: %q, want %q", columns, got, want)
		}
		if line, _, _ := strings.Cut(strings.TrimPrefix(got, "\r"), "\x1b"); cellsOf(line) >= int(columns) {
			t.Errorf("%d columns: %q fills the line", columns, line)
		}
	}
	quick := newScreen(t, 80)
	b := newBar(quick.tty, 10, time.Now)
	b.to(10)
	b.end()
	if got := quick.read(); got != "" {
		t.Errorf("what is quick shows %q", got)
	}
}

// TestCommandsOnATerminal: no line is wider than the terminal, nothing is coloured, and what is copied is whole.
func TestCommandsOnATerminal(t *testing.T) {
	file := auditFile(t)
	for _, columns := range []uint16{120, 80, 50} {
		for _, args := range [][]string{{"impersonations"}, {"requests"}, {"events"}, {"show", "imp-1"}, {"tail"}, {"tail", "--json"}} {
			s := newScreen(t, columns)
			cmd := auditCommand()
			cmd.SetOut(s.tty)
			cmd.SetErr(s.tty)
			cmd.SetArgs(append(args, "--utc", "--sqlite", file))
			if err := cmd.ExecuteContext(t.Context()); err != nil {
				t.Fatal(err)
			}
			out := s.read()
			if strings.ContainsAny(out, "\x1b\u202e") && args[len(args)-1] != "--json" || out == "" {
				t.Errorf("%v at %d columns: %q", args, columns, out)
			}
			for line := range strings.Lines(out) {
				if cellsOf(strings.TrimRight(line, "\n")) > int(columns) && args[len(args)-1] != "--json" {
					t.Errorf("%v at %d columns: %q", args, columns, line)
				}
			}
			if args[0] == "events" && strings.Count(out, "impersonation_started") != 1 {
				t.Errorf("%v at %d columns cuts types: %s", args, columns, out)
			}
		}
	}
}
