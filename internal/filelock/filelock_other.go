//go:build !unix

package filelock

import (
	"errors"
	"fmt"
	"os"
)

func try(f *os.File) error { return fmt.Errorf("locking %s: %w", f.Name(), errors.ErrUnsupported) }

func unlock(*os.File) error { return nil }
