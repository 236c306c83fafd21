package caddymodule

import "testing"

func TestInflight(t *testing.T) {
	i := newInflight()
	i.enter()
	i.enter()
	i.leave()
	drained := i.drain()
	select {
	case <-drained:
		t.Fatal("drained with a request under way")
	default:
	}
	i.leave()
	<-drained
	i.enter() // a straggler on a connection kept alive
	i.leave()

	idle := newInflight()
	idle.enter()
	idle.leave()
	<-idle.drain()
	idle.enter()
	idle.leave()
}
