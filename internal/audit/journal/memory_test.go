package journal_test

import (
	"io"
	"io/fs"
	"path/filepath"
	"sync"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit/journal"
)

// memory is a file system in memory, for tests that open very many journals.
type memory struct {
	mu    sync.Mutex
	files map[string]*memoryFile
}

func newMemory() *memory { return &memory{files: map[string]*memoryFile{}} }

func (m *memory) put(name string, content []byte) {
	m.files[name] = &memoryFile{content: append([]byte(nil), content...)}
}

func (m *memory) MkdirAll(string) error          { return nil }
func (m *memory) SyncDir(string) error           { return nil }
func (m *memory) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }

func (m *memory) Names(dir string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for name := range m.files {
		if filepath.Dir(name) == dir {
			names = append(names, filepath.Base(name))
		}
	}
	return names, nil
}

func (m *memory) Create(name string) (journal.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.files[name] = &memoryFile{}
	return m.files[name], nil
}

func (m *memory) OpenWrite(name string) (journal.File, error) {
	if f, err := m.Open(name); err == nil {
		return f, nil
	}
	return m.Create(name)
}

func (m *memory) Open(name string) (journal.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f := m.files[name]; f != nil {
		return f, nil
	}
	return nil, fs.ErrNotExist
}

func (m *memory) Truncate(name string, size int64) error {
	f, err := m.Open(name)
	if err != nil {
		return err
	}
	return f.Truncate(size)
}

func (m *memory) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.files[to] = m.files[from]
	delete(m.files, from)
	return nil
}

func (m *memory) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.files, name)
	return nil
}

type memoryFile struct {
	mu      sync.Mutex
	content []byte
}

func (f *memoryFile) Close() error    { return nil }
func (f *memoryFile) SyncData() error { return nil }

func (f *memoryFile) ReadAt(b []byte, at int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if at >= int64(len(f.content)) {
		return 0, io.EOF
	}
	n := copy(b, f.content[at:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memoryFile) WriteAt(b []byte, at int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.grow(at + int64(len(b)))
	return copy(f.content[at:], b), nil
}

func (f *memoryFile) grow(size int64) {
	if more := size - int64(len(f.content)); more > 0 {
		f.content = append(f.content, make([]byte, more)...)
	}
}

func (f *memoryFile) Allocate(size int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.grow(size)
	return nil
}

func (f *memoryFile) Truncate(size int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.grow(size)
	f.content = f.content[:size]
	return nil
}

func (f *memoryFile) Size() (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return int64(len(f.content)), nil
}
