package witness

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

// File appends signed notes to a file, one behind the other, and syncs each. It never shortens or replaces anything, so
// the file system may forbid that (chattr +a, a share that only takes appends). The file is opened for each: it may be
// rotated, or on a share that comes and goes.
type File struct{ path string }

// NewFile is the witness at an absolute path. Its directory must be there: on a share that is not mounted none is made.
func NewFile(path string) *File { return &File{path} }

// Name implements [audit.Witness].
func (f *File) Name() string {
	sum := sha256.Sum256([]byte(f.path))
	return "file " + filepath.Base(f.path) + " " + hex.EncodeToString(sum[:4])
}

// Publish implements [audit.Witness].
func (f *File) Publish(_ context.Context, c *audit.Checkpoint) (err error) {
	_, statErr := os.Stat(f.path)
	file, err := os.OpenFile(f.path, os.O_APPEND|os.O_CREATE|os.O_RDWR, 0o644) //nolint:gosec // G302: auditors read it, and it holds nothing but hashes
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	end, err := tail(file, len(c.Note)+1)
	if err != nil {
		return err
	}
	if bytes.HasSuffix(end, []byte(c.Note)) && (len(end) == len(c.Note) || end[0] == '\n') {
		return file.Sync() // a crash came between the write and the word of it
	}
	text := []byte(c.Note)
	if n := len(end); n > 0 && end[n-1] != '\n' {
		text = append([]byte("\n"), text...) // behind a note that a crash or a full disk tore
	}
	if _, err := file.Write(text); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	if errors.Is(statErr, fs.ErrNotExist) {
		return syncDir(filepath.Dir(f.path))
	}
	return nil
}

// tail reads the last n bytes.
func tail(f *os.File, n int) ([]byte, error) {
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no file", f.Name())
	}
	b := make([]byte, min(int64(n), fi.Size()))
	if _, err := f.ReadAt(b, fi.Size()-int64(len(b))); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return b, nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Close implements [audit.Witness].
func (f *File) Close() error { return nil }

var _ audit.Witness = (*File)(nil)
