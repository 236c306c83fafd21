package directory

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// file is a file of users that a test edits.
type file struct {
	t    *testing.T
	path string
	d    *Directory
	age  time.Duration
}

func newFile(t *testing.T) *file {
	path := filepath.Join(t.TempDir(), "users.yaml")
	return &file{t: t, path: path, d: New(Options{Sources: []Source{NewFileSource(path)}}), age: 100 * time.Hour}
}

// write replaces the content. Each is a little younger than the one before, and all are old.
func (f *file) write(content string) {
	f.t.Helper()
	if err := os.WriteFile(f.path, []byte(content), 0o600); err != nil {
		f.t.Fatal(err)
	}
	f.age -= time.Second
	f.touch(f.path)
}

func (f *file) touch(path string) {
	f.t.Helper()
	at := time.Now().Add(-f.age)
	if err := os.Chtimes(path, at, at); err != nil {
		f.t.Fatal(err)
	}
}

// expect refreshes; it wants the users, and an error with that in it.
func (f *file) expect(users, err string) {
	f.t.Helper()
	got := f.d.Refresh(f.t.Context())
	if (got == nil) != (err == "") || got != nil && !strings.Contains(got.Error(), err) {
		f.t.Errorf("error %v, want %q", got, err)
	}
	if st := f.d.Status()[0].Err; (st == nil) != (err == "") {
		f.t.Errorf("status %v, want %q", st, err)
	}
	if have := strings.Join(find(f.t, f.d, ""), " "); have != users {
		f.t.Errorf("users %q, want %q", have, users)
	}
}

func TestFileReload(t *testing.T) {
	f := newFile(t)
	f.expect("", "no such file")
	f.write("- username: ann\n")
	f.expect("ann", "")
	f.expect("ann", "")
	f.write("- username: ann\n- username: bob\n")
	f.expect("ann bob", "")

	// A broken edit, and the next one; the error stays while the file does.
	f.write("- username: ann\n- name: carl\n")
	f.expect("ann bob", "users.yaml:2: username: missing")
	f.expect("ann bob", "users.yaml:2: username: missing")
	f.write("- username: carl\n")
	f.expect("carl", "")

	// Cut off in the middle of being written.
	f.write("")
	f.expect("carl", "it is empty")
	f.write("[]")
	f.expect("", "")
	f.write("- username: ann\n")
	f.expect("ann", "")

	// Gone, and back as it was.
	if err := os.Remove(f.path); err != nil {
		t.Fatal(err)
	}
	f.expect("ann", "no such file")
	f.write("- username: ann\n")
	f.expect("ann", "")
}

// The same size, and a time that is the same or older: a backup put in place of it.
func TestFileOfTheSameSize(t *testing.T) {
	f := newFile(t)
	f.write("- username: ann\n")
	f.expect("ann", "")
	other := f.path + ".new"
	if err := os.WriteFile(other, []byte("- username: bob\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(f.path)
	if err == nil {
		err = os.Chtimes(other, fi.ModTime(), fi.ModTime())
	}
	if err == nil {
		err = os.Rename(other, f.path)
	}
	if err != nil {
		t.Fatal(err)
	}
	f.expect("bob", "") // another inode
	f.age += time.Hour
	f.write("- username: kim\n")
	f.expect("kim", "")
}

// Two edits within the grain of the file's time.
func TestFileEditedTwice(t *testing.T) {
	f := newFile(t)
	f.age = -time.Minute // however long this takes, the file is young
	f.write("- username: ann\n")
	fi, err := os.Stat(f.path)
	if err != nil {
		t.Fatal(err)
	}
	f.expect("ann", "")
	if err := os.WriteFile(f.path, []byte("- username: bob\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(f.path, fi.ModTime(), fi.ModTime()); err != nil {
		t.Fatal(err)
	}
	f.expect("bob", "")
}

// A Kubernetes ConfigMap: users.yaml → ..data/users.yaml, ..data → ..1, and an update swaps ..data.
func TestFileSymlinkSwap(t *testing.T) {
	f := newFile(t)
	dir := filepath.Dir(f.path)
	version := func(name, content string) {
		t.Helper()
		err := os.Mkdir(filepath.Join(dir, name), 0o700)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name, "users.yaml"), []byte(content), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		f.touch(filepath.Join(dir, name, "users.yaml")) // the same time for all
		_ = os.Remove(filepath.Join(dir, "..tmp"))
		err = os.Symlink(name, filepath.Join(dir, "..tmp"))
		if err == nil {
			err = os.Rename(filepath.Join(dir, "..tmp"), filepath.Join(dir, "..data"))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	version("..1", "- username: ann\n")
	if err := os.Symlink("..data/users.yaml", f.path); err != nil {
		t.Fatal(err)
	}
	f.expect("ann", "")
	version("..2", "- username: bob\n")
	f.expect("bob", "")
	version("..3", "- username: \n")
	f.expect("bob", "users.yaml:1")
}

func TestFileIsAFile(t *testing.T) {
	f := newFile(t)
	if err := os.Mkdir(f.path, 0o700); err != nil {
		t.Fatal(err)
	}
	f.expect("", "not a regular file")
	if err := os.Remove(f.path); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(f.path, 0o600); err != nil {
		t.Fatal(err)
	}
	f.expect("", "not a regular file") // and does not wait for a writer
	if err := os.Remove(f.path); err != nil {
		t.Fatal(err)
	}
	f.write("- username: ann\n")
	if err := os.Truncate(f.path, maxFile+1); err != nil { // sparse
		t.Fatal(err)
	}
	f.expect("", "at most 256 are read")
}

// A large file that changes by little: the index stays, and pages too.
func TestLargeFile(t *testing.T) {
	f := newFile(t)
	data := string(manyUsers(6_000))
	f.write(data)
	if err := f.d.Refresh(t.Context()); err != nil || f.d.Len() != 6_000 {
		t.Fatal(f.d.Len(), err)
	}
	base := f.d.now.Load().base
	f.write(strings.Replace(data, "name: José Reed 0\n", "name: Joseph Reed 0\n    active: false\n", 1))
	if err := f.d.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if u, ok := f.d.Lookup("user0"); !ok || u.Active || u.Name != "Joseph Reed 0" {
		t.Errorf("user0 is %+v", u)
	}
	if f.d.now.Load().base != base {
		t.Error("the index was built anew for one change")
	}
}
