package caddymodule

import (
	"context"
	"errors"
	"testing"
)

func TestInflight(t *testing.T) {
	i := newInflight()
	i.enter()
	i.enter()
	i.leave()

	gone, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("waited long enough")
	cancel(cause)
	if err := i.drain(gone); !errors.Is(err, cause) {
		t.Fatalf("drain with a request under way: %v", err)
	}

	i.leave()
	<-i.empty
	i.enter() // a straggler
	i.leave()

	idle := newInflight()
	idle.enter()
	idle.leave()
	if err := idle.drain(gone); err != nil {
		t.Fatalf("drain with nothing under way: %v", err)
	}
	idle.enter()
	idle.leave()
	<-idle.empty
}
