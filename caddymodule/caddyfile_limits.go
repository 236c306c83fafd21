package caddymodule

import (
	"slices"
	"strconv"
	"strings"

	"github.com/seed-240d5494/caddy-impersonate/config"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
)

// parseLimit reads the options of a policy that narrow it. Syntax:
//
//	hours         <days> <from>-<to> <time zone>
//	network       <address or network…>
//	limit         actor|target <n>
//	reason_length <at least> [<at most>]
//	ticket {
//	    pattern <regular expression>
//	    example <ticket>
//	    url     <url with {ticket}>
//	}
func parseLimit(b *block, option string, l *config.Limits) error {
	switch option {
	case "hours":
		v, err := b.values(option, 3, 3, "hours mon-fri 08:00-18:00 Europe/Berlin")
		if err != nil {
			return err
		}
		h := strings.Join(v, " ")
		if _, err := config.ParseHours(h); err != nil {
			return b.Errf("%s: %w", b.name, err)
		}
		if slices.Contains(l.Hours, h) {
			return b.Errf("%s: hours %s: already specified; remove one", b.name, h)
		}
		l.Hours = append(l.Hours, h)
	case "network":
		if err := b.once(option); err != nil {
			return err
		}
		v, err := b.values(option, 1, -1, "network 10.0.0.0/8 2001:db8::/32")
		if err != nil {
			return err
		}
		if _, err := config.ParseNetworks(v); err != nil {
			return b.Errf("%s: %w", b.name, err)
		}
		l.Networks = v
	case "limit":
		return parseLive(b, l)
	case "reason_length":
		return parseReasonLength(b, l)
	case "ticket":
		return parseTicket(b, &l.Ticket)
	}
	return nil
}

// parseLive reads how many there may be at once.
func parseLive(b *block, l *config.Limits) error {
	const option, example = "limit", "limit actor 1"
	v, err := b.values(option, 2, 2, example)
	if err != nil {
		return err
	}
	into := &l.LimitActor
	switch v[0] {
	case "actor":
	case "target":
		into = &l.LimitTarget
	default:
		return b.Errf("%s: limit: %q is not known; write actor or target: %s", b.name, v[0], example)
	}
	if err := b.once(option, v[0]); err != nil {
		return err
	}
	if *into, err = strconv.Atoi(v[1]); err != nil || *into < 1 {
		return b.Errf("%s: limit %s: %q is not how many; write a number from 1 on: %s", b.name, v[0], v[1], example)
	}
	return nil
}

func parseReasonLength(b *block, l *config.Limits) error {
	const option, example = "reason_length", "reason_length 20"
	if err := b.once(option); err != nil {
		return err
	}
	v, err := b.values(option, 1, 2, example)
	if err != nil {
		return err
	}
	for i, into := range []*int{&l.MinReason, &l.MaxReason}[:len(v)] {
		if *into, err = strconv.Atoi(v[i]); err != nil || *into < 1 {
			return b.Errf("%s: reason_length: %q is no number of characters; write such as: %s", b.name, v[i], example)
		}
	}
	return nil
}

func parseTicket(b *block, t *config.Ticket) error {
	if err := b.once("ticket"); err != nil {
		return err
	}
	err := readBlock(b.Dispenser, "ticket", []string{"pattern", "example", "url"}, func(b *block, option string) error {
		switch option {
		case "pattern":
			if err := b.value(option, &t.Pattern, "`[A-Z]+-[0-9]+`"); err != nil {
				return err
			}
			return b.wrongTicket(policy.Ticket{Pattern: t.Pattern})
		case "example":
			return b.value(option, &t.Example, "SUP-1234")
		case "url":
			if err := b.value(option, &t.URL, "https://tickets.example.com/browse/{ticket}"); err != nil {
				return err
			}
			return b.wrongTicket(policy.Ticket{URL: t.URL})
		}
		return b.unknown(option)
	})
	if err != nil {
		return err
	}
	return b.wrongTicket(policy.Ticket(*t))
}

func (b *block) wrongTicket(t policy.Ticket) error {
	err := policy.CheckTicket(t)
	switch {
	case err == nil:
		return nil
	case b.name == "ticket":
		return b.Errf("ticket: %w", err)
	}
	return b.Errf("%s: ticket: %w", b.name, err)
}
