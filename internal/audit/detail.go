package audit

import "bytes"

// Detail is an event's Detail: a JSON object of the pairs (a name, then its value), in their order. Empty strings are
// left out.
func Detail(pairs ...any) string {
	var b bytes.Buffer
	b.WriteByte('{')
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			continue
		}
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		b.Write(encodeJSON(pairs[i]))
		b.WriteByte(':')
		b.Write(encodeJSON(pairs[i+1]))
	}
	b.WriteByte('}')
	return b.String()
}
