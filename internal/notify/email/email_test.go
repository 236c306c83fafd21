package email_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
	"github.com/seed-240d5494/caddy-impersonate/internal/notify"
	"github.com/seed-240d5494/caddy-impersonate/internal/notify/email"
	"github.com/seed-240d5494/caddy-impersonate/internal/state/sqlite"
	"github.com/seed-240d5494/caddy-impersonate/test/receivers"
)

var at = time.Date(2026, 3, 2, 9, 2, 0, 0, time.UTC)

func started() *notify.Message {
	return &notify.Message{
		ID: "msg_1", Kind: notify.KindStarted, At: at, ImpersonationID: "i1",
		ActorUsername: "alice", ActorName: "Alice Ng", TargetUsername: "sam", TargetName: "Sam Reed",
		Reason: "can't complete booking", Ticket: "T-1", Mode: "full", Duration: 90 * time.Minute, StartedAt: at,
		Site: "https://app.example.com", Link: "/.impersonate/history",
		To: []notify.Recipient{{Username: "sam", Name: "Sam Reed", Email: "sam@example.com", Lang: "en"}},
	}
}

func delivery(m *notify.Message) *notify.Delivery {
	return &notify.Delivery{ID: m.ID + ".email." + m.To[0].Username, Attempt: 1, Message: m, To: m.To[0]}
}

func open(t *testing.T, o email.Options) *email.Notifier {
	t.Helper()
	if o.From == "" {
		o.From = "Help desk <help@example.com>"
	}
	n, err := email.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// read is a message as a mail program reads it.
type read struct {
	mail.Header
	text, html string
}

func parse(t *testing.T, raw []byte) read {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	r := read{Header: m.Header}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	for {
		p, err := parts.NextRawPart()
		if err == io.EOF {
			return r
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(quotedprintable.NewReader(p))
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(p.Header.Get("Content-Type"), "text/html") {
			r.html = string(b)
		} else {
			r.text = string(b)
		}
	}
}

func (r read) decoded(t *testing.T, name string) string {
	t.Helper()
	s, err := new(mime.WordDecoder).DecodeHeader(r.Get(name))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSent(t *testing.T) {
	box := receivers.Mail(t, receivers.Config{})
	n := open(t, email.Options{Server: "smtp://" + box.Addr()})
	if err := n.Deliver(t.Context(), delivery(started())); err != nil {
		t.Fatal(err)
	}
	got := box.Next()
	if got.From != "help@example.com" || len(got.To) != 1 || got.To[0] != "sam@example.com" {
		t.Errorf("envelope %s to %v", got.From, got.To)
	}
	m := parse(t, got.Raw)
	for name, want := range map[string]string{
		"Subject": "Alice Ng is using your account", "From": `"Help desk" <help@example.com>`, "To": `"Sam Reed" <sam@example.com>`,
		"Auto-Submitted": "auto-generated", "Date": "Mon, 02 Mar 2026 09:02:00 +0000",
	} {
		if v := m.decoded(t, name); v != want {
			t.Errorf("%s is %q, want %q", name, v, want)
		}
	}
	if id := m.Get("Message-Id"); !strings.HasSuffix(id, "@example.com>") {
		t.Errorf("Message-ID %s", id)
	}
	for _, want := range []string{"Hello Sam Reed,", "Alice Ng has started to use your account on app.example.com.", "Reason: can't complete booking", "Ticket: T-1", "At most: 1 h 30 min", "https://app.example.com/.impersonate/history"} {
		if !strings.Contains(m.text, want) {
			t.Errorf("the text lacks %q:\n%s", want, m.text)
		}
	}
	if !strings.Contains(m.html, `href="https://app.example.com/.impersonate/history"`) || !strings.Contains(m.html, "can&#39;t complete booking") {
		t.Errorf("html:\n%s", m.html)
	}
	// Every try is the same message.
	if err := n.Deliver(t.Context(), delivery(started())); err != nil {
		t.Fatal(err)
	}
	if again := parse(t, box.Next().Raw); again.Get("Message-Id") != m.Get("Message-Id") {
		t.Error("another Message-ID at the second try")
	}
}

func TestEveryKindAndLanguage(t *testing.T) {
	box := receivers.Mail(t, receivers.Config{})
	n := open(t, email.Options{Server: "smtp://" + box.Addr(), Kinds: notify.Kinds})
	dir := os.Getenv("NOTICES_DIR") // to look at them
	for _, kind := range notify.Kinds {
		for _, language := range notify.Languages() {
			for _, to := range []string{"sam", "olga"} {
				m := started()
				m.Kind, m.To[0].Lang, m.To[0].Username = kind, language, to
				switch kind {
				case notify.KindEnded:
					m.EndedAt, m.EndCause = at.Add(12*time.Minute), "stopped"
				case notify.KindRequestDecided:
					m.Decision, m.By, m.Note = "granted", "olga", "go ahead"
				case notify.KindObjection:
					m.Consequence = "locked"
				case notify.KindDigest:
					m.Digest = &notify.Digest{From: at.AddDate(0, 0, -7), Until: at, Total: 17, Unusual: 2, Unreviewed: 1, Lines: []notify.DigestLine{
						{Actor: "Alice Ng", Target: "Sam Reed", Reason: "outage", StartedAt: at.Add(-50 * time.Hour), Duration: 3 * time.Hour, Unusual: []string{notify.OddEmergency, notify.OddOutOfHours}},
						{Actor: "Bob", Target: "Kim", StartedAt: at.Add(-20 * time.Hour), Duration: 40 * time.Second},
					}}
				}
				if err := n.Deliver(t.Context(), delivery(m)); err != nil {
					t.Fatal(err)
				}
				r := parse(t, box.Next().Raw)
				subject := r.decoded(t, "Subject")
				for _, s := range []string{subject, r.text, r.html} {
					if s == "" || strings.Contains(s, "{") && !strings.Contains(s, "<style>") || strings.Contains(s, "%!") {
						t.Errorf("%s in %s: %q", kind, language, s)
					}
				}
				if language != "en" && strings.Contains(r.text, "account of") {
					t.Errorf("%s in %s is in English:\n%s", kind, language, r.text)
				}
				if dir != "" {
					_ = os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s-%s-%s.html", kind, language, to)), []byte(r.html), 0o644)
					_ = os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s-%s-%s.txt", kind, language, to)), []byte("Subject: "+subject+"\n\n"+r.text), 0o644)
				}
			}
		}
	}
}

// TestNothingIsSmuggled: what people call themselves and write as a reason is text, in every part of an email.
func TestNothingIsSmuggled(t *testing.T) {
	box := receivers.Mail(t, receivers.Config{})
	n := open(t, email.Options{Server: "smtp://" + box.Addr()})
	plain := map[string]bool{}
	for _, evil := range []string{
		"plain words", "x\r\nBcc: evil@example.com\r\n\r\nbody", "x\nBcc: evil@example.com", "x\rBcc: evil@example.com", "\u2028Bcc: evil@example.com",
		"=?utf-8?q?x=0D=0ABcc:_evil@example.com?=", `"><script>alert(1)</script>`, `<img src=x onerror=alert(1)>`, `{{.Message}} {actor}`,
		`Sam" <evil@example.com>, "`, "名前 Zoë \U0001F600", strings.Repeat("long ", 2000), "\x00\x1b[31m", "a\u202eb", "\u2066a\u2069\u200f", `<svg onload=alert(1)>`, `</td></tr></table></body><b0rk style=x>`,
		`" style="position:fixed" onclick="alert(1)`, `javascript:alert(1)`, `https://evil.example/?q=<a href=x>`, `</style><style>*{display:none}`, "=cmd|' /C calc'!A0", "\r\n.\r\nMAIL FROM:<evil@example.com>",
	} {
		m := started()
		m.ActorName, m.TargetName, m.Reason, m.Ticket, m.To[0].Name, m.Note, m.By = evil, evil, evil, evil, evil, evil, evil
		if err := n.Deliver(t.Context(), delivery(m)); err != nil {
			t.Fatalf("%q: %v", evil, err)
		}
		got := box.Next()
		r := parse(t, got.Raw)
		if len(got.To) != 1 || got.To[0] != "sam@example.com" || r.Get("Bcc") != "" || got.From != "help@example.com" {
			t.Errorf("%q: from %s to %v, Bcc %q", evil, got.From, got.To, r.Get("Bcc"))
		}
		to, err := r.AddressList("To")
		if err != nil || len(to) != 1 || to[0].Address != "sam@example.com" {
			t.Errorf("%q: To is %q: %v", evil, r.Get("To"), err)
		}
		for part := range markup(t, r.html) {
			if len(plain) > 0 && !plain[part] {
				t.Errorf("%q: markup in the html: %s", evil, part)
			}
		}
		if len(plain) == 0 {
			plain = markup(t, r.html)
		}
		if strings.ContainsAny(r.html+r.text, "\u202e\u2066\u2069\x00\x1b") {
			t.Errorf("%q: characters that turn or end the text", evil)
		}
		if strings.ContainsAny(r.decoded(t, "Subject"), "\r\n\u202e\x00\x1b") {
			t.Errorf("%q: subject %q", evil, r.decoded(t, "Subject"))
		}
		for line := range bytes.SplitSeq(got.Raw, []byte("\r\n")) {
			if len(line) > 998 {
				t.Errorf("%.30q: a line of %d bytes", evil, len(line))
			}
		}
	}
}

// markup are the elements of a page, each with the names of its attributes and where it leads.
func markup(t *testing.T, page string) map[string]bool {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		part := n.Data
		for _, a := range n.Attr {
			part += " " + a.Key
			if a.Key == "href" || a.Key == "style" {
				part += "=" + a.Val
			}
		}
		all[part] = true
	}
	return all
}

func TestWhoHasNoAddress(t *testing.T) {
	n := open(t, email.Options{Server: "smtp://127.0.0.1:1"})
	for address, want := range map[string]bool{
		"sam@example.com": true, "sam+x@example.com": true, "": false, "sam": false, "sam@": false, "a@b.c, d@e.f": false, "Sam <sam@example.com>": false,
		"sam@example.com\r\nBcc: x@y.z": false, "sam@example.com ": false, "<sam@example.com>": false,
	} {
		m := started()
		m.To[0].Email = address
		if got := len(n.Carries(m)) == 1; got != want {
			t.Errorf("%q is an address: %v", address, got)
		}
	}
	m := started()
	m.To = append(m.To, m.To[0], notify.Recipient{Username: "SAM", Email: "sam2@example.com"})
	if got := n.Carries(m); len(got) != 1 {
		t.Errorf("one person gets %d emails", len(got))
	}
	if m.Kind = notify.KindEnded; n.Carries(m) != nil {
		t.Error("ends are sent though nobody asked for it")
	}
}

// certificate is one for 127.0.0.1, and who vouches for it.
func certificate(t *testing.T) (key, cert string, roots *x509.CertPool) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mail"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	cert = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	roots = x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(cert))
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})), cert, roots
}

func TestEncryptionAndLogin(t *testing.T) {
	key, cert, roots := certificate(t)
	for _, tt := range []struct {
		name   string
		server receivers.Config
		o      email.Options
		want   string // in the error; empty: it arrives
		tls    bool
	}{
		{"plain", receivers.Config{}, email.Options{}, "", false},
		{"offered", receivers.Config{Key: key, Cert: cert}, email.Options{}, "", true},
		{"offered, off", receivers.Config{Key: key, Cert: cert}, email.Options{TLS: email.TLSOff}, "", false},
		{"required", receivers.Config{Key: key, Cert: cert}, email.Options{TLS: email.TLSRequired, Roots: roots}, "", true},
		{"required, not offered", receivers.Config{}, email.Options{TLS: email.TLSRequired}, "STARTTLS", false},
		{"required, unknown certificate", receivers.Config{Key: key, Cert: cert}, email.Options{TLS: email.TLSRequired}, "certificate", false},
		{"implicit", receivers.Config{Key: key, Cert: cert, Implicit: true}, email.Options{Roots: roots}, "", true},
		{"login", receivers.Config{Key: key, Cert: cert, User: "gateway", Pass: "secret"}, email.Options{Username: "gateway", Password: "secret", Roots: roots}, "", true},
		{"wrong password", receivers.Config{Key: key, Cert: cert, User: "gateway", Pass: "secret"}, email.Options{Username: "gateway", Password: "guess", Roots: roots}, "535", true},
		{"login, not offered TLS", receivers.Config{User: "gateway", Pass: "secret"}, email.Options{Username: "gateway", Password: "secret"}, "STARTTLS", false},
		{"login missing", receivers.Config{Key: key, Cert: cert, User: "gateway", Pass: "secret"}, email.Options{}, "530", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			box := receivers.Mail(t, tt.server)
			scheme := "smtp://"
			if tt.server.Implicit {
				scheme = "smtps://"
			}
			tt.o.Server = scheme + box.Addr()
			err := open(t, tt.o).Deliver(t.Context(), delivery(started()))
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) || errors.Is(err, notify.ErrPermanent) {
					t.Fatalf("error %v, want one with %q that is tried again", err, tt.want)
				}
				if strings.Contains(err.Error(), "guess") {
					t.Errorf("the password is in %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := box.Next(); got.TLS != tt.tls || got.User != tt.server.User {
				t.Errorf("TLS %v as %q", got.TLS, got.User)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	box := receivers.Mail(t, receivers.Config{Refuse: "nobody@example.com", Defer: "later@example.com"})
	n := open(t, email.Options{Server: "smtp://" + box.Addr()})
	for address, permanent := range map[string]bool{"nobody@example.com": true, "later@example.com": false} {
		m := started()
		m.To[0].Email = address
		if err := n.Deliver(t.Context(), delivery(m)); err == nil || errors.Is(err, notify.ErrPermanent) != permanent {
			t.Errorf("%s: %v", address, err)
		}
	}
	box.Kill()
	if err := n.Deliver(t.Context(), delivery(started())); err == nil || errors.Is(err, notify.ErrPermanent) {
		t.Errorf("a server that is down: %v", err)
	}
}

// TestServerHangs: a server that takes the connection and says nothing does not hold a delivery for ever.
func TestServerHangs(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	n := open(t, email.Options{Server: "smtp://" + l.Addr().String(), Timeout: 200 * time.Millisecond})
	done := make(chan error, 1)
	go func() { done <- n.Deliver(t.Context(), delivery(started())) }()
	select {
	case err := <-done:
		if err == nil || errors.Is(err, notify.ErrPermanent) {
			t.Errorf("error %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("it hangs")
	}
}

func TestOwnTemplates(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("README", "not a template")
	write("impersonation_started.de.txt", "{{define \"subject\"}}ACME:\r\n {{.Message.ActorName}}{{end}}Hallo {{.Recipient.Name}}")
	write("message.html", "<p>ACME {{.Message.Reason}}</p>")
	box := receivers.Mail(t, receivers.Config{})
	n := open(t, email.Options{Server: "smtp://" + box.Addr(), Templates: dir})
	m := started()
	m.To[0].Lang, m.Reason = "de", "<b>"
	if err := n.Deliver(t.Context(), delivery(m)); err != nil {
		t.Fatal(err)
	}
	r := parse(t, box.Next().Raw)
	if r.decoded(t, "Subject") != "ACME: Alice Ng" || strings.TrimSpace(r.text) != "Hallo Sam Reed" || strings.TrimSpace(r.html) != "<p>ACME &lt;b&gt;</p>" {
		t.Errorf("%q\n%s\n%s", r.decoded(t, "Subject"), r.text, r.html)
	}
	for name, content := range map[string]string{
		"impersonation_start.txt": "unknown kind", "message.xx.txt": "unknown language", "message.txt": "{{.Nothing}}", "digest.html": "{{if}}",
		"digest.txt": "{{range .Message.Digest.Lines}}{{.Nothing}}{{end}}", "objection.txt": `{{define "subject"}} {{end}}`, "request_decided.txt": strings.Repeat("x", 300<<10),
	} {
		write(name, content)
		_, err := email.New(email.Options{Server: "smtp://mail", From: "a@b.example", Templates: dir})
		if err == nil || !strings.Contains(err.Error(), "templates") {
			t.Errorf("%s: error %v", name, err)
		}
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestNothingLostOverKills: the mail server is killed and started again while notices are on their way. Each arrives;
// one that was being taken in that moment may arrive twice, as the same message.
func TestNothingLostOverKills(t *testing.T) {
	const messages, kills = 60, 4
	box := receivers.Mail(t, receivers.Config{})
	n := open(t, email.Options{Server: "smtp://" + box.Addr()})
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	manual := clock.NewManual(at)
	sent := make(chan notify.Outcome, messages)
	q, err := notify.NewQueue(t.Context(), notify.Options{Store: store, Clock: manual, Report: func(_ context.Context, o notify.Outcome) error { sent <- o; return nil }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(q.Close(context.Background()), store.Close()) })
	if err := q.Use(t.Context(), []notify.Notifier{n}); err != nil {
		t.Fatal(err)
	}
	put := 0
	var taken []receivers.Got
	for k := range kills + 1 {
		for ; put < messages*(k+1)/(kills+1); put++ {
			m := started()
			m.ID = fmt.Sprint("msg_", put)
			if err := q.Put(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
		if k < kills {
			taken = append(taken, box.Next()) // some are on their way
			box.Kill()
			box.Start()
		}
	}
	ok := map[string]bool{}
	for deadline := time.Now().Add(5 * time.Minute); len(ok) < messages && time.Now().Before(deadline); {
		select {
		case o := <-sent:
			if !o.Sent || ok[o.Delivery] {
				t.Errorf("outcome %+v", o)
			}
			ok[o.Delivery] = true
		case <-time.After(50 * time.Millisecond):
			manual.Advance(5 * time.Second) // what failed is due again
			q.Wake()
		}
	}
	if len(ok) != messages {
		t.Fatalf("%d of %d were delivered", len(ok), messages)
	}
	box.Kill()
	close(box.Got)
	for g := range box.Got {
		taken = append(taken, g)
	}
	ids := map[string]bool{}
	for _, g := range taken {
		ids[parse(t, g.Raw).Get("Message-Id")] = true
	}
	if len(ids) != messages || len(taken) > messages+4*kills {
		t.Errorf("%d arrived, %d different ones, of %d", len(taken), len(ids), messages)
	}
}
