package query

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strconv"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

// place is where a row is in its list.
type place struct {
	at    time.Time
	logID string
	seq   uint64
}

const (
	cursorVersion = 1
	maxLogID      = 128
	checkBytes    = 8
	// latestMicros is the last time there can be in a row.
	latestMicros = 9_214_646_400_000_000
)

// seal makes a cursor of the place: the place, and a check that it belongs to this list with this filter. That keeps
// mistakes apart; there is nothing to forge, since a cursor shows no row that the same question without it does not.
func (k place) seal(list string, f audit.Filter, oldest bool) string {
	b := []byte{cursorVersion}
	b = append(b, check(list, f, oldest)...)
	b = binary.AppendUvarint(b, uint64(max(k.at.UnixMicro(), 0)))
	b = binary.AppendUvarint(b, k.seq)
	b = append(b, k.logID...)
	return base64.RawURLEncoding.EncodeToString(b)
}

// open reads a cursor; nil for none. What is not one of this list's is [audit.ErrCursor].
func open(cursor, list string, f audit.Filter, oldest bool) (*place, error) {
	if cursor == "" {
		return nil, nil
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(cursor[:min(len(cursor), 512)])
	if err != nil || len(cursor) > 512 || len(b) < 1+checkBytes || b[0] != cursorVersion || string(b[1:1+checkBytes]) != string(check(list, f, oldest)) {
		return nil, audit.ErrCursor
	}
	b = b[1+checkBytes:]
	micros, n := binary.Uvarint(b)
	if n <= 0 || micros > latestMicros {
		return nil, audit.ErrCursor
	}
	b = b[n:]
	seq, n := binary.Uvarint(b)
	if n <= 0 || seq > 1<<63-1 {
		return nil, audit.ErrCursor
	}
	id := b[n:]
	if len(id) > maxLogID {
		return nil, audit.ErrCursor
	}
	for _, c := range id {
		if c < 0x20 || c > 0x7e {
			return nil, audit.ErrCursor
		}
	}
	return &place{time.UnixMicro(int64(micros)).UTC(), string(id), seq}, nil
}

func check(list string, f audit.Filter, oldest bool) []byte {
	h := sha256.New()
	for _, s := range []string{
		list, f.Actor, f.Target, f.Impersonation, f.Outcome, f.Type, f.Log, f.Q, bound(f.From), bound(f.To), strconv.FormatBool(oldest),
	} {
		h.Write(binary.AppendUvarint(nil, uint64(len(s))))
		h.Write([]byte(s))
	}
	return h.Sum(nil)[:checkBytes]
}

func bound(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(audit.TimeLayout)
}
