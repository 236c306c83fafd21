// Package freeport finds addresses for servers of tests that have to know theirs before they listen, or listen again.
package freeport

import (
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// Below the ports that systems give to outgoing connections (32768 and up on Linux, 49152 on macOS): one of those may be
// taken by a connection of any test at any time.
const (
	first = 20_000
	count = 12_000
)

// Addr is host:port of a port on loopback on which nobody listens now.
func Addr(t testing.TB) string {
	t.Helper()
	var err error
	for range 100 {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(first+rand.IntN(count)))
		var l net.Listener
		if l, err = net.Listen("tcp", addr); err == nil { //nolint:noctx // at once
			l.Close()
			return addr
		}
	}
	t.Fatalf("no port is free: %v", err)
	return ""
}
