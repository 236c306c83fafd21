package caddymodule

import (
	"strconv"

	"github.com/seed-240d5494/caddy-impersonate/config"
)

// pollingOptions are those of every directory elsewhere.
var pollingOptions = []string{"every", "keep", "timeout", "limit"}

// parsePolling reads one of them.
func parsePolling(b *block, option string, p *config.Polling) error {
	switch option {
	case "every":
		return b.duration(option, &p.Every, "1m")
	case "keep":
		return b.duration(option, &p.Keep, "1h")
	case "timeout":
		return b.duration(option, &p.Timeout, "20s")
	case "limit":
		var s string
		if err := b.value(option, &s, "100000"); err != nil {
			return err
		}
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return b.Errf("%s: limit: %q is not how many; write such as: limit 100000", b.name, s)
		}
		p.Limit = n
		return nil
	}
	return b.unknown(option)
}
