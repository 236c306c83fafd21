package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
)

// The files; docs/audit-format.md describes them.
//
//	segment = header (64 bytes) … copy of header at 512 … records from 1024 on
//	record  = mark[4] crc32c[4] type[1] length[3] sequence[4] payload
//	crc32c = CRC-32C(salt[8] offset[8] type length sequence payload)
//
// All integers are little-endian. The mark is the same for all records of a segment: two bytes that no UTF-8 text
// holds and two random ones. The checksum covers the segment's random salt, the record's offset in the file, its
// type, length and sequence, and the payload: so nothing that a client got into a payload, and no block that the
// disk put in the wrong place, passes for a record.
const (
	formatVersion = 1
	headerBytes   = 64
	headerCopyAt  = 512
	dataStart     = 1024
	recordHeader  = 16

	// MaxPayload is the longest payload of a record.
	MaxPayload = 1 << 20

	segmentSuffix = ".journal"
	tempSuffix    = ".tmp"
	damagedSuffix = ".damaged"
)

// typeSync is the journal's own record, written first in each write: its payload is the offset up to which the
// segment was durable by then. Damage before it hit records that were acknowledged.
const (
	typeSync        = 0xff
	syncRecordBytes = recordHeader + 8
)

var magic = [8]byte{0x89, 'I', 'M', 'P', 'J', 'N', 'L', '\n'}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header starts a segment.
type header struct {
	number     uint64
	firstSeq   uint64 // sequence of its first record
	salt       [8]byte
	mark       [2]byte
	carryBytes uint64 // length of the carried records that start it
	created    int64  // microseconds since 1970
	saltSum    uint32 // checksum of the salt, which every record's goes on from
}

func (h *header) encode() []byte {
	b := make([]byte, headerBytes)
	copy(b, magic[:])
	binary.LittleEndian.PutUint16(b[8:], formatVersion)
	binary.LittleEndian.PutUint64(b[16:], h.number)
	binary.LittleEndian.PutUint64(b[24:], h.firstSeq)
	copy(b[32:40], h.salt[:])
	binary.LittleEndian.PutUint64(b[40:], uint64(h.created))
	binary.LittleEndian.PutUint64(b[48:], h.carryBytes)
	copy(b[56:58], h.mark[:])
	binary.LittleEndian.PutUint32(b[12:], headerSum(b))
	return b
}

// headerSum is the checksum of a header, taken with its own field left out.
func headerSum(b []byte) uint32 {
	sum := crc32.Update(0, castagnoli, b[:12])
	return crc32.Update(sum, castagnoli, b[16:headerBytes])
}

var errHeader = errors.New("the segment's header is damaged")

func decodeHeader(b []byte) (header, error) {
	if len(b) < headerBytes || [8]byte(b[:8]) != magic || binary.LittleEndian.Uint32(b[12:]) != headerSum(b) {
		return header{}, errHeader
	}
	if v := binary.LittleEndian.Uint16(b[8:]); v != formatVersion {
		return header{}, fmt.Errorf("the segment has format %d; this build knows %d", v, formatVersion)
	}
	h := header{
		number:     binary.LittleEndian.Uint64(b[16:]),
		firstSeq:   binary.LittleEndian.Uint64(b[24:]),
		salt:       [8]byte(b[32:40]),
		created:    int64(binary.LittleEndian.Uint64(b[40:])),
		carryBytes: binary.LittleEndian.Uint64(b[48:]),
		mark:       [2]byte(b[56:58]),
	}
	h.prepare()
	return h, nil
}

// readHeader reads a segment's header, or its copy where the first is damaged.
func readHeader(f File) (header, error) {
	var first error
	for _, at := range []int64{0, headerCopyAt} {
		b := make([]byte, headerBytes)
		_, err := f.ReadAt(b, at)
		if err == nil {
			var h header
			if h, err = decodeHeader(b); err == nil {
				return h, nil
			}
		}
		if first == nil || errors.Is(first, errHeader) {
			first = err
		}
	}
	return header{}, first
}

// headerBlock is all that precedes the records.
func (h *header) block() []byte {
	b := make([]byte, dataStart)
	copy(b, h.encode())
	copy(b[headerCopyAt:], h.encode())
	return b
}

func (h *header) recordMark() [4]byte { return [4]byte{0xfe, 0xff, h.mark[0], h.mark[1]} }

// sum is the checksum of a whole record at an offset. It overwrites the record's first eight bytes (mark and
// checksum) with the offset: so no buffer is needed for it.
func (h *header) sum(record []byte, at int64) uint32 {
	binary.LittleEndian.PutUint64(record, uint64(at))
	return crc32.Update(h.saltSum, castagnoli, record)
}

// prepare fills in what is computed from the other fields.
func (h *header) prepare() { h.saltSum = crc32.Update(0, castagnoli, h.salt[:]) }

// appendRecord appends a record whose mark, checksum and sequence are filled in by seal.
func appendRecord(b []byte, typ byte, payload []byte) []byte {
	n := len(payload)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0, typ, byte(n), byte(n>>8), byte(n>>16), 0, 0, 0, 0)
	return append(b, payload...)
}

// appendSync appends a sync record, to be filled in by seal.
func appendSync(b []byte) []byte { return appendRecord(b, typeSync, make([]byte, 8)) }

// seal completes records for their place in a segment; seq is the sequence of the first, and of the next after. Sync
// records take no sequence: theirs is that of the record that follows.
func (h *header) seal(b []byte, at int64, seq uint64, durable int64) (next uint64) {
	mark := h.recordMark()
	for len(b) > 0 {
		n := recordHeader + payloadLength(b)
		record := b[:n:n]
		binary.LittleEndian.PutUint32(record[12:], uint32(seq-h.firstSeq))
		if record[8] == typeSync {
			binary.LittleEndian.PutUint64(record[recordHeader:], uint64(durable))
		} else {
			seq++
		}
		sum := h.sum(record, at)
		copy(record, mark[:])
		binary.LittleEndian.PutUint32(record[4:], sum)
		b = b[n:]
		at += int64(n)
	}
	return seq
}

func payloadLength(b []byte) int { return int(b[9]) | int(b[10])<<8 | int(b[11])<<16 }

func segmentName(number uint64) string { return fmt.Sprintf("%016d%s", number, segmentSuffix) }

// segmentNumber is the number a file's name says; false for other files.
func segmentNumber(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, segmentSuffix)
	if !ok || len(digits) != 16 {
		return 0, false
	}
	var n uint64
	for _, c := range []byte(digits) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return n, n > 0
}
