package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path/filepath"
)

// Cell is a small value in a file, replaced durably and as a whole. It has two slots that are written in turn, in
// place: so a replacement that a crash tears leaves the value before it, and, unlike a new file, needs no space on a
// full disk: a shipper must be able to note how far it is, or what it shipped could never be deleted.
//
//	slot = crc32c[4] length[4] generation[8] value, padded with zeros to 4096 bytes
type Cell struct {
	f          File
	generation uint64
}

const (
	cellSlot   = 4096
	cellHeader = 16
	// MaxCell is the longest value of a Cell.
	MaxCell = cellSlot - cellHeader
)

// OpenCell opens a cell, making it where it is not there, and returns its value: nil when it never had one. damaged
// tells that it had one, but none of the slots is whole.
func OpenCell(fsys FS, name string) (c *Cell, value []byte, damaged bool, err error) {
	f, err := fsys.OpenWrite(name)
	if err != nil {
		return nil, nil, false, err
	}
	c = &Cell{f: f}
	value, damaged, err = c.read()
	if err == nil && value == nil && !damaged {
		// Now, so that no write needs space later.
		if _, err = f.WriteAt(make([]byte, 2*cellSlot), 0); err == nil {
			err = f.SyncData()
		}
		if err == nil {
			err = fsys.SyncDir(filepath.Dir(name))
		}
	}
	if err != nil {
		f.Close()
		return nil, nil, false, err
	}
	return c, value, damaged, nil
}

// ReadCell reads a cell's value without changing anything.
func ReadCell(fsys FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	value, _, err := (&Cell{f: f}).read()
	return value, err
}

func (c *Cell) read() (value []byte, damaged bool, err error) {
	b := make([]byte, 2*cellSlot)
	n, err := c.f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, false, err
	}
	for at := 0; at < n; at += cellSlot {
		slot := b[at:min(at+cellSlot, n)]
		if len(bytes.Trim(slot, "\x00")) == 0 {
			continue
		}
		if len(slot) < cellHeader {
			damaged = true
			continue
		}
		length := binary.LittleEndian.Uint32(slot[4:])
		generation := binary.LittleEndian.Uint64(slot[8:])
		if int64(length) > int64(len(slot)-cellHeader) ||
			crc32.Checksum(slot[4:cellHeader+length], castagnoli) != binary.LittleEndian.Uint32(slot) {
			damaged = true
			continue
		}
		if generation > c.generation {
			c.generation, value = generation, bytes.Clone(slot[cellHeader:cellHeader+length])
		}
	}
	return value, damaged && value == nil, nil
}

// Set replaces the value. After an error the value is the one before or this one.
func (c *Cell) Set(value []byte) error {
	if len(value) > MaxCell {
		return fmt.Errorf("%d bytes are too long for a cell", len(value))
	}
	slot := make([]byte, cellSlot)
	binary.LittleEndian.PutUint32(slot[4:], uint32(len(value)))
	binary.LittleEndian.PutUint64(slot[8:], c.generation+1)
	copy(slot[cellHeader:], value)
	binary.LittleEndian.PutUint32(slot, crc32.Checksum(slot[4:cellHeader+len(value)], castagnoli))
	// The slot that holds the value now is not touched.
	if _, err := c.f.WriteAt(slot, int64((c.generation+1)%2)*cellSlot); err != nil {
		return err
	}
	if err := c.f.SyncData(); err != nil {
		return err
	}
	c.generation++
	return nil
}

// Close lets go of the file.
func (c *Cell) Close() error { return c.f.Close() }
