// Package filelock keeps two processes from using the same files: a journal, a state database.
package filelock

import (
	"errors"
	"os"
)

// ErrHeld is returned when another process, or another open file of this one, has the lock.
var ErrHeld = errors.New("another process has it locked")

// Try takes the lock of an open file, which is there until [Release] and goes with the process, however that dies.
// Where the system has no such locks the error is an [errors.ErrUnsupported].
func Try(f *os.File) error { return try(f) }

// Release gives up the lock and closes the file. Closing alone would not do: a child that the process is just
// starting has a copy of each open file until its exec, and an flock is there until the last copy is closed.
func Release(f *os.File) error {
	return errors.Join(unlock(f), f.Close())
}
