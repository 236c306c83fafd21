//go:build !unix

package journal

import (
	"errors"
	"os"
)

func lockFile(*os.File) error { return errors.New("journals can't be locked on this system") }
