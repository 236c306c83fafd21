package witness

import (
	"context"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/notify/webhook"
)

// Webhook posts each checkpoint as JSON, signed after the Standard Webhooks scheme. Whatever is not answered with 2xx comes
// again, under the same Webhook-Id.
type Webhook struct {
	to   *webhook.Poster
	name string
}

// NewWebhook checks URL and Secret, and reaches for nobody.
func NewWebhook(o webhook.Options) (*Webhook, error) {
	p, name, err := webhook.NewPoster(o)
	if err != nil {
		return nil, err
	}
	return &Webhook{p, "webhook " + name}, nil
}

// Name implements [audit.Witness].
func (w *Webhook) Name() string { return w.name }

// Publish implements [audit.Witness].
func (w *Webhook) Publish(ctx context.Context, c *audit.Checkpoint) error {
	b, err := line(c)
	if err != nil {
		return err
	}
	return w.to.Post(ctx, id(c), b)
}

// Close implements [audit.Witness].
func (w *Webhook) Close() error {
	w.to.Close()
	return nil
}

var _ audit.Witness = (*Webhook)(nil)
