// Package faultfs is a file system that fails on demand, for tests of what must survive a failing disk: errors and
// hangs of single operations, short writes, writes that a failed fsync or a power cut undoes.
package faultfs

import (
	"io"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit/journal"
)

// Op is an operation that can fail.
type Op string

// Operations.
const (
	MkdirAll Op = "mkdir"
	Names    Op = "names"
	Create   Op = "create"
	Open     Op = "open"
	Truncate Op = "truncate"
	Rename   Op = "rename"
	Remove   Op = "remove"
	SyncDir  Op = "syncdir"
	Lock     Op = "lock"
	Read     Op = "read"
	Write    Op = "write"
	Allocate Op = "allocate"
	Sync     Op = "sync"
)

// sector is the unit in which a power cut keeps or loses what was not synced.
const sector = 512

// FS is a journal.FS over another one.
type FS struct {
	under journal.FS

	mu     sync.Mutex
	faults map[Op]*fault
	blocks map[Op]chan struct{}
	counts map[Op]int
	// undo is what restores each file to its last synced state, oldest first.
	undo map[string][]undo
}

type fault struct {
	err   error
	times int
	short int // bytes a failing write writes all the same
}

type undo struct {
	at  int64
	old []byte
}

// New returns a file system over the machine's that does not fail yet.
func New() *FS {
	return &FS{
		under: journal.OS, faults: map[Op]*fault{}, blocks: map[Op]chan struct{}{}, counts: map[Op]int{},
		undo: map[string][]undo{},
	}
}

// Fail makes an operation fail the next times; for ever if times is negative. A failing sync also undoes what was
// written since the last one, as Linux may.
func (f *FS) Fail(op Op, times int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults[op] = &fault{err: err, times: times}
}

// FailShort makes the next write fail after so many bytes.
func (f *FS) FailShort(bytes int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults[Write] = &fault{err: err, times: 1, short: bytes}
}

// Heal ends all faults.
func (f *FS) Heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.faults)
}

// Block makes an operation hang until release is called.
func (f *FS) Block(op Op) (release func()) {
	ch := make(chan struct{})
	f.mu.Lock()
	f.blocks[op] = ch
	f.mu.Unlock()
	return sync.OnceFunc(func() {
		f.mu.Lock()
		delete(f.blocks, op)
		f.mu.Unlock()
		close(ch)
	})
}

// Count is how often an operation was asked for.
func (f *FS) Count(op Op) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts[op]
}

// PowerCut undoes, sector by sector and at random, what was written under dir and not synced. The files must not be
// written after it.
func (f *FS) PowerCut(random *rand.Rand, dir string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, list := range f.undo {
		if !strings.HasPrefix(name, dir) {
			continue
		}
		if err := restore(name, list, func() bool { return random.IntN(2) == 0 }); err != nil {
			return err
		}
		delete(f.undo, name)
	}
	return nil
}

func (f *FS) do(op Op) (short int, err error) {
	f.mu.Lock()
	f.counts[op]++
	block := f.blocks[op]
	f.mu.Unlock()
	if block != nil {
		<-block
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	at := f.faults[op]
	if at == nil || at.times == 0 {
		return 0, nil
	}
	if at.times > 0 {
		at.times--
	}
	return at.short, at.err
}

// MkdirAll implements [journal.FS].
func (f *FS) MkdirAll(dir string) error {
	if _, err := f.do(MkdirAll); err != nil {
		return err
	}
	return f.under.MkdirAll(dir)
}

// Names implements [journal.FS].
func (f *FS) Names(dir string) ([]string, error) {
	if _, err := f.do(Names); err != nil {
		return nil, err
	}
	return f.under.Names(dir)
}

// Create implements [journal.FS].
func (f *FS) Create(name string) (journal.File, error) {
	if _, err := f.do(Create); err != nil {
		return nil, err
	}
	return f.file(name, f.under.Create)
}

// Open implements [journal.FS].
func (f *FS) Open(name string) (journal.File, error) {
	if _, err := f.do(Open); err != nil {
		return nil, err
	}
	return f.file(name, f.under.Open)
}

// OpenWrite implements [journal.FS]. It fails as Create does.
func (f *FS) OpenWrite(name string) (journal.File, error) {
	if _, err := f.do(Create); err != nil {
		return nil, err
	}
	return f.file(name, f.under.OpenWrite)
}

func (f *FS) file(name string, open func(string) (journal.File, error)) (journal.File, error) {
	under, err := open(name)
	if err != nil {
		return nil, err
	}
	return &file{File: under, fs: f, name: name}, nil
}

// Truncate implements [journal.FS].
func (f *FS) Truncate(name string, size int64) error {
	if _, err := f.do(Truncate); err != nil {
		return err
	}
	return f.under.Truncate(name, size)
}

// Rename implements [journal.FS].
func (f *FS) Rename(from, to string) error {
	if _, err := f.do(Rename); err != nil {
		return err
	}
	f.mu.Lock()
	if list, ok := f.undo[from]; ok {
		f.undo[to] = list
		delete(f.undo, from)
	}
	f.mu.Unlock()
	return f.under.Rename(from, to)
}

// Remove implements [journal.FS].
func (f *FS) Remove(name string) error {
	if _, err := f.do(Remove); err != nil {
		return err
	}
	f.mu.Lock()
	delete(f.undo, name)
	f.mu.Unlock()
	return f.under.Remove(name)
}

// SyncDir implements [journal.FS].
func (f *FS) SyncDir(dir string) error {
	if _, err := f.do(SyncDir); err != nil {
		return err
	}
	return f.under.SyncDir(dir)
}

// Lock implements [journal.FS].
func (f *FS) Lock(name string) (io.Closer, error) {
	if _, err := f.do(Lock); err != nil {
		return nil, err
	}
	return f.under.Lock(name)
}

type file struct {
	journal.File
	fs   *FS
	name string
}

// key is the name under which the file lies now: segments are renamed while they are open.
func (f *file) key() string {
	if name, ok := strings.CutSuffix(f.name, ".tmp"); ok && filepath.Ext(name) == ".journal" {
		return name
	}
	return f.name
}

func (f *file) ReadAt(b []byte, at int64) (int, error) {
	if _, err := f.fs.do(Read); err != nil {
		return 0, err
	}
	return f.File.ReadAt(b, at)
}

func (f *file) WriteAt(b []byte, at int64) (int, error) {
	short, err := f.fs.do(Write)
	if err != nil {
		b = b[:min(short, len(b))]
	}
	old := make([]byte, len(b))
	_, _ = f.File.ReadAt(old, at)
	f.fs.mu.Lock()
	f.fs.undo[f.key()] = append(f.fs.undo[f.key()], undo{at, old})
	f.fs.mu.Unlock()
	n, writeErr := f.File.WriteAt(b, at)
	if err == nil {
		err = writeErr
	}
	return n, err
}

func (f *file) Allocate(size int64) error {
	if _, err := f.fs.do(Allocate); err != nil {
		return err
	}
	return f.File.Allocate(size)
}

func (f *file) Truncate(size int64) error {
	if _, err := f.fs.do(Truncate); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

func (f *file) SyncData() error {
	_, err := f.fs.do(Sync)
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	list := f.fs.undo[f.key()]
	delete(f.fs.undo, f.key())
	if err != nil {
		for i := len(list) - 1; i >= 0; i-- {
			if _, undoErr := f.File.WriteAt(list[i].old, list[i].at); undoErr != nil {
				return undoErr
			}
		}
		return err
	}
	return f.File.SyncData()
}
