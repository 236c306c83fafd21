package config

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // rules name time zones; what they mean must not hang on what the machine has installed
)

// Limits narrow a policy: when, from where, how many at once, and what has to be written down.
type Limits struct {
	// Hours are when it may be used, as "mon-fri 08:00-18:00 Europe/Berlin"; an impersonation ends with them. Outside
	// them the next policy is looked at. Default: always.
	Hours []string `json:"hours,omitempty"`

	// Networks are where requests may come from: addresses and networks such as 10.0.0.0/8, or private_ranges. From
	// elsewhere the next policy is looked at. Default: anywhere.
	Networks []string `json:"networks,omitempty"`

	// LimitActor is how many impersonations one actor may have at once, LimitTarget how many there may be of one target,
	// under whatever policy. Default: any number. At most 1000.
	LimitActor  int `json:"limit_actor,omitempty"`
	LimitTarget int `json:"limit_target,omitempty"`

	// MinReason and MaxReason are how long a reason must and may be, in characters. Default: 3 and 500.
	MinReason int `json:"min_reason,omitempty"`
	MaxReason int `json:"max_reason,omitempty"`

	// Ticket is what tickets look like. Default: anything.
	Ticket Ticket `json:"ticket,omitzero"`
}

// Ticket is what tickets look like, and where they are.
type Ticket struct {
	// Pattern is a regular expression (RE2) that a whole ticket has to match. Default: any will do.
	Pattern string `json:"pattern,omitempty"`

	// Example is a ticket as one should look, shown to people. Default: none.
	Example string `json:"example,omitempty"`

	// URL is where one can be read, with {ticket} in its place. Default: tickets are no links.
	URL string `json:"url,omitempty"`
}

const (
	maxLimit      = 1000
	maxHours      = 50
	maxNetworks   = 500
	maxReason     = 500
	privateRanges = "private_ranges"
)

func (l *Limits) validate(what string) error {
	var errs []error
	add := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf(what+": "+format, args...))
	}
	if len(l.Hours) > maxHours || len(l.Networks) > maxNetworks {
		add("%d hours and %d networks; at most %d and %d", len(l.Hours), len(l.Networks), maxHours, maxNetworks)
		return errors.Join(errs...)
	}
	for _, h := range l.Hours {
		if _, err := ParseHours(h); err != nil {
			add("%w", err)
		}
	}
	if _, err := ParseNetworks(l.Networks); err != nil {
		add("%w", err)
	}
	for _, n := range []struct {
		of    string
		limit int
	}{{"actor", l.LimitActor}, {"target", l.LimitTarget}} {
		if n.limit < 0 || n.limit > maxLimit {
			add("limit %s %d: must be from 1 to %d", n.of, n.limit, maxLimit)
		}
	}
	if l.MinReason < 0 || l.MinReason > maxReason || l.MaxReason < 0 || l.MaxReason > maxReason || l.MaxReason > 0 && l.MaxReason < l.MinReason {
		add("reason_length %d %d: must be from 1 to %d, the first not more than the second", l.MinReason, l.MaxReason, maxReason)
	}
	return errors.Join(errs...)
}

// Hours are times of the week at a place.
type Hours struct {
	Days     [7]bool       // by [time.Weekday]
	From, To time.Duration // of the day; a To not after From is one of the next day
	In       *time.Location
}

var (
	clockTime = regexp.MustCompile(`^([0-9]{1,2}):([0-9]{2})$`)
	weekdays  = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}
)

// ParseHours reads such as "mon-fri 08:00-18:00 Europe/Berlin": days (one, a list with commas, a range, or daily), from
// and to, time zone.
func ParseHours(s string) (Hours, error) {
	const example = "mon-fri 08:00-18:00 Europe/Berlin"
	var h Hours
	bad := func(why string) (Hours, error) {
		return Hours{}, fmt.Errorf("hours %.80q: %s; write such as: hours %s", s, why, example)
	}
	parts := strings.Fields(s)
	if len(parts) != 3 {
		return bad("must be days, times and a time zone")
	}
	for one := range strings.SplitSeq(parts[0], ",") {
		if one == "daily" {
			h.Days = [7]bool{true, true, true, true, true, true, true}
			continue
		}
		first, last, isRange := strings.Cut(one, "-")
		if !isRange {
			last = first
		}
		from, to := slices.Index(weekdays, first), slices.Index(weekdays, last)
		if from < 0 || to < 0 {
			return bad(fmt.Sprintf("%.20q is no day; the days are mon, tue, wed, thu, fri, sat, sun and daily", one))
		}
		for d := from; ; d = (d + 1) % 7 {
			if h.Days[d] = true; d == to {
				break
			}
		}
	}
	from, to, _ := strings.Cut(parts[1], "-")
	var err error
	if h.From, err = parseClock(from); err == nil {
		h.To, err = parseClock(to)
	}
	switch {
	case err != nil:
		return bad(err.Error())
	case h.From == day:
		return bad("a day does not begin at 24:00")
	case h.From == h.To:
		return bad("they end when they begin; the whole day is 00:00-24:00")
	}
	if parts[2] == "Local" {
		return bad("Local is another place on each machine")
	}
	if h.In, err = time.LoadLocation(parts[2]); err != nil {
		return bad(fmt.Sprintf("%.40q is no time zone", parts[2]))
	}
	return h, nil
}

func parseClock(s string) (time.Duration, error) {
	m := clockTime.FindStringSubmatch(s)
	if m == nil {
		return 0, fmt.Errorf("%.20q is no time of day", s)
	}
	hour, _ := strconv.Atoi(m[1])   //nolint:errcheck // digits
	minute, _ := strconv.Atoi(m[2]) //nolint:errcheck // digits
	if hour > 24 || minute > 59 || hour == 24 && minute > 0 {
		return 0, fmt.Errorf("%.20q is no time of day", s)
	}
	return time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute, nil
}

// ParseNetworks reads addresses, networks, and private_ranges, which stands for the private networks.
func ParseNetworks(all []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for i, s := range all {
		if slices.Contains(all[:i], s) {
			return nil, fmt.Errorf("network %s: already specified; remove one", s)
		}
		if s == privateRanges {
			for _, p := range []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "fd00::/8", "::1/128"} {
				out = append(out, netip.MustParsePrefix(p))
			}
			continue
		}
		p, err := netip.ParsePrefix(s)
		if err != nil {
			var a netip.Addr
			if a, err = netip.ParseAddr(s); err == nil && a.Zone() == "" {
				p = netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen())
			}
		}
		switch {
		case err != nil || !p.IsValid():
			return nil, fmt.Errorf("network %.60q: neither address nor network; write such as 10.0.0.0/8, 2001:db8::/32 or %s", s, privateRanges)
		case p.Addr().Is4In6():
			return nil, fmt.Errorf("network %s: write it as one of IPv4", s)
		case p != p.Masked():
			return nil, fmt.Errorf("network %s: has more bits than its length; write %s", s, p.Masked())
		}
		out = append(out, p)
	}
	return out, nil
}
