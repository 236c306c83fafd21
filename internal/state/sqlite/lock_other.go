//go:build !unix

package sqlite

import (
	"context"
	"fmt"
	"os"
	"time"
)

// lockFile creates the lock's file and no more: on this platform it is the operator who sees to it that one process
// owns the database.
func lockFile(_ context.Context, path string, _ time.Duration) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("creating its lock: %w", err)
	}
	return f, nil
}
