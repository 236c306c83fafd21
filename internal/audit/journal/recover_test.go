package journal_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit/journal"
)

// sample is a segment of records of different lengths, as the process leaves it that wrote it.
func sample(t testing.TB, payloads ...string) (name string, content []byte, records []journal.RecordAt) {
	t.Helper()
	dir := t.TempDir()
	j, _, err := journal.Open(journal.Options{Dir: dir, SegmentBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range payloads {
		ticket, err := j.Append(1, []byte(p), true)
		if err == nil {
			err = ticket.Wait(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	name = filepath.Join(dir, journal.SegmentName(1))
	if content, err = os.ReadFile(name); err != nil {
		t.Fatal(err)
	}
	if records, err = journal.Records(content); err != nil || len(records) != len(payloads) {
		t.Fatalf("%d records of %d: %v", len(records), len(payloads), err)
	}
	return name, content, records
}

func lengths(n int) []string {
	var list []string
	for i := range n {
		list = append(list, strings.Repeat(string(rune('a'+i%26)), i*7%61))
	}
	return list
}

// TestTornTail: the file ends after any byte, with or without reserved space behind it. What was whole is there, the
// rest is cut off and counted, and the journal goes on.
func TestTornTail(t *testing.T) {
	t.Parallel()
	name, content, records := sample(t, lengths(10)...)
	for _, reserved := range []int{0, 4096} {
		for cut := journal.DataStart; cut <= len(content); cut++ {
			torn := append(bytes.Clone(content[:cut]), make([]byte, reserved)...)
			dir := place(t, name, torn)
			var want []string
			end := int64(journal.DataStart)
			for _, r := range records {
				// A record whose last bytes are zeros is whole in reserved space too.
				whole := r.To <= int64(cut) || reserved > 0 && bytes.Equal(torn[:r.To], content[:r.To])
				if whole {
					want = append(want, string(r.Payload))
					end = r.To
				}
			}
			j := open(t, journal.Options{Dir: dir, SegmentBytes: 16 << 10})
			if diff := cmp.Diff(want, j.replayed); diff != "" {
				t.Fatalf("cut at %d (-want +got):\n%s", cut, diff)
			}
			if len(j.found.Damage) > 0 {
				t.Fatalf("cut at %d: %v", cut, &j.found.Damage[0])
			}
			// Sync records behind the last other one may be whole, and are not torn then.
			most := int64(len(bytes.TrimRight(torn, "\x00"))) - end
			if got := j.found.TornBytes; got > max(most, 0) || got < most-48 || got < 0 {
				t.Fatalf("cut at %d: %d torn bytes, want about %d", cut, got, most)
			}
			j.put("next")
			j.close()
			j = open(t, journal.Options{Dir: dir, SegmentBytes: 16 << 10})
			if j.found.TornBytes != 0 || len(j.found.Damage) > 0 {
				t.Fatalf("cut at %d, opened again: %+v", cut, j.found)
			}
			r, err := j.NewReader(journal.Position{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(append(want, "next"), drain(t, r)); diff != "" {
				t.Fatalf("cut at %d, opened again (-want +got):\n%s", cut, diff)
			}
			r.Close()
			j.close()
		}
	}
}

// TestBitFlips: bits flip anywhere. At most the records they lie in are lost, never silently, and never one made up.
func TestBitFlips(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	name, content, records := sample(t, lengths(40)...)
	for round := range 1000 {
		damaged := bytes.Clone(content)
		hit := map[int]bool{}
		headerHits := 0
		flips := 1 + random.IntN(4)
		for range flips {
			at := random.IntN(len(content))
			damaged[at] ^= byte(1 + random.IntN(255))
			if at < 64 || at >= journal.HeaderCopyAt && at < journal.HeaderCopyAt+64 {
				headerHits++
			}
			for i, r := range records {
				if !bytes.Equal(damaged[r.From:r.To], content[r.From:r.To]) {
					hit[i] = true
				}
			}
		}
		dir := place(t, name, damaged)
		j := open(t, journal.Options{Dir: dir, SegmentBytes: 16 << 10})
		if len(j.found.Quarantined) > 0 {
			if headerHits < 2 || len(segmentFiles(t, dir, journal.DamagedSuffix)) != 1 {
				t.Fatalf("seed %d round %d: quarantined after %d hits of the header", seed, round, headerHits)
			}
			j.close()
			continue
		}
		var want []string
		for i, r := range records {
			if !hit[i] {
				want = append(want, string(r.Payload))
			}
		}
		if diff := cmp.Diff(want, j.replayed); diff != "" {
			t.Fatalf("seed %d round %d (-want +got):\n%s", seed, round, diff)
		}
		reported := j.found.TornBytes > 0
		for _, d := range j.found.Damage {
			reported = true
			// Only the sync record of a later write can tell, so that one must be whole.
			if !d.Acknowledged && d.Records > 0 && flips == 1 {
				t.Fatalf("seed %d round %d: said not to be acknowledged: %v", seed, round, &d)
			}
		}
		if len(hit) > 0 && !reported {
			t.Fatalf("seed %d round %d: %d records lost silently", seed, round, len(hit))
		}
		j.close()
	}
}

func segmentFiles(t *testing.T, dir, suffix string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"+suffix))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestDamageInOldSegment: a segment that is not replayed is damaged; the reader says so and reads the rest.
func TestDamageInOldSegment(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for range 3 {
		j := open(t, journal.Options{Dir: dir, SegmentBytes: 16 << 10})
		j.put("one", "two", "three")
		j.close()
	}
	name := segments(t, dir)[0]
	for _, tt := range []struct {
		record int
		want   []string
		lost   uint64
	}{
		{1, []string{"one", "three"}, 1},
		{2, []string{"one", "two"}, 1},
	} {
		content := read(t, name)
		records, err := journal.Records(content)
		if err != nil {
			t.Fatal(err)
		}
		damaged := bytes.Clone(content)
		damaged[records[tt.record].To-1] ^= 1
		if err := os.WriteFile(name, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		j := open(t, journal.Options{Dir: dir, SegmentBytes: 16 << 10})
		r, err := j.NewReader(journal.Position{})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		var lost uint64
		for {
			rec, err := r.Next()
			if d, ok := err.(*journal.Damage); ok {
				lost += d.Records
				if d.File != name || !strings.Contains(d.Error(), name) {
					t.Errorf("damage %v, want in %s", d, name)
				}
				continue
			}
			if err != nil {
				break
			}
			got = append(got, string(rec.Payload))
		}
		want := append(slices.Clone(tt.want), "one", "two", "three", "one", "two", "three")
		if diff := cmp.Diff(want, got); diff != "" || lost != tt.lost {
			t.Errorf("%d records lost; read (-want +got):\n%s", lost, diff)
		}
		r.Close()
		j.close()
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDamagedCarry: where the newest segment's carried records are damaged, replay starts from an older one.
func TestDamagedCarry(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	options := journal.Options{Dir: dir, Carry: func(emit func(byte, []byte)) { emit(2, []byte("carried")) }}
	for i := range 3 {
		j := open(t, options)
		j.put(fmt.Sprint(i))
		j.close()
	}
	name := segments(t, dir)[2]
	content := read(t, name)
	content[journal.DataStart+20] ^= 1
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	j := open(t, options)
	if diff := cmp.Diff([]string{"carried", "1", "2"}, j.replayed); diff != "" {
		t.Errorf("replayed (-want +got):\n%s", diff)
	}
	if len(j.found.Damage) != 1 || !j.found.Damage[0].Acknowledged || j.found.Damage[0].Records != 1 {
		t.Errorf("damage %+v", j.found.Damage)
	}
}

// TestForgedRecord: a payload holds a whole record of its own segment's form; damage before it does not bring it to
// life, since its place is part of its checksum, and the salt is not known to who sends requests.
func TestForgedRecord(t *testing.T) {
	t.Parallel()
	_, content, records := sample(t, "a", "b")
	forged := string(content[records[1].From:records[1].To])
	name, content, records := sample(t, "first", "xx"+forged+"yy", "last")
	content[records[1].From+9] ^= 0x40
	j := open(t, journal.Options{Dir: place(t, name, content)})
	if diff := cmp.Diff([]string{"first", "last"}, j.replayed); diff != "" {
		t.Errorf("replayed (-want +got):\n%s", diff)
	}
}

func FuzzRecovery(f *testing.F) {
	_, content, records := sample(f, lengths(8)...)
	f.Add(content, uint16(0), []byte(nil))
	f.Add(content[:records[3].From+5], uint16(9), []byte("\xff"))
	f.Add(content, uint16(records[2].From), make([]byte, 40))
	f.Add([]byte{}, uint16(0), []byte{1})
	f.Fuzz(func(t *testing.T, segment []byte, at uint16, over []byte) {
		segment = bytes.Clone(segment)
		if int(at) < len(segment) {
			copy(segment[at:], over)
		}
		if err := recoverFrom(t, segment); err != nil {
			t.Error(err)
		}
	})
}

// TestRandomTails: very many random ends and damages; each is recovered or cut off. The same ones every time; more of them
// with JOURNAL_TAILS=1000000, as `make tails` has it.
func TestRandomTails(t *testing.T) {
	t.Parallel()
	rounds := 20_000
	if s := os.Getenv("JOURNAL_TAILS"); s != "" {
		var err error
		if rounds, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	_, content, _ := sample(t, lengths(12)...)
	for round := range rounds {
		segment := bytes.Clone(content[:journal.DataStart+random.IntN(len(content)-journal.DataStart+1)])
		for range random.IntN(40) {
			segment = append(segment, byte(random.Uint32()))
		}
		for range random.IntN(3) {
			from := random.IntN(len(segment))
			for i := from; i < min(from+1+random.IntN(64), len(segment)); i++ {
				segment[i] = byte(random.Uint32())
			}
		}
		if random.IntN(8) == 0 {
			segment = append(segment, make([]byte, random.IntN(3000))...)
		}
		if err := recoverFrom(t, segment); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
	}
}

// recoverFrom opens a journal whose only segment is this, and goes on with it.
func recoverFrom(t *testing.T, segment []byte) error {
	t.Helper()
	fsys := newMemory()
	fsys.put("/"+journal.SegmentName(1), segment)
	j, found, err := journal.Open(journal.Options{Dir: "/", FS: fsys, SegmentBytes: 8192})
	if err != nil {
		return nil // another format's version
	}
	defer j.Close()
	if found.TornBytes < 0 || found.TornBytes > int64(len(segment)) {
		return fmt.Errorf("found %+v", found)
	}
	ticket, err := j.Append(1, []byte("next"), true)
	if err == nil {
		err = ticket.Wait(t.Context())
	}
	if err != nil {
		return err
	}
	r, err := j.NewReader(journal.Position{})
	if err != nil {
		return err
	}
	defer r.Close()
	list := drainAll(t, r)
	if len(list) != found.Records+1 || list[len(list)-1] != "next" {
		return fmt.Errorf("read %d records, replayed %d: %+v", len(list), found.Records, found)
	}
	return nil
}
