// Package webhook carries notices by HTTP: signed after the Standard Webhooks scheme, or as Slack takes them.
package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
	"github.com/seed-240d5494/caddy-impersonate/internal/notify"
)

const (
	timeout     = 15 * time.Second
	maxResponse = 4 << 10 // bytes of an answer that are read
	maxShown    = 200     // and of it, characters that the log is told
)

// Options are where notices go. URL is required.
type Options struct {
	URL string
	// Secret signs: "whsec_" and 24 to 64 bytes in base64. Required unless Slack.
	Secret string
	// Slack sends what an incoming webhook of Slack, or of what follows it (Mattermost, Rocket.Chat, Discord's /slack),
	// takes. It is not signed: its URL is the secret.
	Slack bool
	// Kinds are those that are sent; empty: all.
	Kinds []notify.Kind
	// Zone is the one times are told in to people; nil: UTC.
	Zone  *time.Location
	Lang  string      // of what people read; default: English
	Clock clock.Clock // default: the system's
	// Client is for tests; default: one that follows no redirect and waits 15 s.
	Client *http.Client
}

// Notifier is [notify.Notifier] by webhook.
type Notifier struct {
	o      Options
	name   string
	secret []byte
	client *http.Client
}

// New checks the options. It reaches for nobody.
func New(o Options) (*Notifier, error) {
	kind := "webhook"
	if o.Slack {
		kind = "slack"
	}
	u, err := CheckURL(o.URL)
	if err != nil {
		return nil, fmt.Errorf("notify %s: %w", kind, err)
	}
	n := &Notifier{o: o, client: o.Client}
	if !o.Slack {
		if n.secret, err = ParseSecret(o.Secret); err != nil {
			return nil, fmt.Errorf("notify %s: %w", kind, err)
		}
	}
	// The address may be a secret itself.
	sum := sha256.Sum256([]byte(o.URL))
	n.name = kind + " " + u.Host + " " + hex.EncodeToString(sum[:4])
	if n.o.Clock == nil {
		n.o.Clock = clock.System
	}
	if n.client == nil {
		n.client = &http.Client{
			Timeout: timeout, Transport: http.DefaultTransport.(*http.Transport).Clone(),
			// What is signed for one address is not for another.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	return n, nil
}

// CheckURL tells whether notices can be sent there. Its errors don't repeat it.
func CheckURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil || len(s) > 2048:
		return nil, errors.New("the address can't be read; write such as https://hooks.example.com/impersonations")
	case u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "":
		return nil, errors.New("the address is no URL; write such as https://hooks.example.com/impersonations")
	case u.User != nil || u.Fragment != "":
		return nil, errors.New("the address holds a user or a fragment; leave them out: the secret signs what is sent")
	}
	return u, nil
}

// ParseSecret reads a secret of the Standard Webhooks scheme. Its errors don't repeat it.
func ParseSecret(s string) ([]byte, error) {
	const how = `write "whsec_" and 24 to 64 random bytes in base64, as from: echo "whsec_$(openssl rand -base64 32)"`
	if s == "" {
		return nil, errors.New("secret: none is given; " + how)
	}
	b, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(s, "whsec_"))
	if err != nil || len(b) < 24 || len(b) > 64 {
		return nil, errors.New("secret: not one of the Standard Webhooks scheme; " + how)
	}
	return b, nil
}

// Name implements [notify.Notifier].
func (n *Notifier) Name() string { return n.name }

// Carries implements [notify.Notifier]: one delivery for all.
func (n *Notifier) Carries(m *notify.Message) []notify.Recipient {
	if len(n.o.Kinds) > 0 && !slices.Contains(n.o.Kinds, m.Kind) {
		return nil
	}
	return []notify.Recipient{{Lang: n.o.Lang}}
}

// Deliver implements [notify.Notifier].
func (n *Notifier) Deliver(ctx context.Context, d *notify.Delivery) error {
	var body any = payloadOf(d.Message)
	if n.o.Slack {
		body = slackOf(d.Message.TextFor(&d.To, n.o.Zone))
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(body); err != nil {
		return fmt.Errorf("encoding a notice: %w", err)
	}
	content := bytes.TrimSpace(b.Bytes())
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.o.URL, bytes.NewReader(content))
	if err != nil {
		return errors.New("the address can't be read")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "caddy-impersonate")
	if !n.o.Slack {
		at := strconv.FormatInt(n.o.Clock.Now().Unix(), 10)
		id := deliveryID(d.ID)
		req.Header.Set("Webhook-Id", id)
		req.Header.Set("Webhook-Timestamp", at)
		req.Header.Set("Webhook-Signature", "v1,"+sign(n.secret, id, at, content))
	}
	resp, err := n.client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) { // its text has the address, which may be a secret
			err = u.Err
		}
		return fmt.Errorf("calling %s: %w", req.URL.Host, err)
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(io.LimitReader(resp.Body, maxResponse)) // it helps to understand, and no more
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return nil
	}
	err = fmt.Errorf("%s answered %d: %s", req.URL.Host, resp.StatusCode, notify.Line(string(answer), maxShown))
	if resp.StatusCode == http.StatusGone { // it wants no more, says the scheme
		err = fmt.Errorf("%w: %w", notify.ErrPermanent, err)
	}
	return err
}

// sign is the scheme's: HMAC-SHA256 of id, time and content.
func sign(secret []byte, id, at string, content []byte) string {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(id + "." + at + "."))
	h.Write(content)
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// deliveryID is the delivery's id as it can stand in a header: the scheme takes no dots in it.
func deliveryID(id string) string {
	sum := sha256.Sum256([]byte(id))
	return "msg_" + hex.EncodeToString(sum[:16])
}
