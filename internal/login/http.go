package login

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
)

const (
	// maxAnswer bounds each of the provider's answers, as read (after decompression).
	maxAnswer = 512 << 10
	// providerTimeout bounds each exchange with the provider, body included.
	providerTimeout = 10 * time.Second
)

var errAnswerTooLarge = fmt.Errorf("the provider's answer is larger than %d KiB", maxAnswer>>10)

// boundedClient is base with bounds: on the time of an exchange, on the size of an answer, and on where it goes. A
// redirect is not followed: none of the endpoints asked has a reason to send one, and following it would carry the
// client's secret or a person's token somewhere else.
func boundedClient(base *http.Client) *http.Client {
	c := &http.Client{Timeout: providerTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	var next http.RoundTripper
	if base != nil {
		next = base.Transport
		if base.Timeout > 0 {
			c.Timeout = base.Timeout
		}
	}
	if next == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxResponseHeaderBytes = 64 << 10
		t.MaxConnsPerHost = 32
		next = t
	}
	c.Transport = boundedTransport{next}
	return c
}

type boundedTransport struct{ next http.RoundTripper }

func (t boundedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	res.Body = &boundedBody{ReadCloser: res.Body, left: maxAnswer}
	return res, nil
}

type boundedBody struct {
	io.ReadCloser
	left int
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		// One byte more tells a full answer from a cut one.
		if n, err := b.ReadCloser.Read(make([]byte, 1)); n == 0 {
			return 0, err
		}
		return 0, errAnswerTooLarge
	}
	if len(p) > b.left {
		p = p[:b.left]
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= n
	return n, err
}

var errKeysAskedTooOften = errors.New("the provider's keys were asked for too often; not asked again yet")

// keyGate lets requests for the provider's keys through at a bounded rate: a token that names an unknown key makes
// the key set be fetched again, and anybody can write such a token.
type keyGate struct {
	next   http.RoundTripper
	bucket *bucket
}

func (g keyGate) RoundTrip(r *http.Request) (*http.Response, error) {
	if !g.bucket.take() {
		return nil, errKeysAskedTooOften
	}
	return g.next.RoundTrip(r)
}

// bucket gives out burst tokens, and a further one every so often.
type bucket struct {
	clock clock.Clock
	burst int
	every time.Duration

	mu   sync.Mutex
	full time.Time // when it holds all its tokens again
}

func newBucket(c clock.Clock, burst int, every time.Duration) *bucket {
	return &bucket{clock: c, burst: burst, every: every}
}

func (b *bucket) take() bool {
	now := b.clock.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.full.Before(now) {
		b.full = now
	}
	if b.full.Add(b.every).Sub(now) > time.Duration(b.burst)*b.every {
		return false
	}
	b.full = b.full.Add(b.every)
	return true
}
