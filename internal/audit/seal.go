package audit

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
)

// A checkpoint is made when so many rows have none yet, or so long after the first of them; at each end of an
// impersonation; and at Close. These are what holds unless [Recorder.SealEvery] says otherwise.
const (
	SealRows = 1000
	SealTime = 10 * time.Second
)

// sealer is what the Recorder needs to sign its log; under Recorder.mu.
type sealer struct {
	tree   Tree
	signed uint64 // size of the last checkpoint
	key    string // the verifier key that the log last told of
	signer *Signer
	load   func() (*Signer, error) // nil: the log is not signed
	told   bool                    // that load failed
	timer  clock.Timer             // runs while rows have no checkpoint
	rows   uint64                  // as SealRows
	every  time.Duration           // as SealTime
}

// SealEvery changes when a checkpoint is made; zero is the default. A wait that has begun goes on as it was.
func (r *Recorder) SealEvery(rows uint64, every time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seal.rows, r.seal.every = rows, every
}

// UseSigner makes the log signed, by the key that load reads, or by another than before; the log says so in an event.
// load is called now, and again from time to time: a file replaced by another key takes effect by itself. While it fails
// the key there was goes on signing, and the log says so.
func (r *Recorder) UseSigner(load func() (*Signer, error)) {
	r.mu.Lock()
	r.seal.load = load
	r.mu.Unlock()
	r.loadSigner()
}

func (r *Recorder) loadSigner() {
	r.mu.Lock()
	load := r.seal.load
	r.mu.Unlock()
	s, err := load()
	if err == nil {
		// It is in the log too: that an auditor can copy it from a file is a convenience.
		if err := publish(r.dir, s.verifier); err != nil {
			r.log.Warn("the verifier key can't be written beside the journal", "journal", r.dir, "error", err)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		if !r.seal.told {
			r.log.Error("the audit log is not signed", "error", err)
		}
		r.seal.told = true
		r.armSeal()
		return
	}
	if old := r.seal.signer; old != nil && old.verifier != s.verifier {
		// The old key's last checkpoint is over the event that names the new one: it vouches for it.
		r.announce(s)
	}
	r.makeCheckpoint()
	r.seal.signer, r.seal.told = s, false
	r.announceKey()
	if r.seal.signed < r.seal.tree.Size() {
		r.armSeal()
	}
}

// announceKey tells the log which key signs from here on.
func (r *Recorder) announceKey() {
	s := &r.seal
	if s.signer == nil || s.key == s.signer.verifier {
		return
	}
	r.announce(s.signer)
}

func (r *Recorder) announce(s *Signer) {
	e := &Event{Type: EventSigningKeyChanged, Detail: Detail("key", s.verifier, "previous", r.seal.key)}
	if _, err := r.appendLocked(e); err != nil {
		r.armSeal()
	}
}

// ErrNoSigner: the log is not signed, or its key can't be had now.
var ErrNoSigner = errors.New("the signing key is not at hand")

// SignNote signs a text by the key that signs checkpoints, as a note. It must not be one that could be taken for a checkpoint.
func (r *Recorder) SignNote(text string) (string, error) {
	r.mu.Lock()
	s := r.seal.signer
	r.mu.Unlock()
	if s == nil {
		return "", ErrNoSigner
	}
	if strings.HasPrefix(text, originPrefix) {
		return "", errors.New("signing a note: it would be a checkpoint")
	}
	signed, err := note.Sign(&note.Note{Text: text}, s.signer)
	if err != nil {
		return "", fmt.Errorf("signing a note: %w", err)
	}
	return string(signed), nil
}

// PublicKeys are the verifier keys that ever signed this log, as signing_key.pub has them.
func (r *Recorder) PublicKeys() ([]string, error) { return PublicKeys(r.dir) }

// PublicKeys are the verifier keys in a journal's directory.
func PublicKeys(dir string) ([]string, error) {
	text, err := readSmall(filepath.Join(dir, signingKeyFile+publicSuffix))
	if err != nil {
		return nil, fmt.Errorf("reading the verifier keys: %w", err)
	}
	return strings.Fields(string(text)), nil
}

// placed adds the row just appended to the tree and takes its place; hashed is its encoding behind a zero byte.
func (r *Recorder) placed(leaf [32]byte) {
	r.seal.tree.Append(leaf)
	r.lastSeq.Store(r.nextSeq)
	r.nextSeq++
}

// sealSoon makes the next checkpoint now, if it is time or must be, or sees to it that it is made.
func (r *Recorder) sealSoon(now bool) {
	if r.seal.load == nil {
		return
	}
	if now || r.seal.tree.Size()-r.seal.signed >= cmp.Or(r.seal.rows, SealRows) {
		r.makeCheckpoint()
	} else {
		r.armSeal()
	}
}

func (r *Recorder) armSeal() {
	if r.seal.timer == nil && !r.closed {
		r.seal.timer = r.clock.AfterFunc(cmp.Or(r.seal.every, SealTime), r.sealDue)
	}
}

func (r *Recorder) sealDue() {
	r.mu.Lock()
	r.seal.timer = nil
	r.mu.Unlock()
	r.loadSigner()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.announceKey()
	r.makeCheckpoint()
}

// makeCheckpoint signs the rows so far, if one of them is new. What the journal refuses is made again later.
func (r *Recorder) makeCheckpoint() {
	s := &r.seal
	size := s.tree.Size()
	if s.signer == nil || size <= s.signed {
		return
	}
	c, err := SignCheckpoint(r.logID, cleanTime(r.clock.Now(), r.clock.Now), &s.tree, s.signed, s.signer)
	if err != nil {
		r.log.Error("the audit log can't be signed", "error", err)
		r.armSeal()
		return
	}
	// It stands behind the rows it covers: sinks get it after them.
	if _, err := r.journal.Append(recordCheckpoint, []byte(c.Note), false); err != nil {
		r.armSeal()
		return
	}
	s.signed = size
	r.stats.Checkpoints++
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
}
