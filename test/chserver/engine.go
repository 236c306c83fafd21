package main

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"unsafe"

	"github.com/ebitengine/purego"
)

// lib is the C API of libchdb, as far as it is used. A connection runs one statement at a time; several connections
// of one process share one engine and run side by side.
var lib struct {
	setSignalHandlers func(enabled int32)
	connect           func(argc int32, argv unsafe.Pointer) unsafe.Pointer
	closeConn         func(conn unsafe.Pointer)
	query             func(conn unsafe.Pointer, sql string, n uintptr, format string, fn uintptr) unsafe.Pointer
	streamQuery       func(conn unsafe.Pointer, sql string, n uintptr, format string, fn uintptr, names, nameLens, values, valueLens unsafe.Pointer, count uintptr) unsafe.Pointer
	queryParams       func(conn unsafe.Pointer, sql string, n uintptr, format string, fn uintptr, names, nameLens, values, valueLens unsafe.Pointer, count uintptr) unsafe.Pointer
	streamFetch       func(conn, stream unsafe.Pointer) unsafe.Pointer
	streamCancel      func(conn, stream unsafe.Pointer)
	insert            func(conn unsafe.Pointer, sql string, n uintptr, format string, fn uintptr, names, nameLens, values, valueLens unsafe.Pointer, count uintptr) unsafe.Pointer
	insertAppend      func(stream, data unsafe.Pointer, n uintptr) int32
	insertDone        func(stream unsafe.Pointer) unsafe.Pointer
	insertCancel      func(stream unsafe.Pointer)
	insertError       func(stream unsafe.Pointer) unsafe.Pointer
	insertDestroy     func(stream unsafe.Pointer)
	classify          func(conn unsafe.Pointer, sql string, n uintptr, db unsafe.Pointer, dbn uintptr, out unsafe.Pointer) int32
	resultError       func(r unsafe.Pointer) unsafe.Pointer
	resultBuffer      func(r unsafe.Pointer) unsafe.Pointer
	resultLength      func(r unsafe.Pointer) uintptr
	resultDestroy     func(r unsafe.Pointer)
}

// load opens the library at path.
func load(path string) error {
	h, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return fmt.Errorf("opening %s: %w", path, err)
	}
	for name, f := range map[string]any{
		"chdb_set_signal_handlers_enabled": &lib.setSignalHandlers,
		"chdb_connect":                     &lib.connect,
		"chdb_close_conn":                  &lib.closeConn,
		"chdb_query_n":                     &lib.query,
		"chdb_query_with_params_n":         &lib.queryParams,
		"chdb_stream_query_with_params_n":  &lib.streamQuery,
		"chdb_stream_fetch_result":         &lib.streamFetch,
		"chdb_stream_cancel_query":         &lib.streamCancel,
		"chdb_stream_insert_with_params_n": &lib.insert,
		"chdb_stream_append":               &lib.insertAppend,
		"chdb_stream_done":                 &lib.insertDone,
		"chdb_stream_cancel_insert":        &lib.insertCancel,
		"chdb_stream_insert_error":         &lib.insertError,
		"chdb_destroy_insert_stream":       &lib.insertDestroy,
		"chdb_classify_query_n":            &lib.classify,
		"chdb_result_error":                &lib.resultError,
		"chdb_result_buffer":               &lib.resultBuffer,
		"chdb_result_length":               &lib.resultLength,
		"chdb_destroy_query_result":        &lib.resultDestroy,
	} {
		sym, err := purego.Dlsym(h, name)
		if err != nil {
			return fmt.Errorf("looking up %s: %w", name, err)
		}
		purego.RegisterFunc(f, sym)
	}
	// The engine's handlers would catch faults that the Go runtime has to see.
	lib.setSignalHandlers(0)
	return nil
}

// engineConn is one connection to the engine: its own current database, settings and temporary tables. Not safe for
// use by several goroutines at once.
type engineConn struct {
	handle unsafe.Pointer // chdb_connection *
	conn   unsafe.Pointer // chdb_connection
}

// connect opens a connection. The first of the process starts the engine on dir, with the configuration file config
// if one is named; later ones must name the same.
func connect(dir, config string) (*engineConn, error) {
	args := []string{"clickhouse", "--path=" + dir}
	if config != "" {
		args = append(args, "--config-file="+config)
	}
	argv := make([]*byte, len(args)+1)
	for i, a := range args {
		argv[i] = &append([]byte(a), 0)[0]
	}
	h := lib.connect(int32(len(args)), unsafe.Pointer(&argv[0]))
	runtime.KeepAlive(argv)
	if h == nil {
		return nil, errors.New("the engine refused the connection")
	}
	return &engineConn{handle: h, conn: *(*unsafe.Pointer)(h)}, nil
}

func (c *engineConn) close() { lib.closeConn(c.handle) }

// query runs a statement and returns its whole result.
func (c *engineConn) query(sql, format string, p params) ([]byte, error) {
	n, nl, v, vl := p.arrays()
	r := lib.queryParams(c.conn, sql, uintptr(len(sql)), format, uintptr(len(format)), n, nl, v, vl, uintptr(len(p)))
	runtime.KeepAlive(p)
	defer lib.resultDestroy(r)
	if e := cString(lib.resultError(r)); e != "" {
		return nil, errors.New(e)
	}
	return append([]byte(nil), resultBytes(r)...), nil
}

// stream runs a SELECT and hands each piece of its result to emit, which must not keep it.
func (c *engineConn) stream(sql, format string, p params, emit func([]byte) error) error {
	n, nl, v, vl := p.arrays()
	s := lib.streamQuery(c.conn, sql, uintptr(len(sql)), format, uintptr(len(format)), n, nl, v, vl, uintptr(len(p)))
	runtime.KeepAlive(p)
	defer lib.resultDestroy(s)
	if e := cString(lib.resultError(s)); e != "" {
		return errors.New(e)
	}
	for {
		more, err := c.fetch(s, emit)
		if err != nil {
			lib.streamCancel(c.conn, s)
			return err
		}
		if !more {
			return nil
		}
	}
}

func (c *engineConn) fetch(stream unsafe.Pointer, emit func([]byte) error) (more bool, err error) {
	r := lib.streamFetch(c.conn, stream)
	defer lib.resultDestroy(r)
	if e := cString(lib.resultError(r)); e != "" {
		return false, errors.New(e)
	}
	b := resultBytes(r)
	if len(b) == 0 {
		return false, nil
	}
	return true, emit(b)
}

// insert starts an INSERT whose data follow by append.
func (c *engineConn) insert(sql, format string, p params) (*engineInsert, error) {
	n, nl, v, vl := p.arrays()
	s := lib.insert(c.conn, sql, uintptr(len(sql)), format, uintptr(len(format)), n, nl, v, vl, uintptr(len(p)))
	runtime.KeepAlive(p)
	in := &engineInsert{s}
	if err := in.err(); err != nil {
		lib.insertDestroy(s)
		return nil, err
	}
	return in, nil
}

type engineInsert struct{ stream unsafe.Pointer }

func (in *engineInsert) err() error {
	if e := cString(lib.insertError(in.stream)); e != "" {
		return errors.New(e)
	}
	return nil
}

func (in *engineInsert) append(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if lib.insertAppend(in.stream, unsafe.Pointer(&b[0]), uintptr(len(b))) != 0 {
		if err := in.err(); err != nil {
			return err
		}
		return errors.New("the engine refused the data")
	}
	return nil
}

// done commits and frees the insert.
func (in *engineInsert) done() error {
	defer lib.insertDestroy(in.stream)
	r := lib.insertDone(in.stream)
	defer lib.resultDestroy(r)
	if e := cString(lib.resultError(r)); e != "" {
		return errors.New(e)
	}
	return nil
}

// cancel gives up and frees the insert.
func (in *engineInsert) cancel() {
	lib.insertCancel(in.stream)
	lib.insertDestroy(in.stream)
}

// Classes of statements, as the engine's own parser sees them.
const (
	classRead    = 0
	classUnknown = 4
)

// classify says what a statement would do, without running it.
func (c *engineConn) classify(sql string) uint32 {
	out := [4]uint32{16, 0, 0, classUnknown} // struct_size, statement_count, flags, query_class
	if lib.classify(c.conn, sql, uintptr(len(sql)), nil, 0, unsafe.Pointer(&out)) != 0 {
		return classUnknown
	}
	return out[3]
}

// params are the values of {name:Type} in a statement.
type params []param

type param struct{ name, value string }

func (p params) arrays() (names, nameLens, values, valueLens unsafe.Pointer) {
	if len(p) == 0 {
		return nil, nil, nil, nil
	}
	n, v := make([]*byte, len(p)), make([]*byte, len(p))
	nl, vl := make([]uintptr, len(p)), make([]uintptr, len(p))
	for i, q := range p {
		n[i], nl[i] = &append([]byte(q.name), 0)[0], uintptr(len(q.name))
		v[i], vl[i] = &append([]byte(q.value), 0)[0], uintptr(len(q.value))
	}
	return unsafe.Pointer(&n[0]), unsafe.Pointer(&nl[0]), unsafe.Pointer(&v[0]), unsafe.Pointer(&vl[0])
}

func resultBytes(r unsafe.Pointer) []byte {
	n := lib.resultLength(r)
	if n == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(lib.resultBuffer(r)), n)
}

func cString(p unsafe.Pointer) string {
	if p == nil {
		return ""
	}
	n := 0
	for *(*byte)(unsafe.Add(p, n)) != 0 {
		n++
	}
	return strings.Clone(unsafe.String((*byte)(p), n))
}
