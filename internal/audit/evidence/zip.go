package evidence

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// file is one of a pack's.
type file struct {
	name string
	data []byte
}

// maxZip is what the format takes without its later extensions.
const maxZip = 1<<32 - 1

// stored is the one zip that holds these files in this order: not compressed, without times, extras or comments. So that
// whoever has the files can tell whether any byte of the zip is another.
func stored(files []file) ([]byte, error) {
	var body, directory []byte
	le := binary.LittleEndian
	for _, f := range files {
		if len(body)+len(f.data) > maxZip-(1<<20) || len(files) > 1000 {
			return nil, errors.New("the pack is larger than a zip may be")
		}
		head := []byte{20, 0, 0, 8, 0, 0, 0, 0, 33, 0} // version 2.0; UTF-8 names; stored; 1980-01-01
		head = le.AppendUint32(head, crc32.ChecksumIEEE(f.data))
		head = le.AppendUint32(head, uint32(len(f.data)))
		head = le.AppendUint32(head, uint32(len(f.data)))
		head = le.AppendUint16(head, uint16(len(f.name)))
		head = append(head, 0, 0)
		directory = append(directory, "PK\x01\x02\x14\x00"...)
		directory = append(directory, head...)
		directory = append(directory, make([]byte, 10)...)
		directory = le.AppendUint32(directory, uint32(len(body)))
		directory = append(directory, f.name...)
		body = append(body, "PK\x03\x04"...)
		body = append(append(append(body, head...), f.name...), f.data...)
	}
	end := append([]byte("PK\x05\x06"), 0, 0, 0, 0)
	end = le.AppendUint16(end, uint16(len(files)))
	end = le.AppendUint16(end, uint16(len(files)))
	end = le.AppendUint32(end, uint32(len(directory)))
	end = le.AppendUint32(end, uint32(len(body)))
	end = append(end, 0, 0)
	return append(append(body, directory...), end...), nil
}

// unstored takes such a zip apart, and only such a one.
func unstored(zip []byte) (files []file, err error) {
	le := binary.LittleEndian
	rest := zip
	for bytes.HasPrefix(rest, []byte("PK\x03\x04")) {
		if len(rest) < 30 {
			return nil, errNoPack
		}
		size, name := int64(le.Uint32(rest[18:])), int64(le.Uint16(rest[26:]))
		if int64(len(rest)) < 30+name+size {
			return nil, errNoPack
		}
		files = append(files, file{string(rest[30 : 30+name]), rest[30+name : 30+name+size]})
		rest = rest[30+name+size:]
	}
	again, err := stored(files)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, zip) {
		at := 0
		for at < len(zip) && at < len(again) && zip[at] == again[at] {
			at++
		}
		return files, fmt.Errorf("%w: it differs at byte %d", errNoPack, at)
	}
	return files, nil
}

var errNoPack = errors.New("it is not a pack as it was written")
