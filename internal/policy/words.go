package policy

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/lang"
)

// words are what people read of the rules, in one language.
type words struct {
	// Refusals are sentences by their codes; %[1]s, %[2]s stand for what they hang on.
	Refusals map[string]string
	// Units of time: singular, plural; %d is how many.
	Hour, Minute, Second [2]string
	Zero                 string
	// Between is what stands between the parts of a length of time.
	Between string
	// Days by [time.Weekday]; DayRange from one to another.
	Days     [7]string
	DayRange string
	Daily    string
	// HoursAt is days, from, to, time zone.
	HoursAt string
	// Comma between the members of a list; Or and And before the last.
	Comma, Or, And string
	// Modes by their name.
	Modes map[string]string

	describe describeWords
}

var languages = lang.Texts[*words]{"en": english, "de": german, "fr": french, "es": spanish, "ja": japanese}

// arg writes what a sentence hangs on.
func (w *words) arg(v any) string {
	switch v := v.(type) {
	case int:
		return strconv.Itoa(v)
	case time.Duration:
		return w.duration(v)
	case []Hours:
		return w.hours(v)
	case modesArg:
		names := make([]string, len(v))
		for i, m := range v {
			names[i] = w.mode(m)
		}
		return w.list(names, w.Or)
	}
	return fmt.Sprint(v)
}

// say fills a sentence in. {1:account|accounts} in it is the first form where that argument is the number one, else the second.
func (w *words) say(sentence string, args ...any) string {
	sentence = countForm.ReplaceAllStringFunc(sentence, func(form string) string {
		parts := countForm.FindStringSubmatch(form)
		if n, err := strconv.Atoi(parts[1]); err == nil && n <= len(args) && args[n-1] == 1 {
			return parts[2]
		}
		return parts[3]
	})
	if !strings.Contains(sentence, "%") {
		return sentence // its number is in words
	}
	in := make([]any, len(args))
	for i, a := range args {
		in[i] = w.arg(a)
	}
	return fmt.Sprintf(sentence, in...)
}

var countForm = regexp.MustCompile(`\{([1-9]):([^|{}]*)\|([^|{}]*)\}`)

// modesArg are modes to choose from.
type modesArg []string

func (w *words) mode(mode string) string {
	if name, ok := w.Modes[mode]; ok {
		return name
	}
	return mode
}

func (w *words) hours(hours []Hours) string {
	all := make([]string, len(hours))
	for i, h := range hours {
		all[i] = fmt.Sprintf(w.HoursAt, dayRuns(h.Days, w), clockOf(h.From), clockOf(h.To), h.In)
	}
	return strings.Join(all, "; ")
}

// list writes several as a sentence does, with a word before the last.
func (w *words) list(names []string, last string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], w.Comma) + last + names[len(names)-1]
}

func (w *words) duration(d time.Duration) string {
	d = d.Truncate(time.Second)
	var parts []string
	for _, u := range []struct {
		d    time.Duration
		name [2]string
	}{{time.Hour, w.Hour}, {time.Minute, w.Minute}, {time.Second, w.Second}} {
		if n := int(d / u.d); n > 0 {
			d -= time.Duration(n) * u.d
			form := u.name[0]
			if n > 1 {
				form = u.name[1]
			}
			parts = append(parts, fmt.Sprintf(form, n))
		}
	}
	if len(parts) == 0 {
		return w.Zero
	}
	return strings.Join(parts, w.Between)
}
