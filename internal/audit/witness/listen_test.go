package witness_test

import (
	"io"
	"net"
	"testing"
)

// listen takes one message on a socket.
func listen(t *testing.T, network, path string, got chan<- string) {
	t.Helper()
	if network == "unixgram" {
		c, err := net.ListenUnixgram(network, &net.UnixAddr{Name: path, Net: network})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		go func() {
			b := make([]byte, 64<<10)
			n, err := c.Read(b)
			if err != nil {
				t.Error(err)
			}
			got <- string(b[:n])
		}()
		return
	}
	l, err := net.Listen(network, path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		c, err := l.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		b, err := io.ReadAll(c)
		if err != nil {
			t.Error(err)
		}
		got <- string(b)
	}()
}
