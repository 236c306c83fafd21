package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/ClickHouse/ch-go/compress"
	chproto "github.com/ClickHouse/ch-go/proto"
)

func (s *session) query() error {
	var q chproto.Query
	if err := q.DecodeAware(s.r, revision); err != nil {
		return err
	}
	s.compressed = q.Compression == chproto.CompressionEnabled
	s.in = compress.NewReader(s.br)
	method := compress.LZ4
	for _, kv := range q.Settings {
		if kv.Key == "network_compression_method" && strings.EqualFold(kv.Value, "ZSTD") {
			method = compress.ZSTD
		}
	}
	s.zw = compress.NewWriter(compress.LevelZero, method)
	external := false
	for {
		_, cols, _, err := s.readData()
		if err != nil {
			return err
		}
		if cols == 0 {
			break
		}
		external = true
	}
	if external {
		return s.exception(&engineError{codeNotImplemented, "External tables are not served"})
	}
	p, err := parameters(q.Parameters)
	if err != nil {
		return s.exception(err)
	}
	restore, err := s.set(q.Settings)
	if err != nil {
		return s.exception(err)
	}
	defer restore()
	if sql, table, columns, ok := dataInsert(q.Body); ok {
		return s.insert(sql, table, columns, p)
	}
	sql := strings.TrimRight(strings.TrimSpace(q.Body), "; \n\t")
	if s.server.onCluster {
		if sql, err = s.here(sql); err != nil {
			return s.exception(err)
		}
	}
	done := s.watch()
	err = s.execute(sql, p)
	done()
	return err
}

// here is what a statement ON CLUSTER is on each of its servers, of a cluster that has no other than this.
func (s *session) here(sql string) (string, error) {
	alone, cluster, ok := onCluster(sql)
	if !ok {
		return sql, nil
	}
	out, err := s.engine.query("SELECT count() > 0, min(is_local) FROM system.clusters WHERE cluster = "+quote(cluster), "TSV", nil)
	if err != nil {
		return "", err
	}
	switch strings.TrimSpace(string(out)) {
	case "0\t0":
		return "", &engineError{codeNoCluster, "Requested cluster '" + cluster + "' not found"}
	case "1\t1":
		return alone, nil
	}
	return "", &engineError{codeNotImplemented, "Cluster '" + cluster + "' has other servers than this"}
}

// execute runs a statement that is whole in its text, and sends its result.
func (s *session) execute(sql string, p params) error {
	sent := false
	var wire error // the client went away
	emit := func(b []byte) error {
		r := bytes.NewReader(b)
		for {
			block, err := toWire(nil, r)
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return &engineError{codeNotImplemented, err.Error()}
			}
			sent = true
			if wire = s.sendBlock(block); wire != nil {
				return wire
			}
		}
	}
	read := s.engine.classify(sql) == classRead
	err := errNotStreamable
	if read {
		err = s.engine.stream(sql, "Native", p, emit)
	}
	if notStreamable(err) {
		var out []byte
		if out, err = s.engine.query(sql, "Native", p); err == nil {
			err = emit(out)
		}
	}
	if wire != nil {
		return wire
	}
	if err != nil {
		return s.exception(err)
	}
	if read && !sent { // the engine writes nothing for no rows, but the client wants to know the columns
		if header, err := s.header(sql, p); err == nil {
			if err := s.sendBlock(header); err != nil {
				return err
			}
		}
	}
	return s.endOfStream()
}

var errNotStreamable = errors.New("Streaming query is not supported") //nolint:staticcheck // the engine's words

// notStreamable tells a statement that the streaming interface takes only whole. It was refused before it ran.
func notStreamable(err error) bool {
	return err != nil && strings.Contains(err.Error(), errNotStreamable.Error())
}

// header returns the block without rows that names the columns of a SELECT.
func (s *session) header(sql string, p params) ([]byte, error) {
	out, err := s.engine.query("DESCRIBE ("+sql+"\n)", "TSV", p)
	if err != nil {
		return nil, err
	}
	var b chproto.Buffer
	b.PutRaw(blockInfo)
	lines := strings.Split(strings.TrimRight(string(out), "\n"), "\n")
	b.PutUVarInt(uint64(len(lines)))
	b.PutUVarInt(0)
	for _, l := range lines {
		f := strings.Split(l, "\t")
		if len(f) < 2 {
			return nil, fmt.Errorf("unexpected description %q", l)
		}
		b.PutString(unescapeTSV(f[0]))
		b.PutString(unescapeTSV(f[1]))
		b.PutByte(0) // no custom serialization
	}
	return b.Buf, nil
}

// set applies a statement's settings to the session; restore takes them back.
func (s *session) set(settings []chproto.Setting) (restore func(), err error) {
	var on, off []string
	for _, kv := range settings {
		if !identifier(kv.Key) {
			return nil, &engineError{115, "Bad name of a setting: " + kv.Key}
		}
		on = append(on, kv.Key+" = "+quote(kv.Value))
		if kv.Key == "log_comment" { // it is the mark
			off = append(off, kv.Key+" = "+quote(s.mark))
			continue
		}
		off = append(off, kv.Key+" = DEFAULT")
	}
	if len(on) == 0 {
		return func() {}, nil
	}
	restore = func() {
		if _, err := s.engine.query("SET "+strings.Join(off, ", "), "Null", nil); err != nil {
			fmt.Fprintf(os.Stderr, "chserver: taking back settings: %v\n", err)
		}
	}
	if _, err := s.engine.query("SET "+strings.Join(on, ", "), "Null", nil); err != nil {
		return nil, err
	}
	return restore, nil
}

// parameters takes off the quotes that the protocol puts around a parameter's value; what is inside is the escaped
// text that the engine expects.
func parameters(in []chproto.Parameter) (params, error) {
	var out params
	for _, p := range in {
		v := p.Value
		if len(v) < 2 || v[0] != '\'' || v[len(v)-1] != '\'' {
			return nil, &engineError{457, "Parameter " + p.Key + " is not quoted"}
		}
		var b strings.Builder
		for i := 1; i < len(v)-1; i++ {
			if v[i] == '\\' && i+1 < len(v)-1 {
				i++
				switch v[i] {
				case 'n':
					b.WriteByte('\n')
					continue
				case 't':
					b.WriteByte('\t')
					continue
				}
			}
			b.WriteByte(v[i])
		}
		out = append(out, param{p.Key, b.String()})
	}
	return out, nil
}

// watch looks out, while a statement runs, for the client cancelling it or going away, and then kills it. done ends
// the look-out; what the client sent meanwhile stays to be read.
func (s *session) watch() (done func()) {
	ended, finished := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(finished)
		b, err := s.br.Peek(1)
		select {
		case <-ended:
			return
		default:
		}
		if err != nil || chproto.ClientCode(b[0]) == chproto.ClientCodeCancel {
			s.server.kill(s.mark)
		}
	}()
	return func() {
		close(ended)
		_ = s.conn.SetReadDeadline(time.Unix(1, 0)) // wakes Peek
		<-finished
		_ = s.conn.SetReadDeadline(time.Time{})
	}
}
