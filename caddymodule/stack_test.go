package caddymodule

import (
	"errors"
	"slices"
	"testing"
)

func TestStack(t *testing.T) {
	var s stack[string]
	var applied []string
	apply := func(v *string) error {
		if *v == "broken" {
			return errors.New("no")
		}
		applied = append(applied, *v)
		return nil
	}
	first, second, third, broken := "first", "second", "third", "broken"
	check := func(what string, err error, want ...string) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if !slices.Equal(applied, want) {
			t.Errorf("%s: applied %q, want %q", what, applied, want)
		}
		applied = nil
	}
	check("start", s.enter(&first, apply), "first")
	check("reload", s.enter(&second, apply), "second")
	check("the old one stops", s.leave(&first, apply))
	if err := s.enter(&broken, apply); err == nil {
		t.Error("a configuration that can't be put in force entered")
	}
	check("it is stopped", s.leave(&broken, apply))
	check("another reload", s.enter(&third, apply), "third")
	check("whose other apps fail", s.leave(&third, apply), "second")
	check("the end", s.leave(&second, apply))
	check("twice", s.leave(&second, apply))
}
