package proof

import (
	"bufio"
	"cmp"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

const (
	maxLine = 1 << 20
	maxNote = 64 << 10
	// noteOrigin begins the first line of a note, noteSignature its last.
	noteOrigin    = "caddy-impersonate/"
	noteSignature = "\u2014 "
)

// ReadNotes finds the signed notes in what a witness has kept, in whatever it lies between: a file of notes one behind the
// other, the JSON objects that a webhook was sent, the lines of a syslog with such an object in each. What was torn when
// it was written is passed over. The error is for what can't be read, or holds no note at all.
func ReadNotes(r io.Reader) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		s := bufio.NewScanner(r)
		s.Buffer(make([]byte, 64<<10), maxLine)
		found, any := false, false
		var note strings.Builder // at hand; empty: none
		signed := false
		end := func() bool {
			text := note.String()
			note.Reset()
			if !signed {
				return true
			}
			signed, found = false, true
			return yield(text, nil)
		}
		for s.Scan() {
			line := strings.TrimSuffix(s.Text(), "\r")
			any = any || line != ""
			switch {
			case strings.HasPrefix(line, noteOrigin):
				if !end() {
					return
				}
				note.WriteString(line + "\n")
			case note.Len() > 0 && strings.HasPrefix(line, noteSignature):
				signed = signed || wholeSignature(line)
				note.WriteString(line + "\n")
			case note.Len() > 0 && !signed && note.Len()+len(line) < maxNote:
				note.WriteString(line + "\n")
			default:
				if !end() {
					return
				}
				if text, ok := noteIn(line); ok {
					if found = true; !yield(text, nil) {
						return
					}
				}
			}
		}
		if err := s.Err(); err != nil {
			yield("", err)
			return
		}
		if !end() {
			return
		}
		if any && !found {
			yield("", errors.New("there is no signed note in it"))
		}
	}
}

// wholeSignature tells whether a line is a signature that was not torn: four bytes of the key's hash, and Ed25519's.
func wholeSignature(line string) bool {
	fields := strings.Fields(line)
	b, err := base64.StdEncoding.DecodeString(fields[len(fields)-1])
	return err == nil && len(b) == 4+ed25519.SignatureSize
}

// Notes are these.
func Notes(list ...string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, n := range list {
			if !yield(n, nil) {
				return
			}
		}
	}
}

// noteIn is the field note of a JSON object somewhere in a line.
func noteIn(line string) (string, bool) {
	_, rest, ok := strings.Cut(line, `"note"`)
	if !ok {
		return "", false
	}
	rest, ok = strings.CutPrefix(strings.TrimLeft(rest, " \t"), ":")
	if !ok {
		return "", false
	}
	var note string
	if err := json.NewDecoder(strings.NewReader(rest)).Decode(&note); err != nil {
		return "", false
	}
	text, signature, ok := strings.Cut(note, "\n\n")
	return note, ok && strings.HasPrefix(text, noteOrigin) && strings.HasPrefix(signature, noteSignature)
}

// witnessed is a checkpoint that a witness has.
type witnessed struct {
	size uint64
	root [32]byte
	note string // kept until its key is known; empty: the signature is good
}

// witnesses reads what the witness has, by log, in order of size.
func (v *verifier) witnesses() (map[string][]witnessed, error) {
	by := map[string][]witnessed{}
	if v.Witness == nil {
		return by, nil
	}
	n := 0
	for text, err := range v.Witness {
		if n++; err != nil {
			return nil, fmt.Errorf("reading the witness: %w", err)
		}
		c, _, err := audit.ParseCheckpoint(text)
		if err != nil {
			return nil, fmt.Errorf("the witness's checkpoint %d: %w", n, err)
		}
		w := witnessed{c.Size, c.RootHash, text}
		if v.signed(text) == nil {
			w.note = ""
		}
		by[c.LogID] = append(by[c.LogID], w)
	}
	for _, list := range by {
		slices.SortStableFunc(list, func(a, b witnessed) int { return cmp.Compare(a.size, b.size) })
	}
	return by, nil
}
