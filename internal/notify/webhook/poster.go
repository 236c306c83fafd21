package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
	"github.com/seed-240d5494/caddy-impersonate/internal/notify"
)

// Poster sends JSON to one address, signed after the Standard Webhooks scheme.
type Poster struct {
	url    string
	secret []byte // nil: not signed
	clock  clock.Clock
	client *http.Client
}

// NewPoster checks the options that a Poster has: URL, Secret, Clock, Client. name is fit for logs. It reaches for nobody.
func NewPoster(o Options) (p *Poster, name string, err error) {
	u, err := CheckURL(o.URL)
	if err != nil {
		return nil, "", err
	}
	p = &Poster{url: o.URL, clock: o.Clock, client: o.Client}
	if p.secret, err = ParseSecret(o.Secret); err != nil {
		return nil, "", err
	}
	p.setDefaults()
	return p, nameOf(u), nil
}

func (p *Poster) setDefaults() {
	if p.clock == nil {
		p.clock = clock.System
	}
	if p.client == nil {
		p.client = &http.Client{
			Timeout: timeout, Transport: http.DefaultTransport.(*http.Transport).Clone(),
			// What is signed for one address is not for another.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
}

// Post sends content, the same id at every try. The error is [notify.ErrPermanent] when the receiver wants no more.
func (p *Poster) Post(ctx context.Context, id string, content []byte) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(content))
	if err != nil {
		return errors.New("the address can't be read")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "caddy-impersonate")
	if p.secret != nil {
		at := strconv.FormatInt(p.clock.Now().Unix(), 10)
		id := deliveryID(id)
		req.Header.Set("Webhook-Id", id)
		req.Header.Set("Webhook-Timestamp", at)
		req.Header.Set("Webhook-Signature", "v1,"+sign(p.secret, id, at, content))
	}
	resp, err := p.client.Do(req)
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

// Close lets go of idle connections.
func (p *Poster) Close() { p.client.CloseIdleConnections() }

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
