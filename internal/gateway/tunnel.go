package gateway

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
)

// Hijack hands over the connection of an upgraded request, and remembers it: it is cut when the impersonation ends.
func (w *markingWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	head := !w.wroteHeader
	if head {
		w.take() // httputil's proxy writes the head itself, afterwards
	}
	if w.replaced {
		return nil, nil, errWithheld
	}
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	if head {
		w.wroteHeader, w.status = true, http.StatusSwitchingProtocols
	}
	if w.push != nil {
		w.push.head.expected = head
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.released, w.tunnel = true, conn
	if w.cut {
		_ = conn.Close()
	}
	t := &tunnel{Conn: conn, w: w, from: conn}
	if n := rw.Reader.Buffered(); n > 0 { // a browser need not wait for the answer
		ahead, _ := rw.Reader.Peek(n)
		t.from = io.MultiReader(bytes.NewReader(bytes.Clone(ahead)), conn)
	}
	// Whoever reads or writes by the buffers goes through the tunnel too.
	return t, bufio.NewReadWriter(bufio.NewReader(t), bufio.NewWriter(t)), nil
}

// tunnel is an upgraded connection to the browser, counted both ways.
type tunnel struct {
	net.Conn
	w    *markingWriter
	from io.Reader
}

func (t *tunnel) Read(p []byte) (int, error) {
	if t.w.push != nil {
		return t.w.push.read(p, t.read, t.write, t.Conn.SetReadDeadline)
	}
	return t.read(p)
}

func (t *tunnel) Write(p []byte) (int, error) {
	if t.w.push != nil {
		return t.w.push.write(p, t.write)
	}
	return t.write(p)
}

func (t *tunnel) read(p []byte) (int, error) {
	n, err := t.from.Read(p)
	t.w.record.up.Add(int64(n))
	return n, err
}

func (t *tunnel) write(p []byte) (int, error) {
	n, err := t.Conn.Write(p)
	t.w.bytes.Add(int64(n))
	return n, err
}

// CloseWrite half-closes, for tunnels that end one way first.
func (t *tunnel) CloseWrite() error {
	if c, ok := t.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return t.Close()
}
