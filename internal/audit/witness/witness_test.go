package witness_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/proof"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/witness"
	"github.com/seed-240d5494/caddy-impersonate/internal/notify/webhook"
	"github.com/seed-240d5494/caddy-impersonate/test/receivers"
)

// checkpoints are n of one log, signed by a key of their own.
func checkpoints(t *testing.T, n int) (list []*audit.Checkpoint, verifier string) {
	t.Helper()
	signer, err := audit.OwnSigner(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	tree := new(audit.Tree)
	for i := range n {
		for range 7 {
			tree.Append(audit.PlaceholderLeaf(tree.Size() + 1))
		}
		c, err := audit.SignCheckpoint("kxp3vbq2mwu7zdnc", time.Date(2026, 3, 1, 9, 30, i, 123456000, time.UTC), tree, uint64(i)*7, signer)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, c)
	}
	return list, signer.Verifier()
}

func publish(t *testing.T, w audit.Witness, list ...*audit.Checkpoint) {
	t.Helper()
	for _, c := range list {
		if err := w.Publish(t.Context(), c); err != nil {
			t.Fatalf("%s: %v", w.Name(), err)
		}
	}
}

// notes are what audit verify finds in a file.
func notes(t *testing.T, file string) (list []string) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for n, err := range proof.ReadNotes(f) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, n)
	}
	return list
}

func want(list []*audit.Checkpoint) (notes []string) {
	for _, c := range list {
		notes = append(notes, c.Note)
	}
	return notes
}

// TestFile: notes stand one behind the other, each once; a torn one is left behind, and the file only grows.
func TestFile(t *testing.T) {
	list, _ := checkpoints(t, 4)
	path := filepath.Join(t.TempDir(), "checkpoints")
	publish(t, witness.NewFile(path), list[:2]...)
	publish(t, witness.NewFile(path), list[1]) // as after a crash
	if got := notes(t, path); !slices.Equal(got, want(list[:2])) {
		t.Errorf("got %q", got)
	}
	// A full disk tears the third, in each place.
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := 1; cut < len(list[2].Note); cut++ {
		torn := append(slices.Clone(whole), list[2].Note[:cut]...)
		if err := os.WriteFile(path, torn, 0o600); err != nil {
			t.Fatal(err)
		}
		publish(t, witness.NewFile(path), list[2:]...)
		after, err := os.ReadFile(path)
		if err != nil || !strings.HasPrefix(string(after), string(torn)) {
			t.Fatalf("cut at %d: what was there has changed; %v", cut, err)
		}
		got := notes(t, path)
		// Only the line break was missing: it is there twice.
		if got = slices.Compact(got); !slices.Equal(got, want(list)) {
			t.Fatalf("cut at %d: got %q", cut, got)
		}
	}
}

// TestFileFails: no directory is made, and what is no file is not written to.
func TestFileFails(t *testing.T) {
	list, _ := checkpoints(t, 1)
	dir := t.TempDir()
	for _, path := range []string{filepath.Join(dir, "not", "mounted"), dir, "/dev/full"} {
		if err := witness.NewFile(path).Publish(t.Context(), list[0]); err == nil {
			t.Errorf("%s: published", path)
		}
	}
}

// TestWebhook: the scheme's own library takes the signature; what is not answered well comes again under the same id.
func TestWebhook(t *testing.T) {
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	list, _ := checkpoints(t, 3)
	r := receivers.Webhook(t, receivers.Config{Secret: secret, Statuses: []int{503}})
	w, err := witness.NewWebhook(webhook.Options{URL: "http://" + r.Addr() + "/hook?token=HUSH", Secret: secret})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(w.Name(), "HUSH") {
		t.Errorf("its name tells: %s", w.Name())
	}
	if err := w.Publish(t.Context(), list[0]); err == nil || !strings.Contains(err.Error(), "503") || strings.Contains(err.Error(), "HUSH") {
		t.Errorf("a 503: %v", err)
	}
	publish(t, w, list...)
	var bodies string
	ids := map[string]int{}
	for range 4 {
		got := r.Next()
		if !got.Verified {
			t.Errorf("not verified: %s", got.Error)
		}
		ids[got.Header("Webhook-Id")]++
		bodies += got.Body + "\n"
	}
	if len(ids) != 3 {
		t.Errorf("ids %v", ids)
	}
	file := filepath.Join(t.TempDir(), "bodies.jsonl")
	if err := os.WriteFile(file, []byte(bodies), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := notes(t, file); !slices.Equal(got[1:], want(list)) {
		t.Errorf("got %q", got)
	}
	for _, o := range []webhook.Options{{URL: "ftp://x", Secret: secret}, {URL: "https://x"}, {URL: "https://x", Secret: "HUSH"}} {
		if _, err := witness.NewWebhook(o); err == nil || strings.Contains(err.Error(), "HUSH") {
			t.Errorf("%v: %v", o.URL, err)
		}
	}
}

// TestSyslog: a real daemon keeps what each way brings it, and what it keeps can be read again. One that is down is an error,
// except over udp, where nobody can know.
func TestSyslog(t *testing.T) {
	list, _ := checkpoints(t, 6)
	d := receivers.Syslog(t)
	sizes := map[string]*witness.Syslog{}
	for scheme, o := range map[string]witness.SyslogOptions{
		"udp": {Address: "udp://" + d.Addr}, "tcp": {Address: "tcp://" + d.Addr}, "tls": {Address: "tls://" + d.TLSAddr, CA: d.CA},
	} {
		s, err := witness.NewSyslog(o)
		if err != nil {
			t.Fatal(err)
		}
		sizes[scheme] = s
	}
	publish(t, sizes["udp"], list[0])
	publish(t, sizes["tcp"], list[1], list[2])
	publish(t, sizes["tls"], list[3], list[4])
	has := func(list ...*audit.Checkpoint) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		for {
			var got []string
			if _, err := os.Stat(d.File); err == nil {
				got = notes(t, d.File)
			}
			slices.Sort(got)
			wanted := want(list)
			slices.Sort(wanted)
			if slices.Equal(got, wanted) {
				return
			}
			select {
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
				t.Fatalf("the daemon has %d, want %d", len(got), len(wanted))
			}
		}
	}
	has(list[:5]...)
	d.Kill()
	for _, scheme := range []string{"tcp", "tls"} {
		if err := sizes[scheme].Publish(t.Context(), list[5]); err == nil {
			t.Errorf("%s: it took one though it is down", scheme)
		}
	}
	d.Start()
	publish(t, sizes["tls"], list[5])
	has(list...)

	stranger, err := witness.NewSyslog(witness.SyslogOptions{Address: "tls://" + d.TLSAddr})
	if err != nil {
		t.Fatal(err)
	}
	if err := stranger.Publish(t.Context(), list[5]); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("with a certificate that nobody vouches for: %v", err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := sizes["tcp"].Publish(cancelled, list[5]); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestSyslogOptions(t *testing.T) {
	for address, name := range map[string]string{
		"udp://logs": "syslog udp://logs:514", "tcp://logs": "syslog tcp://logs:601", "tls://[::1]": "syslog tls://[::1]:6514", "tcp://logs:99": "syslog tcp://logs:99",
		"unix:///dev/log": "syslog unix:///dev/log",
	} {
		s, err := witness.NewSyslog(witness.SyslogOptions{Address: address})
		if err != nil || s.Name() != name {
			t.Errorf("%s: %v, %v", address, s, err)
		}
	}
	for _, o := range []witness.SyslogOptions{
		{},
		{Address: "logs:514"},
		{Address: "http://logs"},
		{Address: "udp://"},
		{Address: "udp://a@logs"},
		{Address: "tcp://logs/path"},
		{Address: "unix://logs/x"},
		{Address: "\x00"},
		{Address: "udp://logs", CA: "ca.pem"},
		{Address: "tls://logs", Certificate: "c.pem"},
		{Address: "tls://logs", CA: "/not/there"},
	} {
		if s, err := witness.NewSyslog(o); err == nil {
			t.Errorf("%+v: %s", o, s.Name())
		}
	}
}

// TestSyslogSocket: a socket takes datagrams or lines.
func TestSyslogSocket(t *testing.T) {
	list, _ := checkpoints(t, 2)
	for _, network := range []string{"unixgram", "unix"} {
		path := filepath.Join(t.TempDir(), "log")
		got := make(chan string, 1)
		listen(t, network, path, got)
		s, err := witness.NewSyslog(witness.SyslogOptions{Address: "unix://" + path})
		if err != nil {
			t.Fatal(err)
		}
		publish(t, s, list[1])
		m := <-got
		if !strings.HasPrefix(m, "<109>1 2026-03-01T09:30:01.123456Z ") || !strings.Contains(m, fmt.Sprintf(" caddy-impersonate %d checkpoint - {", os.Getpid())) ||
			strings.TrimRight(m, "\n") != m != (network == "unix") || strings.ContainsFunc(m, func(r rune) bool { return r > '~' }) {
			t.Errorf("%s: %q", network, m)
		}
	}
}
