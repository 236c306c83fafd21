package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// The Native format of a file or of the engine (revision 0) and a block of the protocol differ only in framing: the
// protocol puts a block info before the block and, since revision 54454, a byte per column before its data. So blocks
// are copied through, not decoded: whatever the type, the client gets the engine's own bytes.

const (
	maxColumns    = 10_000
	maxRows       = 50_000_000
	maxBlockBytes = 1 << 30
)

// byteSource is where a block is read from: a bufio.Reader, or a bytes.Reader.
type byteSource interface {
	io.Reader
	io.ByteReader
}

// blockCopier copies one block from src to dst, adding or removing the framing of the protocol.
type blockCopier struct {
	src byteSource
	dst []byte
	// keep is false while bytes are read that do not go to dst.
	keep bool
}

// toNative reads a block of the protocol and returns it in Native format; cols is 0 for the empty block that ends a
// stream of data.
func toNative(src byteSource) (native []byte, cols, rows uint64, err error) {
	c := &blockCopier{src: src}
	if err := c.blockInfo(); err != nil {
		return nil, 0, 0, fmt.Errorf("reading block info: %w", err)
	}
	c.keep = true
	cols, rows, err = c.body(true, false)
	return c.dst, cols, rows, err
}

// toWire reads a block in Native format and appends it to dst as a block of the protocol.
func toWire(dst []byte, src byteSource) ([]byte, error) {
	dst = append(dst, blockInfo...)
	c := &blockCopier{src: src, dst: dst, keep: true}
	_, _, err := c.body(false, true)
	return c.dst, err
}

// blockInfo is: field 1 is_overflows=false, field 2 bucket_num=-1, end.
var blockInfo = []byte{1, 0, 2, 0xff, 0xff, 0xff, 0xff, 0}

func (c *blockCopier) blockInfo() error {
	for {
		field, err := c.uvarint()
		if err != nil {
			return err
		}
		switch field {
		case 0:
			return nil
		case 1:
			err = c.bytes(1)
		case 2:
			err = c.bytes(4)
		default:
			err = fmt.Errorf("unknown field %d", field)
		}
		if err != nil {
			return err
		}
	}
}

func (c *blockCopier) body(customIn, customOut bool) (cols, rows uint64, err error) {
	if cols, err = c.uvarint(); err != nil {
		return 0, 0, err
	}
	if rows, err = c.uvarint(); err != nil {
		return 0, 0, unexpected(err)
	}
	if cols > maxColumns || rows > maxRows {
		return 0, 0, fmt.Errorf("block of %d columns and %d rows is too large", cols, rows)
	}
	for range cols {
		if _, err := c.string(); err != nil {
			return 0, 0, unexpected(err)
		}
		typ, err := c.string()
		if err != nil {
			return 0, 0, unexpected(err)
		}
		if customIn {
			b, err := c.src.ReadByte()
			if err != nil {
				return 0, 0, unexpected(err)
			}
			if b != 0 {
				return 0, 0, errors.New("custom serialization is not served")
			}
		}
		if customOut {
			c.dst = append(c.dst, 0)
		}
		if rows == 0 {
			continue
		}
		t, err := parseType(typ)
		if err != nil {
			return 0, 0, err
		}
		if err := c.prefix(t); err != nil {
			return 0, 0, unexpected(err)
		}
		if err := c.data(t, rows); err != nil {
			return 0, 0, unexpected(err)
		}
	}
	return cols, rows, nil
}

// prefix copies what stands before a column's data: the version of each LowCardinality in it.
func (c *blockCopier) prefix(t *chType) error {
	if t.kind == kindLowCardinality {
		return c.bytes(8)
	}
	for _, a := range t.args {
		if err := c.prefix(a); err != nil {
			return err
		}
	}
	return nil
}

func (c *blockCopier) data(t *chType, rows uint64) error {
	if rows > maxRows {
		return errors.New("column is too long")
	}
	switch t.kind {
	case kindFixed:
		return c.bytes(rows * uint64(t.size))
	case kindString:
		for range rows {
			n, err := c.uvarint()
			if err != nil {
				return err
			}
			if err := c.bytes(n); err != nil {
				return err
			}
		}
		return nil
	case kindNullable:
		if err := c.bytes(rows); err != nil {
			return err
		}
		return c.data(t.args[0], rows)
	case kindArray:
		var last uint64
		for range rows {
			n, err := c.uint64()
			if err != nil {
				return err
			}
			last = n
		}
		return c.data(t.args[0], last)
	case kindTuple:
		if len(t.args) == 0 {
			return c.bytes(rows)
		}
		for _, a := range t.args {
			if err := c.data(a, rows); err != nil {
				return err
			}
		}
		return nil
	default:
		return c.lowCardinality(t, rows)
	}
}

func (c *blockCopier) lowCardinality(t *chType, rows uint64) error {
	const hasAdditionalKeys = 1 << 9
	for rows > 0 {
		flags, err := c.uint64()
		if err != nil {
			return err
		}
		if flags&hasAdditionalKeys == 0 {
			return errors.New("shared dictionaries are not served")
		}
		keys, err := c.uint64()
		if err != nil {
			return err
		}
		dict := t.args[0]
		if dict.kind == kindNullable {
			dict = dict.args[0] // the dictionary's first entry stands for NULL
		}
		if err := c.data(dict, keys); err != nil {
			return err
		}
		n, err := c.uint64()
		if err != nil {
			return err
		}
		width := flags & 0xff // 0…3: indexes of 1, 2, 4, 8 bytes
		if width > 3 || n == 0 || n > rows {
			return errors.New("broken LowCardinality")
		}
		if err := c.bytes(n << width); err != nil {
			return err
		}
		rows -= n
	}
	return nil
}

func (c *blockCopier) bytes(n uint64) error {
	if n > maxBlockBytes || uint64(len(c.dst))+n > maxBlockBytes {
		return errors.New("block is too large")
	}
	if !c.keep {
		_, err := io.CopyN(io.Discard, c.src, int64(n))
		return err
	}
	// In steps, so that a length that lies costs no more memory than the bytes that really come.
	for n > 0 {
		step := min(n, 1<<20)
		at := len(c.dst)
		c.dst = slices.Grow(c.dst, int(step))[:at+int(step)]
		if _, err := io.ReadFull(c.src, c.dst[at:]); err != nil {
			return err
		}
		n -= step
	}
	return nil
}

func (c *blockCopier) uint64() (uint64, error) {
	at := len(c.dst)
	if err := c.bytes(8); err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(c.dst[at:]), nil
}

func (c *blockCopier) uvarint() (uint64, error) {
	v, err := binary.ReadUvarint(c.src)
	if err == nil && c.keep {
		c.dst = binary.AppendUvarint(c.dst, v)
	}
	return v, err
}

func (c *blockCopier) string() (string, error) {
	n, err := c.uvarint()
	if err != nil {
		return "", err
	}
	at := len(c.dst)
	if err := c.bytes(n); err != nil {
		return "", err
	}
	return string(c.dst[at:]), nil
}

// unexpected tells a block that breaks off from a stream that ended before a block.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
