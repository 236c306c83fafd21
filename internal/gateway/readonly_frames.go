package gateway

import (
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// pushOnly is a WebSocket in read_only. The app may send; the browser only what keeps the connection alive or closes
// it (RFC 6455 section 5.5). At its first frame of data the connection is closed, with a code and words that say why:
// dropping the frame would leave a page that believes it was heard.
type pushOnly struct {
	refused atomic.Bool

	// mu guards the way down, and orders what is written there.
	mu      sync.Mutex
	down    frameWalker
	head    headWalker // in front of the first frame
	closing bool       // the close frame follows the frame under way
	closed  bool       // it is sent; nothing comes after it

	// The way up has one reader.
	up  frameWalker
	bye []byte // what is left of the app's close frame
}

// errReadOnly ends a tunnel by which the browser tried to send.
var errReadOnly = errors.New("nothing may be sent in read_only")

// goodbyeWithin bounds how long a browser is waited for to close a WebSocket from its side, so that it gets to read
// why: closing at once, with its data unread, could reset the connection before (RFC 6455 section 7.1.1).
const goodbyeWithin = time.Second

const (
	opClose = 8
	opPong  = 10
)

// policyViolation is a close frame of code 1008 (RFC 6455 section 7.4.1).
var policyViolation = func() []byte {
	const why = "read_only: nothing can be sent while you are only looking"
	return append([]byte{0x80 | opClose, 2 + byte(len(why)), 1008 >> 8, 1008 & 0xff}, why...)
}()

// goingAway is a close frame of code 1001 as a client sends it: masked, here with zeros.
var goingAway = []byte{0x80 | opClose, 0x80 | 2, 0, 0, 0, 0, 1001 >> 8, 1001 & 0xff}

// guard closes the way up of the WebSocket that is asked for, unless the operator calls it safe.
func (w *markingWriter) guard() {
	if !isWebSocket(w.request) || w.site.safe.grants(w.request) {
		return
	}
	w.push = new(pushOnly)
	if w.request.Method == http.MethodConnect {
		w.request.Body = guardedBody{w.request.Body, w}
	}
}

// isWebSocket tells a handshake by GET (RFC 6455) or by extended CONNECT (RFC 8441, RFC 9220).
func isWebSocket(r *http.Request) bool {
	if r.Method == http.MethodConnect {
		return overConnect(r)
	}
	upgrade := r.Header["Upgrade"]
	return r.Method == http.MethodGet && r.ContentLength == 0 && len(upgrade) == 1 && strings.EqualFold(upgrade[0], "websocket")
}

func overConnect(r *http.Request) bool {
	if r.ProtoMajor == 3 {
		return r.Proto == "websocket"
	}
	protocol := r.Header[":protocol"]
	return len(protocol) == 1 && protocol[0] == "websocket"
}

// read passes on what the browser may send. From reads from the browser, to writes to it, limit bounds from's time.
func (g *pushOnly) read(p []byte, from, to func([]byte) (int, error), limit func(time.Time) error) (int, error) {
	if g.refused.Load() {
		if len(g.bye) == 0 {
			return 0, errReadOnly
		}
		n := copy(p, g.bye)
		g.bye = g.bye[n:]
		return n, nil
	}
	n, err := from(p)
	ok, _ := g.up.control(p[:n])
	if ok == n {
		return n, err
	}
	g.refuse(to)
	if limit(time.Now().Add(goodbyeWithin)) == nil {
		g.drain(p[ok:n], from)
	}
	g.bye = goingAway
	if ok == 0 {
		return g.read(p, from, to, limit)
	}
	return ok, nil
}

// refuse sends the close frame, at the end of the frame that is under way to the browser.
func (g *pushOnly) refuse(to func([]byte) (int, error)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refused.Store(true)
	if g.closing = g.head.under() || g.down.under(); !g.closing {
		_, _ = to(policyViolation) // a browser that has gone needs none
		g.closed = true
	}
}

// drain throws away what the browser still sends, up to its own close frame.
func (g *pushOnly) drain(rest []byte, from func([]byte) (int, error)) {
	buf := make([]byte, 4<<10)
	for {
		for len(rest) > 0 {
			rest = rest[g.up.take(rest):]
			if !g.up.under() && g.up.op() == opClose {
				return
			}
		}
		n, err := from(buf)
		if rest = buf[:n]; err != nil {
			return
		}
	}
}

// write passes on what the app sends.
func (g *pushOnly) write(p []byte, to func([]byte) (int, error)) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.closed:
		return len(p), nil
	case g.closing:
		n := g.head.take(p)
		if !g.head.under() {
			n += g.down.take(p[n:])
		}
		if _, err := to(p[:n]); err != nil {
			return 0, err
		}
		if !g.head.under() && !g.down.under() {
			_, err := to(policyViolation)
			g.closed = true
			return len(p), err
		}
		return len(p), nil
	}
	n, err := to(p)
	for rest := p[g.head.take(p[:n]):n]; len(rest) > 0; {
		rest = rest[g.down.take(rest):]
	}
	return n, err
}

// frameWalker finds the frames in a stream (RFC 6455 section 5.2), however it is cut to pieces.
type frameWalker struct {
	head [10]byte // of the frame under way, or the last: up to and including its length
	have int
	left uint64 // mask and payload still to come
}

// under tells whether a frame is under way.
func (f *frameWalker) under() bool { return f.have > 0 || f.left > 0 }

func (f *frameWalker) op() byte { return f.head[0] & 0x0f }

// take is how much of p belongs to the frame under way, or to the next.
func (f *frameWalker) take(p []byte) int {
	i := 0
	for f.left == 0 {
		if i == len(p) {
			return i
		}
		if f.have == 0 {
			f.head[1] = 0
		}
		f.head[f.have] = p[i]
		f.have++
		i++
		if !f.measure() {
			continue
		}
		if f.left == 0 {
			return i
		}
	}
	if rest := uint64(len(p) - i); rest <= f.left {
		f.left -= rest
		return len(p)
	}
	i += int(f.left) // less than what is left of p
	f.left = 0
	return i
}

// measure reads the length, once it is there.
func (f *frameWalker) measure() bool {
	length, need := uint64(f.head[1]&0x7f), 2
	switch length {
	case 126:
		need = 4
		length = uint64(binary.BigEndian.Uint16(f.head[2:]))
	case 127:
		need = 10
		length = binary.BigEndian.Uint64(f.head[2:])
	}
	if f.have < need {
		return false
	}
	f.have = 0
	if f.head[1]&0x80 != 0 {
		length += 4
	}
	f.left = length
	return true
}

// control is how much of p is of control frames, before anything else.
func (f *frameWalker) control(p []byte) (n int, ok bool) {
	for n < len(p) {
		before := *f
		took := f.take(p[n:])
		if op := f.op(); op < opClose || op > opPong || f.head[0]&0x80 == 0 || f.head[1]&0x7f > 125 {
			*f = before
			return n, false
		}
		n += took
	}
	return n, true
}

// headWalker finds the end of an answer's head that is written to the tunnel itself, as net/http/httputil does.
type headWalker struct {
	expected bool
	matched  int // of the end
}

var headEnd = []byte("\r\n\r\n")

func (h *headWalker) under() bool { return h.expected }

func (h *headWalker) take(p []byte) int {
	for i, c := range p {
		if !h.expected {
			return i
		}
		switch c {
		case headEnd[h.matched]:
			h.matched++
		case headEnd[0]:
			h.matched = 1
		default:
			h.matched = 0
		}
		h.expected = h.matched < len(headEnd)
	}
	return len(p)
}

// guardedBody is the way up of a WebSocket over HTTP/2 or HTTP/3.
type guardedBody struct {
	io.ReadCloser
	w *markingWriter
}

func (b guardedBody) Read(p []byte) (int, error) {
	return b.w.push.read(p, b.ReadCloser.Read, b.w.writeNow, http.NewResponseController(b.w.ResponseWriter).SetReadDeadline)
}
