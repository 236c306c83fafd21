package proof

import (
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/note"
)

func (v *verifier) trust(key string) error {
	n, err := note.NewVerifier(key)
	if err != nil {
		return fmt.Errorf("the verifier key %.80q: %w", key, err)
	}
	v.known[key] = n
	return nil
}

// signed checks that a note is signed by a key that is trusted.
func (v *verifier) signed(text string) error {
	var list []note.Verifier
	for _, n := range v.known {
		list = append(list, n)
	}
	_, err := note.Open([]byte(text), note.VerifierList(list...))
	return err
}

// unsigned words why a checkpoint of so many rows is signed by no key that is trusted.
func (l *logState) unsigned(size uint64, err error) string {
	var other *note.UnverifiedNoteError
	if !errors.As(err, &other) || len(other.Note.UnverifiedSigs) == 0 {
		return "its signature is not by the key that it names: it is forged"
	}
	key := other.Note.UnverifiedSigs[0].Hash
	if first, ok := l.strange[key]; ok {
		return fmt.Sprintf("it is signed by the key %08x, as checkpoint %d is", key, first)
	}
	l.strange[key] = size
	if l.removed > 0 || !l.RetainedSince.IsZero() {
		return fmt.Sprintf("it is signed by the key %08x, which is none that you trust. If keys were replaced in the rows that retention "+
			"removed, give the newer public key with --key: it is in signing_key.pub of the gateway's journal. If it is not in there, the "+
			"checkpoint is forged", key)
	}
	return fmt.Sprintf("it is signed by the key %08x, which is none that you trust: it is forged, or signing_key.pub of this log is not "+
		"among the files given with --key", key)
}
