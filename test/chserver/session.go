package main

import (
	"bufio"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/ch-go/compress"
	chproto "github.com/ClickHouse/ch-go/proto"
)

// session is one client's connection, with a connection to the engine of its own.
type session struct {
	server *server
	conn   net.Conn
	br     *bufio.Reader
	r      *chproto.Reader // reads br
	w      chproto.Buffer
	engine *engineConn
	// mark is in log_comment while a statement runs, so that it can be found and killed.
	mark string

	// Of the statement being served:
	compressed bool
	in         *compress.Reader // decompresses br
	zw         *compress.Writer
}

func (s *session) run() error {
	if err := s.conn.SetReadDeadline(time.Now().Add(helloTimeout)); err != nil {
		return err
	}
	if err := s.hello(); err != nil {
		return err
	}
	if err := s.conn.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	for {
		code, err := s.r.UVarInt()
		if err != nil {
			return err
		}
		s.server.gate.wait()
		switch chproto.ClientCode(code) {
		case chproto.ClientCodePing:
			chproto.ServerCodePong.Encode(&s.w)
			err = s.flush()
		case chproto.ClientCodeQuery:
			err = s.query()
		case chproto.ClientCodeCancel: // of a statement that has ended meanwhile
		default:
			err = errors.Join(s.exception(&engineError{codeUnknownPacket, fmt.Sprintf("Unknown packet %d from client", code)}),
				fmt.Errorf("packet %d is not served", code))
		}
		if err != nil {
			return err
		}
	}
}

func (s *session) hello() error {
	code, err := s.r.UVarInt()
	if err != nil {
		return err
	}
	if chproto.ClientCode(code) != chproto.ClientCodeHello {
		return fmt.Errorf("packet %d before hello", code)
	}
	var hello chproto.ClientHello
	if err := hello.Decode(s.r); err != nil {
		return err
	}
	if hello.ProtocolVersion < revision {
		return fmt.Errorf("client speaks revision %d, older than %d", hello.ProtocolVersion, revision)
	}
	s.server.gate.wait()
	if !s.server.allows(hello.User, hello.Password) {
		return s.exception(&engineError{codeAuthFailed, hello.User + ": Authentication failed: password is incorrect, or there is no user with such name."})
	}
	if s.engine, err = connect(s.server.data, s.server.config); err != nil {
		return err
	}
	if _, err := s.engine.query("SET log_comment = "+quote(s.mark), "Null", nil); err != nil {
		return err
	}
	if hello.Database != "" {
		if _, err := s.engine.query("USE "+backquote(hello.Database), "Null", nil); err != nil {
			return s.exception(err)
		}
	}
	v := strings.Split(s.server.version+".0.0.0", ".")
	major, _ := strconv.Atoi(v[0])
	minor, _ := strconv.Atoi(v[1])
	patch, _ := strconv.Atoi(v[2])
	h := chproto.ServerHello{Name: "ClickHouse", Major: major, Minor: minor, Patch: patch, Revision: revision, Timezone: "UTC", DisplayName: "chserver"}
	h.EncodeAware(&s.w, revision)
	if err := s.flush(); err != nil {
		return err
	}
	_, err = s.r.Str() // addendum: quota key
	return err
}

func (s *server) allows(user, password string) bool {
	if s.user == "" {
		return true
	}
	u := subtle.ConstantTimeCompare([]byte(user), []byte(s.user))
	p := subtle.ConstantTimeCompare([]byte(password), []byte(s.password))
	return u&p == 1
}

// flush sends what is in w, unless the server hangs.
func (s *session) flush() error {
	s.server.gate.wait()
	_, err := s.conn.Write(s.w.Buf)
	s.w.Reset()
	return err
}

func (s *session) endOfStream() error {
	chproto.ServerCodeEndOfStream.Encode(&s.w)
	return s.flush()
}

// engineError is an exception with the engine's code.
type engineError struct {
	code int
	msg  string
}

func (e *engineError) Error() string { return e.msg }

var codeRe = regexp.MustCompile(`^(?:Code: (\d+)\. DB::Exception: )+`)

// asEngineError finds the code in the engine's text, which may be wrapped in it several times.
func asEngineError(err error) *engineError {
	var e *engineError
	if errors.As(err, &e) {
		return e
	}
	e = &engineError{codeUnknown, err.Error()}
	if m := codeRe.FindStringSubmatch(e.msg); m != nil {
		e.code, _ = strconv.Atoi(m[1])
		e.msg = e.msg[len(m[0]):]
	}
	return e
}

func (s *session) exception(err error) error {
	e := asEngineError(err)
	s.w.Reset()
	chproto.ServerCodeException.Encode(&s.w)
	s.w.PutInt32(int32(e.code))
	s.w.PutString("DB::Exception")
	s.w.PutString("DB::Exception: " + e.msg)
	s.w.PutString("") // stack trace
	s.w.PutBool(false)
	return s.flush()
}

// sendBlock sends one block, already framed for the wire.
func (s *session) sendBlock(block []byte) error {
	chproto.ServerCodeData.Encode(&s.w)
	s.w.PutString("") // table
	if s.compressed {
		if err := s.zw.Compress(block); err != nil {
			return fmt.Errorf("compressing: %w", err)
		}
		block = s.zw.Data
	}
	s.w.PutRaw(block)
	return s.flush()
}

// readData reads a data packet and returns its block in Native format. cols is 0 at the end of the data.
func (s *session) readData() (block []byte, cols, rows uint64, err error) {
	code, err := s.r.UVarInt()
	if err != nil {
		return nil, 0, 0, err
	}
	switch chproto.ClientCode(code) {
	case chproto.ClientCodeData:
	case chproto.ClientCodeCancel:
		return nil, 0, 0, errCancelled
	default:
		return nil, 0, 0, fmt.Errorf("packet %d where data was expected", code)
	}
	if _, err := s.r.Str(); err != nil { // table
		return nil, 0, 0, err
	}
	if !s.compressed {
		return toNative(s.br)
	}
	return toNative(&byteReader{r: s.in})
}

var errCancelled = errors.New("cancelled by the client")

// byteReader adds ReadByte to the decompressor, and turns its wrapped errors into io's.
type byteReader struct {
	r   *compress.Reader
	one [1]byte
}

func (b *byteReader) Read(p []byte) (int, error) { return b.r.Read(p) }

func (b *byteReader) ReadByte() (byte, error) {
	_, err := b.r.Read(b.one[:])
	return b.one[0], err
}

func quote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

func backquote(s string) string {
	return "`" + strings.NewReplacer(`\`, `\\`, "`", "\\`").Replace(s) + "`"
}
