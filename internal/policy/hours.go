package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Hours are times of the week, by the clocks of a place.
type Hours struct {
	// Days it begins on, by [time.Weekday].
	Days [7]bool
	// From and To are times of the day, To being the first that is over. A To not after From is one of the next day.
	From, To time.Duration
	// In is where.
	In *time.Location
}

// has tells whether a moment is within. What counts is what clocks show there: where they are put back, an hour counts
// twice.
func (h *Hours) has(t time.Time) bool {
	t = t.In(h.In)
	hour, minute, second := t.Clock()
	at := time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute + time.Duration(second)*time.Second
	today := t.Weekday()
	if h.From < h.To {
		return h.Days[today] && at >= h.From && at < h.To
	}
	return h.Days[today] && at >= h.From || h.Days[(today+6)%7] && at < h.To
}

// within tells whether a moment is in any of them.
func within(hours []Hours, t time.Time) bool {
	return slices.ContainsFunc(hours, func(h Hours) bool { return h.has(t) })
}

func (h *Hours) problem() string {
	const day = 24 * time.Hour
	switch {
	case h.In == nil:
		return "no time zone; write such as Europe/Berlin"
	case h.Days == [7]bool{}:
		return "no day"
	case h.From < 0 || h.From >= day || h.To < 0 || h.To > day:
		return fmt.Sprintf("from %s to %s: not times of a day", h.From, h.To)
	case h.From%time.Minute != 0 || h.To%time.Minute != 0:
		return fmt.Sprintf("from %s to %s: only whole minutes are taken", h.From, h.To)
	case h.From == h.To:
		return "they end when they begin; write 00:00-24:00 for the whole day"
	}
	return ""
}

// String writes them for people: "Monday to Friday 08:00–18:00 (Europe/Berlin)".
func (h Hours) String() string {
	return fmt.Sprintf("%s %s–%s (%s)", dayRuns(h.Days, english), clockOf(h.From), clockOf(h.To), h.In)
}

func clockOf(d time.Duration) string {
	return fmt.Sprintf("%02d:%02d", int(d/time.Hour), int(d/time.Minute)%60)
}

// dayRuns writes days, from Monday on, as people do: "Monday to Friday, Sunday".
func dayRuns(days [7]bool, w *words) string {
	if days == [7]bool{true, true, true, true, true, true, true} {
		return w.Daily
	}
	var runs []string
	for i := 0; i < 7; i++ {
		first := (i + 1) % 7 // a week begins on Monday here
		if !days[first] {
			continue
		}
		n := 1
		for i+n < 7 && days[(i+n+1)%7] {
			n++
		}
		last := (i + n) % 7
		switch n {
		case 1:
			runs = append(runs, w.Days[first])
		case 2:
			runs = append(runs, w.Days[first], w.Days[last])
		default:
			runs = append(runs, fmt.Sprintf(w.DayRange, w.Days[first], w.Days[last]))
		}
		i += n
	}
	return strings.Join(runs, w.Comma)
}

// from tells whether an address is in any of the networks.
func from(networks []netip.Prefix, a netip.Addr) bool {
	a = plainAddress(a)
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(a) })
}
