package webhook_test

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-240d5494/caddy-impersonate/internal/notify"
	"github.com/seed-240d5494/caddy-impersonate/internal/notify/webhook"
	"github.com/seed-240d5494/caddy-impersonate/test/receivers"
)

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

var at = time.Date(2026, 3, 2, 9, 2, 0, 0, time.UTC)

func started() *notify.Message {
	return &notify.Message{
		ID: "msg_1", Kind: notify.KindStarted, At: at, ImpersonationID: "i1",
		ActorID: "a1", ActorUsername: "alice", ActorName: "Alice Ng", TargetID: "s1", TargetUsername: "sam", TargetName: "Sam Reed",
		Reason: "can't complete <booking> & more ✓", Ticket: "T-1", Mode: "full", Policy: "support", Duration: 90 * time.Minute, StartedAt: at,
		Site: "https://app.example.com", Link: "/.impersonate/history", To: []notify.Recipient{{Username: "sam"}},
	}
}

func delivery(m *notify.Message) *notify.Delivery {
	return &notify.Delivery{ID: m.ID + ".webhook", Attempt: 1, Message: m}
}

func open(t *testing.T, o webhook.Options) *webhook.Notifier {
	t.Helper()
	n, err := webhook.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestReferenceLibraryVerifies: what is sent is what the scheme's own library accepts, and every try has one id.
func TestReferenceLibraryVerifies(t *testing.T) {
	r := receivers.Webhook(t, receivers.Config{Secret: secret, Statuses: []int{500, 204}})
	n := open(t, webhook.Options{URL: "http://" + r.Addr() + "/hook", Secret: secret})
	if err := n.Deliver(t.Context(), delivery(started())); err == nil || errors.Is(err, notify.ErrPermanent) {
		t.Errorf("a 500: %v", err)
	}
	if err := n.Deliver(t.Context(), delivery(started())); err != nil {
		t.Error(err)
	}
	first, second := r.Next(), r.Next()
	if !first.Verified || !second.Verified || first.Path != "/hook" {
		t.Errorf("%+v\n%+v", first, second)
	}
	if id := first.Header("Webhook-Id"); id == "" || id != second.Header("Webhook-Id") || strings.Contains(id, ".") {
		t.Errorf("ids %q and %q", id, second.Header("Webhook-Id"))
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(second.Body), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"type": "impersonation_started", "timestamp": "2026-03-02T09:02:00Z",
		"data": map[string]any{
			"impersonation_id": "i1", "actor": map[string]any{"id": "a1", "username": "alice", "name": "Alice Ng"},
			"target": map[string]any{"id": "s1", "username": "sam", "name": "Sam Reed"}, "reason": "can't complete <booking> & more ✓", "ticket": "T-1",
			"mode": "full", "policy": "support", "duration_seconds": 5400.0, "started_at": "2026-03-02T09:02:00Z",
			"site": "https://app.example.com", "url": "https://app.example.com/.impersonate/history", "recipients": []any{"sam"},
		},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestOtherSecretDoesNotVerify(t *testing.T) {
	r := receivers.Webhook(t, receivers.Config{Secret: "whsec_" + strings.Repeat("QUJD", 8)})
	if err := open(t, webhook.Options{URL: "http://" + r.Addr(), Secret: secret}).Deliver(t.Context(), delivery(started())); err != nil {
		t.Fatal(err)
	}
	if got := r.Next(); got.Verified {
		t.Error("verified with another secret")
	}
}

func TestAnswers(t *testing.T) {
	for status, want := range map[int]string{
		200: "", 202: "", 301: "answered 301", 302: "answered 302", 307: "answered 307", 308: "answered 308", 400: "answered 400", 401: "answered 401",
		410: "answered 410", 429: "answered 429", 503: "answered 503",
	} {
		r := receivers.Webhook(t, receivers.Config{Statuses: []int{status}, Flood: 5 << 20})
		err := open(t, webhook.Options{URL: "http://" + r.Addr() + "/hook", Secret: secret}).Deliver(t.Context(), delivery(started()))
		if want == "" != (err == nil) || err != nil && (!strings.Contains(err.Error(), want) || len(err.Error()) > 1000) || errors.Is(err, notify.ErrPermanent) != (status == 410) {
			t.Errorf("%d: %.300v", status, err)
		}
		r.Next()
		if len(r.Got) > 0 {
			t.Errorf("%d: followed to %s", status, r.Next().Path)
		}
		r.Kill()
	}
}

// TestAddressIsKept: the address of a webhook may be all the secret there is.
func TestAddressIsKept(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	n := open(t, webhook.Options{URL: "http://" + addr + "/services/T00/B00/HUSH?token=HUSH", Slack: true})
	err = n.Deliver(t.Context(), delivery(started()))
	if err == nil || strings.Contains(err.Error(), "HUSH") || strings.Contains(n.Name(), "HUSH") {
		t.Errorf("%v by %s", err, n.Name())
	}
	if other := open(t, webhook.Options{URL: "http://" + addr + "/services/T00/B00/OTHER", Slack: true}); other.Name() == n.Name() {
		t.Error("two addresses have one name")
	}
}

func TestSlack(t *testing.T) {
	r := receivers.Webhook(t, receivers.Config{})
	n := open(t, webhook.Options{URL: "http://" + r.Addr(), Slack: true})
	m := started()
	m.ActorName, m.Reason = "<!channel> Alice", "<https://evil.example|click> & "+strings.Repeat("&", 5000)
	if err := n.Deliver(t.Context(), delivery(m)); err != nil {
		t.Fatal(err)
	}
	got := r.Next()
	var s struct {
		Text   string
		Blocks []struct {
			Type   string
			Text   *struct{ Type, Text string }
			Fields []struct{ Type, Text string }
		}
	}
	if err := json.Unmarshal([]byte(got.Body), &s); err != nil {
		t.Fatal(err)
	}
	if s.Text != "&lt;!channel&gt; Alice is using the account of Sam Reed" || len(s.Blocks) != 4 || got.Header("Webhook-Signature") != "" {
		t.Errorf("%+v", s)
	}
	if strings.Contains(got.Body, "<!channel") || strings.Contains(got.Body, "<https://evil") {
		t.Errorf("what people wrote is markup: %s", got.Body)
	}
	for _, b := range s.Blocks {
		if b.Text != nil && len(b.Text.Text) > 3000 || len(b.Fields) > 10 {
			t.Error("Slack would refuse a block")
		}
		for _, f := range b.Fields {
			if len(f.Text) > 2000 {
				t.Errorf("Slack would refuse a field of %d bytes", len(f.Text))
			}
		}
	}
}

func TestOptions(t *testing.T) {
	for _, tt := range []struct{ url, secret, want string }{
		{"https://hooks.example.com/x", secret, ""},
		{"https://hooks.example.com/x", secret[len("whsec_"):], ""},
		{"http://hooks.internal/x", secret, ""},
		{"https://hooks.example.com/x", "", "none is given"},
		{"https://hooks.example.com/x", "hush", "not one of the Standard Webhooks"},
		{"https://hooks.example.com/x", "whsec_AAAA", "not one of the Standard Webhooks"},
		{"ftp://hooks.example.com/x", secret, "no URL"},
		{"hooks.example.com", secret, "no URL"},
		{"https://user:HUSH@hooks.example.com", secret, "holds a user"},
		{"https://hooks.example.com/%zzHUSH", secret, "can't be read"},
	} {
		_, err := webhook.New(webhook.Options{URL: tt.url, Secret: tt.secret})
		if tt.want == "" != (err == nil) || err != nil && (!strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "HUSH") || strings.Contains(err.Error(), "hush")) {
			t.Errorf("%s %s: %v", tt.url, tt.secret, err)
		}
	}
}

func TestHangs(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	n := open(t, webhook.Options{URL: "http://" + l.Addr().String(), Secret: secret, Client: &http.Client{Timeout: 100 * time.Millisecond}})
	if err := n.Deliver(t.Context(), delivery(started())); err == nil || errors.Is(err, notify.ErrPermanent) {
		t.Errorf("error %v", err)
	}
}
