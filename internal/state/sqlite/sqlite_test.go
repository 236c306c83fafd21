package sqlite_test

import (
	"bufio"
	"database/sql"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/state"
	"github.com/seed-240d5494/caddy-impersonate/internal/state/sqlite"
	"github.com/seed-240d5494/caddy-impersonate/internal/state/statetest"
)

func open(t *testing.T, path string) state.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestConformance(t *testing.T) {
	dir := t.TempDir()
	statetest.Run(t, func(t *testing.T) state.Store { return open(t, filepath.Join(dir, t.Name(), "state.db")) })
}

func TestFilesArePrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	path := filepath.Join(dir, "state.db")
	s := open(t, path)
	if err := s.PutSetting(t.Context(), "a", "b"); err != nil {
		t.Fatal(err)
	}
	modes := func() string {
		var all []string
		err := filepath.WalkDir(dir, func(p string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			fi, err := os.Stat(p)
			if err == nil {
				all = append(all, fmt.Sprintf("%s %v", filepath.Base(p), fi.Mode()))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(all, "\n")
	}
	const want = "b drwx------\nstate.db -rw-------\nstate.db-shm -rw-------\nstate.db-wal -rw-------\nstate.db.lock -rw-------"
	if got := modes(); got != want {
		t.Errorf("files:\n%s\nwant:\n%s", got, want)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// Somebody opened it up.
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	open(t, path)
	if got := modes(); got != want {
		t.Errorf("files:\n%s\nwant:\n%s", got, want)
	}
}

func TestNameIsAName(t *testing.T) {
	for _, name := range []string{"a b", "q?mode=memory", "h#x", "p%41", "ü", "c:d", "a&b=c", `back\slash`} {
		path := filepath.Join(t.TempDir(), name)
		s := open(t, path)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if fi, err := os.Stat(path); err != nil || fi.Size() == 0 {
			t.Errorf("%q: not there (%v)", name, err)
		}
	}
}

func TestRefused(t *testing.T) {
	raw := func(t *testing.T, path string, statements ...string) {
		t.Helper()
		db, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		for _, s := range statements {
			if _, err := db.ExecContext(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, tt := range []struct {
		name string
		prep func(t *testing.T, path string)
		want string
	}{
		{"newer", func(t *testing.T, path string) {
			if err := open(t, path).Close(); err != nil {
				t.Fatal(err)
			}
			raw(t, path, `INSERT INTO schema_versions (version_id, is_applied) VALUES (7001, 1)`)
		}, "schema version 7001 and this program knows versions up to"},
		{"not a database", func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte(strings.Repeat("users:\n", 200)), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "not a SQLite database"},
		{"another's database", func(t *testing.T, path string) { raw(t, path, `CREATE TABLE bookings (id)`) }, "another program's database"},
		{"another's empty database", func(t *testing.T, path string) { raw(t, path, `PRAGMA application_id = 17`) }, "another program's database"},
		{"directory", func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, "it is a directory"},
		{"in use", func(t *testing.T, path string) { open(t, path) }, "another process has it open"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state.db")
			tt.prep(t, path)
			before, _ := os.ReadFile(path)
			_, err := sqlite.Open(t.Context(), path, sqlite.Options{LockWait: -1})
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("error %v, want %q and the path", err, tt.want)
			}
			if after, _ := os.ReadFile(path); string(after) != string(before) {
				t.Error("the file was changed")
			}
		})
	}
	if _, err := sqlite.Open(t.Context(), "", sqlite.Options{}); err == nil {
		t.Error("no path: opened")
	}
}

// A restart: the old process goes while the new one waits.
func TestWaitsForTheLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	first := open(t, path)
	opened := make(chan error, 1)
	go func() {
		s, err := sqlite.Open(t.Context(), path, sqlite.Options{LockWait: time.Minute})
		if err == nil {
			err = s.Close()
		}
		opened <- err
	}()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-opened; err != nil {
		t.Fatal(err)
	}
}

func TestOrphanedJarsGoAtOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	s := open(t, path)
	v := statetest.Session(1)
	keep := fmt.Sprintf("%x", v.ID[:])
	err := s.CreateSession(t.Context(), v)
	for _, owner := range []string{keep, strings.Repeat("ab", 32), "impersonation-gone"} {
		if err == nil {
			err = s.PutJar(t.Context(), &state.Jar{Owner: owner, Host: "app"})
		}
	}
	if err == nil {
		err = s.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	s = open(t, path)
	for owner, want := range map[string]bool{keep: true, strings.Repeat("ab", 32): false, "impersonation-gone": false} {
		if _, err := s.Jar(t.Context(), owner, "app"); (err == nil) != want {
			t.Errorf("jar of %s: %v, want it there: %v", owner, err, want)
		}
	}
}

// What a method returned from outlives the process, however it ends.
func TestKilled(t *testing.T) {
	const env = "STATE_OF_A_PROCESS_TO_KILL"
	if path := os.Getenv(env); path != "" {
		s := open(t, path)
		for n := 0; ; n++ {
			if err := s.CreateSession(t.Context(), statetest.Session(n)); err != nil {
				t.Fatal(err)
			}
			if n > 0 {
				if err := s.DeleteSession(t.Context(), statetest.Session(n-1).ID); err != nil {
					t.Fatal(err)
				}
			}
			fmt.Println("done", n)
		}
	}
	path := filepath.Join(t.TempDir(), "state.db")
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilled$")
	cmd.Env = append(os.Environ(), env+"="+path)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	last := -1
	for lines := bufio.NewScanner(out); lines.Scan(); {
		_, _ = fmt.Sscanf(lines.Text(), "done %d", &last)
		if last == 50 {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait() // killed
	if last < 50 {
		t.Fatalf("it got to %d", last)
	}
	s := open(t, path)
	// It may have got further than it could say: the next one written, and this one deleted for it.
	_, err = s.Session(t.Context(), statetest.Session(last).ID)
	if _, next := s.Session(t.Context(), statetest.Session(last+1).ID); err != nil && next != nil {
		t.Errorf("session %d is lost: %v", last, err)
	}
	if _, err := s.Session(t.Context(), statetest.Session(last-1).ID); err == nil {
		t.Errorf("session %d, deleted, is back", last-1)
	}
}
