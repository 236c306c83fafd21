package directory

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

const (
	maxFile = 256 << 20
	// racy is how young a file may be for a second change to leave its time as it was.
	racy = 2 * time.Second
)

// FileSource is a YAML file of accounts: a list, or a mapping with the list under users.
//
//	users:
//	  - id: "17"              # default: the username
//	    username: sam         # required
//	    name: Sam Reed
//	    email: sam@example.com
//	    groups: [fieldworkers]
//	    active: true          # the default
//	    attributes:
//	      department: north
//
// It is read again when its time, size or inode has changed, also through a symbolic link that now points elsewhere.
// A file that can't be read whole and without a mistake changes nothing.
type FileSource struct {
	path string

	mu   sync.Mutex // one Users at a time
	read bool       // what follows is of a file that was there
	last fileStamp
	at   time.Time // when it was read
	sum  [sha256.Size]byte
	err  error // of that reading
}

// fileStamp tells one state of a file from another.
type fileStamp struct {
	mtime time.Time
	size  int64
	fi    os.FileInfo // for the inode
}

func (s fileStamp) same(t fileStamp) bool {
	return s.fi != nil && t.fi != nil && s.mtime.Equal(t.mtime) && s.size == t.size && os.SameFile(s.fi, t.fi)
}

// NewFileSource is the source for the file at path. Nothing is read before Users.
func NewFileSource(path string) *FileSource { return &FileSource{path: path} }

// Name implements [Source].
func (s *FileSource) Name() string { return "file " + s.path }

// Users implements [Source].
func (s *FileSource) Users(ctx context.Context) ([]User, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	fi, err := os.Stat(s.path)
	if err != nil {
		s.read = false
		return nil, err
	}
	stamp := fileStamp{fi.ModTime(), fi.Size(), fi}
	// A file changed twice within the grain of its time looks unchanged; while it is that young it is read anyway.
	// (File times are the machine's, so is this clock.)
	if s.read && stamp.same(s.last) && s.at.Sub(s.last.mtime) > racy {
		return nil, s.err
	}
	at := time.Now()
	data, after, err := readFile(s.path, fi)
	if err != nil {
		s.read = false
		return nil, err
	}
	if !after.same(stamp) {
		return nil, nil // being written: the next time will tell
	}
	sum := sha256.Sum256(data)
	same := s.read && sum == s.sum
	s.read, s.last, s.at, s.sum = true, stamp, at, sum
	if same {
		return nil, s.err
	}
	users, err := parseUsers(s.path, data)
	s.err = err
	if err != nil {
		return nil, err
	}
	return users, nil
}

// readFile reads what fi describes, and says what the file was like afterwards.
func readFile(path string, fi os.FileInfo) ([]byte, fileStamp, error) {
	// Before it is opened: opening a pipe waits for a writer.
	if !fi.Mode().IsRegular() {
		return nil, fileStamp{}, fmt.Errorf("reading %s: not a regular file", path)
	}
	if fi.Size() > maxFile {
		return nil, fileStamp{}, fmt.Errorf("reading %s: %d MiB; at most %d are read", path, fi.Size()>>20, maxFile>>20)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fileStamp{}, err
	}
	defer f.Close()
	data := make([]byte, fi.Size()+1)
	n, err := io.ReadFull(f, data)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, fileStamp{}, fmt.Errorf("reading %s: %w", path, err)
	}
	after, err := os.Stat(path)
	if err != nil {
		return nil, fileStamp{}, err
	}
	if int64(n) != fi.Size() {
		return nil, fileStamp{}, nil // longer or shorter than it was: no stamp, so not the same
	}
	return data[:n], fileStamp{after.ModTime(), after.Size(), after}, nil
}
