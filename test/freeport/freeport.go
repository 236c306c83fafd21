// Package freeport finds addresses for servers of tests that have to know theirs before they listen, or listen again.
package freeport

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/seed-240d5494/caddy-impersonate/internal/filelock"
)

// Below the ports that systems give to outgoing connections (32768 and up on Linux, 49152 on macOS): one of those may be
// taken by a connection of any test at any time.
const (
	first = 20_000
	count = 12_000
)

// Addr is host:port of a port on loopback on which nobody listens now, and that no other test is given, in this process or
// another, before this one is over: a server may be down for a while and come back.
func Addr(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("impersonate-ports-%d", os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	var err error
	for range 100 {
		port := strconv.Itoa(first + rand.IntN(count))
		var lock *os.File
		if lock, err = reserve(filepath.Join(dir, port)); err != nil {
			continue
		}
		addr := net.JoinHostPort("127.0.0.1", port)
		var l net.Listener
		if l, err = net.Listen("tcp", addr); err != nil { //nolint:noctx // at once
			_ = filelock.Release(lock)
			continue
		}
		l.Close()
		t.Cleanup(func() { _ = filelock.Release(lock) })
		return addr
	}
	t.Fatalf("no port is free: %v", err)
	return ""
}

// reserve takes a port's lock, which goes with the process.
func reserve(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := filelock.Try(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	return f, nil
}
