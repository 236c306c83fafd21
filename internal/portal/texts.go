package portal

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/lang"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
)

// texts is every word of the portal's own pages in one language: a file texts_<language>.go each. Templates name its
// fields; what depends on numbers or names is a method. Areas of pages keep their words in files of their own.
type texts struct {
	Lang string

	// Frame.
	Product, SkipToList, AccountMenu, SignedInAs, Roles, ToApp, Return, LogOut, Footer string

	// List.
	Heading, Lead, SearchLabel, Search, OnlyMine                         string
	Active, Deactivated, Groups, LogInAs, More, FirstPage                string
	EmptyTitle, EmptyText, NobodyTitle, NobodyText, NobodyMine, ShowAll  string
	EmptyMine, SearchAll                                                 string
	NoDirectoryTitle, NoDirectoryText, StaleTitle, StaleText, LoadFailed string
	NotAllowedTitle, NotAllowedText, ReadsOnlyText, EndOfPart            string

	// While impersonating.
	UsingNow, ModeFull, ModeReadOnly, OneAtATime string
	LeftCounting                                 string // {} is replaced by hours:minutes:seconds

	// Confirm.
	Access, FullHint, ReadOnlyHint, ReadOnlyAlone, HowLong, Reason, Needed, Optional string
	ReasonHint, Ticket, Recorded, Cancel, Back, CannotTitle                          string

	// Return.
	StopTitle, StopOwnTitle, StopOwnText, EndedTitle, EndedText, StillTitle string
	ToPeople                                                                string

	// With numbers and names in them: %s is a name or a number, %d a number.
	PeopleOne, PeopleMany, FoundFor, MineOne, MineMany, MineFirst string
	NextPartOf, MoreGroupsOf, Thousands                           string
	AskTitle, AskButton, UsingOne, UsingBoth                      string
	EndedPlain, EndedBecause                                      string
	LeftUnder, LeftOf, ExtendOnce, ExtendTimes                    string
	Hour, Hours, Minute, Minutes, Second, Seconds                 string
	Between                                                       string // words of a duration

	// Causes are package impersonation's, by their codes.
	Causes, RoleNames map[string]string

	// Pages are the entries of the navigation, by the address below /.impersonate/; Navigation says what they are.
	Navigation string
	Pages      map[string]string
}

// languages are the portal's.
var languages = lang.Texts[*texts]{"en": english, "de": german, "fr": french, "es": spanish, "ja": japanese}

// textsOf are the words of whoever asks, by the languages their browser wants.
func textsOf(r *http.Request) *texts { return languages.In(lang.Of(r.Header.Get("Accept-Language"))) }

// Extension tells how the time can be prolonged.
func (t *texts) Extension(by time.Duration, times int) string {
	if times == 1 {
		return fmt.Sprintf(t.ExtendOnce, t.Duration(by))
	}
	return fmt.Sprintf(t.ExtendTimes, t.Duration(by), times)
}

// ConfirmTitle is the question before a start.
func (t *texts) ConfirmTitle(name string) string { return fmt.Sprintf(t.AskTitle, name) }

// ConfirmButton is its answer.
func (t *texts) ConfirmButton(name string) string { return fmt.Sprintf(t.AskButton, name) }

// Using says whose account is in use.
func (t *texts) Using(name, username string) string {
	if name == "" || name == username {
		return fmt.Sprintf(t.UsingOne, username)
	}
	return fmt.Sprintf(t.UsingBoth, name, username)
}

// Ended tells how an impersonation ended that its person did not end; the causes are package impersonation's.
func (t *texts) Ended(cause, name string) string {
	if why := t.Causes[cause]; why != "" {
		return fmt.Sprintf(t.EndedBecause, name, why)
	}
	return fmt.Sprintf(t.EndedPlain, name)
}

// Left is how much of the time there is.
func (t *texts) Left(d time.Duration) string {
	if d < time.Minute {
		return t.LeftUnder
	}
	return fmt.Sprintf(t.LeftOf, t.Duration(d.Truncate(time.Minute)))
}

// Count says what the list shows: total of all that match, or how many of one's own there are so far.
func (t *texts) Count(total int, query string) string {
	s := t.PeopleOne
	if total != 1 {
		s = fmt.Sprintf(t.PeopleMany, thousands(total, t.Thousands))
	}
	return t.found(s, query)
}

// CountMine is Count for those one may become.
func (t *texts) CountMine(n int, more bool, query string) string {
	s := t.MineOne
	switch {
	case more:
		s = fmt.Sprintf(t.MineFirst, n)
	case n != 1:
		s = fmt.Sprintf(t.MineMany, n)
	}
	return t.found(s, query)
}

func (t *texts) found(s, query string) string {
	if query == "" {
		return s
	}
	return fmt.Sprintf(t.FoundFor, s, query)
}

// NextPart says what a further page of the list holds.
func (t *texts) NextPart(n int) string { return fmt.Sprintf(t.NextPartOf, n) }

// MoreGroups stands for those that are not drawn.
func (t *texts) MoreGroups(n int) string { return fmt.Sprintf(t.MoreGroupsOf, n) }

// Mode is a mode's name.
func (t *texts) Mode(mode string) string {
	switch mode {
	case policy.ModeFull:
		return t.ModeFull
	case policy.ModeReadOnly:
		return t.ModeReadOnly
	}
	return mode
}

// ModeHint is what a mode means.
func (t *texts) ModeHint(mode string) string {
	switch mode {
	case policy.ModeFull:
		return t.FullHint
	case policy.ModeReadOnly:
		return t.ReadOnlyHint
	}
	return ""
}

// Role is a role's name.
func (t *texts) Role(role string) string {
	if name := t.RoleNames[role]; name != "" {
		return name
	}
	return role
}

// Refusal is a refusal's sentence.
func (t *texts) Refusal(r *policy.Refusal) string {
	if r == nil {
		return ""
	}
	return r.In(t.Lang)
}

// Duration is a time as people say it: "1 hour 30 minutes".
func (t *texts) Duration(d time.Duration) string {
	d = d.Truncate(time.Second)
	var parts []string
	for _, u := range []struct {
		unit      time.Duration
		one, many string
	}{{time.Hour, t.Hour, t.Hours}, {time.Minute, t.Minute, t.Minutes}, {time.Second, t.Second, t.Seconds}} {
		n := d / u.unit
		d -= n * u.unit
		switch {
		case n == 1:
			parts = append(parts, u.one)
		case n > 1:
			parts = append(parts, fmt.Sprintf(u.many, n))
		}
	}
	if len(parts) == 0 {
		return fmt.Sprintf(t.Seconds, 0)
	}
	return strings.Join(parts, t.Between)
}

func thousands(n int, mark string) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + mark + s[i:]
	}
	return s
}
