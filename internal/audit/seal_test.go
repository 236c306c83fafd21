package audit_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
)

func newSigner(t testing.TB) *audit.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	s, err := audit.ParseSigner(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func signWith(r *audit.Recorder, s *audit.Signer) {
	r.UseSigner(func() (*audit.Signer, error) { return s, nil })
}

// advance moves the clock when nothing is on its way to the disk: it would seem not to answer.
func advance(t *testing.T, r *audit.Recorder, clk *clock.Manual, d time.Duration) {
	t.Helper()
	if err := audit.Sync(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	clk.Advance(d)
}

// treeHash is MTH of RFC 6962, section 2.1, as it is written there.
func treeHash(leaves [][32]byte) [32]byte {
	switch len(leaves) {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return leaves[0]
	}
	k := 1
	for k*2 < len(leaves) {
		k *= 2
	}
	left, right := treeHash(leaves[:k]), treeHash(leaves[k:])
	return sha256.Sum256(append(append([]byte{1}, left[:]...), right[:]...))
}

// sealed checks every checkpoint of a sink against its rows, and the signatures, and returns the sizes. Places in lost
// have no row.
func sealed(t *testing.T, m *memory, lost map[uint64]bool, signers ...*audit.Signer) []uint64 {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	leaves := map[uint64][32]byte{}
	for _, b := range m.batches {
		for _, row := range b.Requests {
			leaves[row.Seq] = row.LeafHash
		}
		for _, row := range b.Events {
			leaves[row.Seq] = row.LeafHash
		}
	}
	var keys []string
	for _, s := range signers {
		keys = append(keys, s.Verifier())
	}
	verifiers, err := audit.ParseVerifiers(strings.NewReader(strings.Join(keys, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	var sizes []uint64
	for _, c := range m.sealed {
		var list [][32]byte
		for seq := uint64(1); seq <= c.Size; seq++ {
			leaf, ok := leaves[seq]
			if lost[seq] {
				leaf, ok = audit.PlaceholderLeaf(seq), true
			}
			if !ok {
				t.Fatalf("checkpoint %d: row %d is not there", c.Size, seq)
			}
			list = append(list, leaf)
		}
		if treeHash(list) != c.RootHash {
			t.Errorf("checkpoint %d has another root than its rows", c.Size)
		}
		if _, err := note.Open([]byte(c.Note), verifiers); err != nil {
			t.Errorf("checkpoint %d: %v", c.Size, err)
		}
		back, _, err := audit.ParseCheckpoint(c.Note)
		if err != nil || fmt.Sprint(back.Values()) != fmt.Sprint(c.Values()) {
			t.Errorf("checkpoint %d: %v, %v", c.Size, back, err)
		}
		sizes = append(sizes, c.Size)
	}
	return sizes
}

// TestSealedWhen: a checkpoint at a thousand rows, ten seconds after the first that has none, at an impersonation's end
// and at Close; none when nothing is new.
func TestSealedWhen(t *testing.T) {
	t.Parallel()
	clk, signer := manual(), newSigner(t)
	r := open(t, audit.Options{Dir: t.TempDir(), Clock: clk, SegmentBytes: small})
	sink := newMemory("memory")
	useSinks(t, r, audit.ShipOptions{}, sink)
	signWith(r, signer)                              // 1: signing_key_changed
	advance(t, r, clk, 10*time.Second)               // sealed: 1
	event(t, r, audit.Event{Type: audit.EventLogin}) // 2
	advance(t, r, clk, 9*time.Second)                // not yet
	do(t, r, row("", ""), completed)                 // 3
	advance(t, r, clk, time.Second)                  // sealed: 3
	advance(t, r, clk, time.Hour)                    // nothing new
	for range 2100 {                                 // sealed: 1003, 2003
		in, err := r.Intent(row("", "i-1"))
		if err != nil {
			t.Fatal(err)
		}
		in.Done(completed)
	}
	event(t, r, audit.Event{Type: audit.EventImpersonationEnded, ImpersonationID: "i-1"}) // sealed: 2104
	signWith(r, signer)                                                                   // the same key: nothing new
	do(t, r, row("", ""), completed)                                                      // 2105
	closeRecorder(t, r)                                                                   // sealed
	if got, want := fmt.Sprint(sealed(t, sink, nil, signer)), "[1 3 1003 2003 2104 2105]"; got != want {
		t.Errorf("sealed at %s, want %s", got, want)
	}
}

// TestSealedAcrossRestarts: crashes and new segments lose nothing of the tree, and the log says when its key changes.
func TestSealedAcrossRestarts(t *testing.T) {
	t.Parallel()
	options := audit.Options{Dir: t.TempDir(), SegmentBytes: 4096}
	one, two := newSigner(t), newSigner(t)
	for round := range 6 {
		r := open(t, options)
		signWith(r, []*audit.Signer{one, one, two, two, one, one}[round])
		for range 40 {
			do(t, r, row("", "i-1"), completed)
		}
		id := fmt.Sprint("i-", round)
		do(t, r, row("", id), completed)
		event(t, r, audit.Event{Type: audit.EventImpersonationEnded, ImpersonationID: id})
		event(t, r, audit.Event{Type: audit.EventLogin}) // syncs the checkpoint
		if round%2 == 0 {
			options.Dir = crash(t, options.Dir)
		}
		closeRecorder(t, r)
	}
	r := open(t, options)
	sink := newMemory("memory")
	useSinks(t, r, audit.ShipOptions{}, sink)
	closeRecorder(t, r)
	if sizes := sealed(t, sink, nil, one, two); len(sizes) < 9 {
		t.Errorf("sealed at %v", sizes)
	}
	var keys []string
	for _, b := range sink.batches {
		for _, e := range b.Events {
			if e.Type == audit.EventSigningKeyChanged {
				keys = append(keys, e.Detail)
			}
		}
	}
	want := []string{
		audit.Detail("key", one.Verifier()),
		audit.Detail("key", two.Verifier(), "previous", one.Verifier()),
		audit.Detail("key", one.Verifier(), "previous", two.Verifier()),
	}
	if fmt.Sprint(keys) != fmt.Sprint(want) {
		t.Errorf("the log tells of keys %s, want %s", keys, want)
	}
}

// TestSealedWithoutJournal: what a sink has and the journal lost keeps its places, and checkpoints say which these are.
func TestSealedWithoutJournal(t *testing.T) {
	t.Parallel()
	dir, signer := t.TempDir(), newSigner(t)
	r := open(t, audit.Options{Dir: dir, SegmentBytes: small})
	useSinks(t, r, audit.ShipOptions{BatchTime: time.Millisecond}, newMemory("memory"))
	signWith(r, signer)
	for range 9 {
		event(t, r, audit.Event{Type: audit.EventLogin})
	}
	eventually(t, "all is shipped", func() bool { return r.Stats().Sinks[0].ShippedSeq == 10 })
	closeRecorder(t, r)
	segments, err := filepath.Glob(filepath.Join(dir, "*.journal"))
	if err != nil || len(segments) == 0 {
		t.Fatal(segments, err)
	}
	for _, name := range segments {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	r = open(t, audit.Options{Dir: dir, SegmentBytes: small})
	sink := newMemory("other")
	useSinks(t, r, audit.ShipOptions{}, sink)
	signWith(r, signer)
	do(t, r, row("", ""), completed)
	closeRecorder(t, r)
	lost := map[uint64]bool{}
	for seq := range uint64(11) {
		lost[seq] = true
	}
	if sizes := sealed(t, sink, lost, signer); len(sizes) != 1 || !strings.Contains(sink.sealed[0].Note, "\nlost 1-10\n") {
		t.Errorf("sealed at %v, %v", sizes, sink.sealed)
	}
}

// TestSigningKey: one is made where there is none, private, with its public half beside it; a bad one is named and not
// shown.
func TestSigningKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := audit.OwnSigner(dir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := audit.OwnSigner(dir)
	if err != nil || again.Verifier() != first.Verifier() {
		t.Errorf("made twice: %v", err)
	}
	file := filepath.Join(dir, "signing_key")
	if fi, err := os.Stat(file); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", fi, err)
	}
	r := open(t, audit.Options{Dir: dir, SegmentBytes: small})
	signWith(r, first)
	signWith(r, newSigner(t))
	signWith(r, first)
	public, err := os.ReadFile(file + ".pub")
	if err != nil || bytes.Count(public, []byte("\n")) != 2 || !bytes.Contains(public, []byte(first.Verifier()+"\n")) {
		t.Errorf("public keys %q, %v", public, err)
	}
	const secret = "c2VjcmV0"
	for _, bad := range []string{"", secret, "-----BEGIN PRIVATE KEY-----\n" + secret + "\n-----END PRIVATE KEY-----\n"} {
		if _, err := audit.ParseSigner([]byte(bad)); err == nil || strings.Contains(err.Error(), secret) || !strings.Contains(err.Error(), "openssl genpkey -algorithm ed25519") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestSigningKeyLater: a key that can't be had at first is asked for again; nothing stops meanwhile, and then all is
// sealed.
func TestSigningKeyLater(t *testing.T) {
	t.Parallel()
	clk, signer := manual(), newSigner(t)
	r := open(t, audit.Options{Dir: t.TempDir(), Clock: clk, SegmentBytes: small})
	sink := newMemory("memory")
	useSinks(t, r, audit.ShipOptions{}, sink)
	tries := 0
	r.UseSigner(func() (*audit.Signer, error) {
		if tries++; tries < 3 {
			return nil, errors.New("the disk is full")
		}
		return signer, nil
	})
	event(t, r, audit.Event{Type: audit.EventLogin})
	advance(t, r, clk, 10*time.Second)
	advance(t, r, clk, 10*time.Second)
	closeRecorder(t, r)
	if got := fmt.Sprint(sealed(t, sink, nil, signer)); got != "[2]" || tries != 3 {
		t.Errorf("sealed at %s after %d tries", got, tries)
	}
}

func TestParseCheckpointRefuses(t *testing.T) {
	t.Parallel()
	clk := manual()
	r := open(t, audit.Options{Dir: t.TempDir(), Clock: clk, SegmentBytes: small})
	sink := newMemory("memory")
	useSinks(t, r, audit.ShipOptions{}, sink)
	signWith(r, newSigner(t))
	for range 4 {
		event(t, r, audit.Event{Type: audit.EventLogin})
	}
	closeRecorder(t, r)
	good := sink.sealed[0].Note
	if _, _, err := audit.ParseCheckpoint(good); err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(good, "\n")
	for name, bad := range map[string]string{
		"nothing":      "",
		"no signature": strings.Join(lines[:5], ""),
		"origin":       strings.Replace(good, "caddy-", "x", 1),
		"size":         strings.Replace(good, "\n5\n", "\n05\n", 1),
		"other size":   strings.Replace(good, "\n5\n", "\n8\n", 1),
		"negative":     strings.Replace(good, "\n5\n", "\n-5\n", 1),
		"no root":      strings.Replace(good, lines[2], "\n", 1),
		"other root":   strings.Replace(good, lines[2], "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", 1),
		"no tree":      strings.Replace(good, lines[4], "tree\n", 1),
		"two spaces":   strings.Replace(good, "tree ", "tree  ", 1),
		"a line more":  strings.Replace(good, lines[5], lines[5]+"more\n", 1),
		"no previous":  strings.Replace(good, lines[5], "", 1),
		"previous":     strings.Replace(good, lines[5], "after 5\n", 1),
		"gap":          strings.Replace(good, lines[5], lines[5]+"lost 3-2\n", 1),
		"far gap":      strings.Replace(good, lines[5], lines[5]+"lost 3-9\n", 1),
	} {
		if _, _, err := audit.ParseCheckpoint(bad); err == nil {
			t.Errorf("%s: accepted %q", name, bad)
		}
	}
}

func FuzzParseCheckpoint(f *testing.F) {
	f.Add("caddy-impersonate/x\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\ntime 2026-03-01T09:30:00.123456Z\n" +
		"tree AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nafter 0\nlost 1-1\n\n— x y\n")
	f.Fuzz(func(t *testing.T, signed string) {
		c, tree, err := audit.ParseCheckpoint(signed)
		if err == nil && (tree.Size() != c.Size || tree.Root() != c.RootHash) {
			t.Errorf("%q: size %d, %d", signed, c.Size, tree.Size())
		}
	})
}

// TestOwnKeyIsRotated: a key replaced in the journal's directory is taken up by itself, and the old one vouches for it.
func TestOwnKeyIsRotated(t *testing.T) {
	t.Parallel()
	dir, clk := t.TempDir(), manual()
	r := open(t, audit.Options{Dir: dir, Clock: clk, SegmentBytes: small})
	sink := newMemory("memory")
	useSinks(t, r, audit.ShipOptions{}, sink)
	r.UseSigner(func() (*audit.Signer, error) { return audit.OwnSigner(dir) })
	old, err := audit.OwnSigner(dir)
	if err != nil {
		t.Fatal(err)
	}
	event(t, r, audit.Event{Type: audit.EventLogin}) // after the key's own event
	now, err := audit.RotateOwnSigner(dir)
	if err != nil {
		t.Fatal(err)
	}
	advance(t, r, clk, audit.SealTime)
	event(t, r, audit.Event{Type: audit.EventLogout})
	closeRecorder(t, r)
	for _, c := range sink.sealed {
		by := old
		if c.Size > 3 {
			by = now
		}
		verifiers, err := audit.ParseVerifiers(strings.NewReader(by.Verifier()))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := note.Open([]byte(c.Note), verifiers); err != nil {
			t.Errorf("checkpoint %d: %v", c.Size, err)
		}
	}
	if n := len(sink.sealed); n < 2 || sink.sealed[n-1].Size != 4 || sink.sealed[n-1].Previous != 3 {
		t.Errorf("%d checkpoints", n)
	}
	public, err := os.ReadFile(filepath.Join(dir, "signing_key.pub"))
	if err != nil || strings.Count(string(public), "\n") != 2 {
		t.Errorf("public keys %q, %v", public, err)
	}
}
