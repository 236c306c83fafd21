// Package webhook carries notices by HTTP: signed after the Standard Webhooks scheme, or as Slack takes them.
package webhook

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
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
	o    Options
	name string
	to   *Poster
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
	p := &Poster{url: o.URL, clock: o.Clock, client: o.Client}
	if !o.Slack {
		if p.secret, err = ParseSecret(o.Secret); err != nil {
			return nil, fmt.Errorf("notify %s: %w", kind, err)
		}
	}
	p.setDefaults()
	return &Notifier{o: o, name: kind + " " + nameOf(u), to: p}, nil
}

// nameOf names an address, which may be a secret itself.
func nameOf(u *url.URL) string {
	sum := sha256.Sum256([]byte(u.String()))
	return u.Host + " " + hex.EncodeToString(sum[:4])
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
	return n.to.Post(ctx, d.ID, bytes.TrimSpace(b.Bytes()))
}
