// Package sqlite keeps state in one SQLite file, owned by one process. It needs no C compiler and no server.
//
// Durability: write-ahead log with synchronous=FULL, so what a method returned from survives a power cut. With
// NORMAL the last commits could be rolled back by one, and a session somebody logged out of, or an impersonation
// somebody ended, would be alive again. Writes are rare (logins, starts, ends, a touch a minute); they can afford
// the fsync.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	sqlitedrv "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

// Options are how to open. The zero value is usable.
type Options struct {
	// BusyTimeout is how long a statement waits for another process that reads or copies the file; default 5 s.
	BusyTimeout time.Duration
	// LockWait is how long Open waits for the process that owns the file to go, as in a restart; default 5 s,
	// negative: not at all.
	LockWait time.Duration
	// Readers is how many connections read at once; default one per CPU, from 2 to 8.
	Readers int
	// Log is told about migrations; default: nobody.
	Log *slog.Logger
}

// applicationID marks the file as ours in SQLite's header ("CImp").
const applicationID = 0x43496d70

// Open opens the database at path and brings its schema up to date, creating the file (mode 0600) and its
// directory (0700) where they are missing. It fails when another process has it open, when the file is something
// else's, and when a newer version of this program has written it.
func Open(ctx context.Context, path string, o Options) (state.Store, error) {
	s, err := open(ctx, path, o)
	if err != nil {
		return nil, fmt.Errorf("opening state database %s: %w", path, err)
	}
	return s, nil
}

func open(ctx context.Context, path string, o Options) (_ *store, err error) {
	if path == "" {
		return nil, errors.New("no path given")
	}
	// Relative to where the process is now, not to where it may be when a connection is opened again.
	path, err = filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if o.BusyTimeout == 0 {
		o.BusyTimeout = 5 * time.Second
	}
	if o.LockWait == 0 {
		o.LockWait = 5 * time.Second
	}
	if o.Readers <= 0 {
		o.Readers = min(max(runtime.GOMAXPROCS(0), 2), 8)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("creating its directory: %w", err)
	}
	lock, err := lockFile(ctx, path+".lock", o.LockWait)
	if err != nil {
		return nil, err
	}
	s := &store{lock: lock}
	defer func() {
		if err != nil {
			_ = s.Close() // the first error is the one to report
		}
	}()
	if err := private(path); err != nil {
		return nil, err
	}
	if err := claim(ctx, path, o); err != nil {
		return nil, err
	}
	s.w, err = connect(path, o, true)
	if err != nil {
		return nil, err
	}
	s.w.SetMaxOpenConns(1)
	s.r, err = connect(path, o, false)
	if err != nil {
		return nil, err
	}
	s.r.SetMaxOpenConns(o.Readers)
	s.r.SetMaxIdleConns(o.Readers)
	if err := migrate(ctx, s.w, o.Log); err != nil {
		return nil, err
	}
	return s, s.dropOrphans(ctx)
}

// private creates the file if need be and sees to it that only its owner can read it: it holds the signing keys.
func private(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err == nil {
		return f.Close()
	}
	if !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("creating it: %w", err)
	}
	// SQLite gives its -wal and -shm files the mode of this one.
	fi, err := os.Stat(path)
	if err != nil {
		return err
	}
	if fi.IsDir() {
		return errors.New("it is a directory; name a file in it")
	}
	if fi.Mode().Perm()&0o077 != 0 {
		if err := os.Chmod(path, 0o600); err != nil {
			return fmt.Errorf("taking others' access away: %w", err)
		}
	}
	return nil
}

// claim marks a new file as ours and refuses one that is something else's, before anything in it is changed.
func claim(ctx context.Context, path string, o Options) error {
	db, err := sql.Open("sqlite", dsn(path, url.Values{"_busy_timeout": {strconv.FormatInt(o.BusyTimeout.Milliseconds(), 10)}}))
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	var id, tables int
	err = db.QueryRowContext(ctx, `SELECT (SELECT * FROM pragma_application_id), (SELECT count(*) FROM sqlite_schema)`).Scan(&id, &tables)
	var e *sqlitedrv.Error
	switch {
	case errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_NOTADB:
		return errors.New("the file is not a SQLite database; give state a path of its own")
	case err != nil:
		return fmt.Errorf("reading it: %w", err)
	case id == applicationID:
		return nil
	case id != 0 || tables != 0:
		return errors.New("the file is another program's database; give state a path of its own")
	}
	if _, err := db.ExecContext(ctx, fmt.Sprintf(`PRAGMA application_id = %d`, applicationID)); err != nil {
		return fmt.Errorf("marking it: %w", err)
	}
	return nil
}

func connect(path string, o Options, write bool) (*sql.DB, error) {
	q := url.Values{
		"_busy_timeout": {strconv.FormatInt(o.BusyTimeout.Milliseconds(), 10)},
		"_foreign_keys": {"1"},
		"_defensive":    {"1"},
		"_dqs":          {"0"},
		"_pragma":       {"trusted_schema(0)"},
	}
	if write {
		q.Set("_journal_mode", "WAL")
		q.Set("_synchronous", "FULL")
		// A transaction that begins by reading can't be upgraded once another has written; take the lock first.
		q.Set("_txlock", "immediate")
		q.Add("_pragma", "journal_size_limit(67108864)")
	} else {
		q.Set("_query_only", "1")
	}
	return sql.Open("sqlite", dsn(path, q))
}

// dsn escapes the path: a '?', '#' or '%' in it is part of the name.
func dsn(path string, q url.Values) string {
	p := filepath.ToSlash(path)
	if p[0] != '/' {
		p = "/" + p // a Windows drive
	}
	return (&url.URL{Scheme: "file", Path: p, RawQuery: q.Encode()}).String()
}
