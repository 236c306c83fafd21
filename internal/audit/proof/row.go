package proof

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

// Row is a row of table requests or events as it was found, whatever it holds now.
type Row struct {
	Table  string
	LogID  string
	Seq    uint64
	Values []string // as text, in the order of the table's columns
	Stored [32]byte // column leaf_hash
	leaf   [32]byte // made of the values
}

var columns = map[string][]audit.Column{
	audit.TableRequests: audit.RequestColumns(),
	audit.TableEvents:   audit.EventColumns(),
}

// seqColumn is the place of seq in both tables' columns.
const seqColumn = 2

// appendEncoding is the canonical encoding, made of text alone: it can be made of what no gateway would write, too.
func appendEncoding(b []byte, table string, values []string, seq string) []byte {
	b = append(b, 0) // of the leaf
	b = append(b, byte(len(table)+2))
	b = append(append(b, table...), "/1"...)
	for i, c := range columns[table] {
		v := values[i]
		if i == seqColumn {
			v = seq
		}
		if v == "" || c.Kind == audit.KindNumber && v == "0" {
			continue
		}
		b = append(b, byte(c.Number))
		b = binary.AppendUvarint(b, uint64(len(v)))
		b = append(b, v...)
	}
	return b
}

// LeafHash is the leaf hash of a row of requests or events, given as text.
func LeafHash(table string, values []string) [32]byte {
	return sha256.Sum256(appendEncoding(nil, table, values, values[seqColumn]))
}

// Encoding is the canonical encoding of a row of requests or events, given as text.
func Encoding(table string, values []string) []byte {
	return appendEncoding(nil, table, values, values[seqColumn])[1:]
}

func (r *Row) leafAt(seq uint64) [32]byte {
	return audit.LeafHash(appendEncoding(nil, r.Table, r.Values, strconv.FormatUint(seq, 10))[1:])
}

// value is a database's value as text.
func value(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case []byte:
		return string(v), nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case uint64:
		return strconv.FormatUint(v, 10), nil
	case uint16:
		return strconv.FormatUint(uint64(v), 10), nil
	case uint32:
		return strconv.FormatUint(uint64(v), 10), nil
	case time.Time:
		return v.UTC().Format(audit.TimeLayout), nil
	case nil:
		return "", nil
	}
	return "", fmt.Errorf("a value is a %T", v)
}
