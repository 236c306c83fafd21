package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/seed-240d5494/caddy-impersonate/internal/filelock"
)

// FS is the file system under a journal. [OS] is the machine's; tests inject one that fails.
type FS interface {
	MkdirAll(dir string) error
	// Names lists the entries of a directory.
	Names(dir string) ([]string, error)
	// Create makes a new file for reading and writing; an existing one is replaced.
	Create(name string) (File, error)
	// Open opens a file for reading, OpenWrite for reading and writing; OpenWrite makes it where it is not there.
	Open(name string) (File, error)
	OpenWrite(name string) (File, error)
	// Truncate cuts a closed file to size and makes that durable.
	Truncate(name string, size int64) error
	Rename(from, to string) error
	Remove(name string) error
	// SyncDir makes creations, renames and removals in the directory durable.
	SyncDir(dir string) error
	// Lock takes the file's lock until Close; [ErrLocked] when another process has it.
	Lock(name string) (io.Closer, error)
}

// File is one open file.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Allocate reserves space, so that later writes within it neither run out of space nor change the file's size.
	Allocate(size int64) error
	// SyncData makes what was written durable, and of the metadata what is needed to read it (fdatasync).
	SyncData() error
	Truncate(size int64) error
	Size() (int64, error)
}

// ErrLocked is returned when another process uses the journal.
var ErrLocked = errors.New("another process uses this journal")

// OS is the machine's file system.
var OS FS = osFS{}

type osFS struct{}

func (osFS) MkdirAll(dir string) error    { return os.MkdirAll(dir, 0o700) }
func (osFS) Rename(from, to string) error { return os.Rename(from, to) }
func (osFS) Remove(name string) error     { return os.Remove(name) }

func (osFS) Names(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

func (osFS) Create(name string) (File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osFS) OpenWrite(name string) (File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osFS) Open(name string) (File, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osFS) Truncate(name string, size int64) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		return err
	}
	return f.Sync()
}

func (osFS) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func (osFS) Lock(name string) (io.Closer, error) {
	// A file system that was remounted read-only can still be locked, and read.
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		var readErr error
		if f, readErr = os.Open(name); readErr != nil {
			return nil, err
		}
	}
	if err := filelock.Try(f); err != nil {
		defer f.Close()
		if !errors.Is(err, filelock.ErrHeld) {
			return nil, err
		}
		if holder := holderOf(f); holder != "" {
			return nil, fmt.Errorf("%w (process %s)", ErrLocked, holder)
		}
		return nil, ErrLocked
	}
	// Only for people: who has it.
	if f.Truncate(0) == nil {
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	return lock{f}, nil
}

// lock is a locked file.
type lock struct{ f *os.File }

func (l lock) Close() error { return filelock.Release(l.f) }

// holderOf reads the number of the process that has the lock, if it is one.
func holderOf(f *os.File) string {
	var b [16]byte
	n, _ := f.ReadAt(b[:], 0)
	pid, err := strconv.Atoi(string(trimNewline(b[:n])))
	if err != nil {
		return ""
	}
	return strconv.Itoa(pid)
}

func trimNewline(b []byte) []byte {
	if len(b) > 0 && b[len(b)-1] == '\n' {
		return b[:len(b)-1]
	}
	return b
}

type osFile struct{ *os.File }

func (f osFile) Allocate(size int64) error { return allocate(f.File, size) }
func (f osFile) SyncData() error           { return syncData(f.File) }

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// WriteFile puts data in a file so that after a crash either the old or the new contents are there, whole: written
// beside it, synced, renamed, directory synced.
func WriteFile(fsys FS, name string, data []byte) error {
	temp := name + tempSuffix
	f, err := fsys.Create(temp)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, 0)
	if err == nil {
		err = f.SyncData()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = fsys.Rename(temp, name)
	}
	if err != nil {
		_ = fsys.Remove(temp)
		return err
	}
	return fsys.SyncDir(filepath.Dir(name))
}

// ReadFile reads a file of at most limit bytes; fs.ErrNotExist when it is not there.
func ReadFile(fsys FS, name string, limit int64) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size > limit {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("%d bytes, more than %d", size, limit)}
	}
	data := make([]byte, size)
	if _, err := f.ReadAt(data, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return data, nil
}
