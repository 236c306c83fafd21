package caddymodule

import (
	"fmt"
	"path/filepath"

	"github.com/caddyserver/caddy/v2"
)

// resolve replaces the placeholders in a setting. The error names the option and the placeholder, never the value.
func resolve(option string, value *string) error {
	s, err := caddy.NewReplacer().ReplaceOrErr(*value, true, true)
	if err != nil {
		return fmt.Errorf("%s: %w; an environment variable must be set, a file must be there, readable and not empty", option, err)
	}
	*value = s
	return nil
}

// resolvePath replaces the placeholders in a path and makes it absolute, so that two spellings of one file are one.
func resolvePath(option string, path *string) error {
	if err := resolve(option, path); err != nil {
		return err
	}
	if *path == "" {
		return nil // the check that follows says so
	}
	abs, err := filepath.Abs(*path)
	if err != nil {
		return fmt.Errorf("%s %q: %w", option, *path, err)
	}
	*path = abs
	return nil
}
