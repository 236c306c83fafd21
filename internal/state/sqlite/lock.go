package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/filelock"
)

// lockFile takes the lock that makes this process the owner of the database. Sessions are cached by the process
// that owns them; with two, one would honour a session that the other has logged out. The lock goes with the
// process, however it dies; the file stays. On a system without such locks it is the operator who sees to it that one
// process owns the database.
func lockFile(ctx context.Context, path string, wait time.Duration) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("creating its lock: %w", err)
	}
	deadline := time.Now().Add(wait)
	for {
		err := filelock.Try(f)
		switch {
		case err == nil, errors.Is(err, errors.ErrUnsupported):
			return f, nil
		case !errors.Is(err, filelock.ErrHeld):
			_ = f.Close()
			return nil, fmt.Errorf("locking it: %w", err)
		case !time.Now().Before(deadline):
			_ = f.Close()
			return nil, errors.New("another process has it open: stop that one, or give this one a path of its own")
		}
		select {
		case <-ctx.Done():
			_ = f.Close()
			return nil, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}
