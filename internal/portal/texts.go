package portal

import (
	"fmt"
	"strconv"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
)

// texts is every word of the portal's pages in one language. Templates name its fields; what depends on numbers or
// names is a method. Another language is another value (and, where its plurals need it, other methods behind the
// same names); refusals come from package policy and can be translated by their code.
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
}

var english = &texts{
	Lang:        "en",
	Product:     "Log in as",
	SkipToList:  "Skip to the people",
	AccountMenu: "Account menu",
	SignedInAs:  "Logged in as",
	Roles:       "Roles",
	ToApp:       "Go to the app",
	Return:      "Return to my account",
	LogOut:      "Log out",
	Footer:      "What you do in somebody else's account is recorded with your own name.",

	Heading:          "Log in as another user",
	Lead:             "See the app as they see it, and help them from there. You return to your own account whenever you like.",
	SearchLabel:      "Search by name, username or email",
	Search:           "Search",
	OnlyMine:         "Only people I can log in as",
	Active:           "Active",
	Deactivated:      "Deactivated",
	Groups:           "Groups",
	LogInAs:          "Log in as this user",
	More:             "Show more",
	FirstPage:        "Back to the beginning",
	EmptyTitle:       "Nobody found",
	EmptyText:        "Nobody has a name, username or email that begins with that. Check the spelling, or type less of it.",
	EmptyMine:        "Nobody you may log in as has a name, username or email that begins with that.",
	SearchAll:        "Search everyone",
	NobodyTitle:      "Nobody here yet",
	NobodyText:       "The directory has no accounts. People appear here once a directory is connected, or when they have logged in.",
	NobodyMine:       "There is nobody you may log in as. Ask an administrator if your work needs it.",
	ShowAll:          "Show everyone",
	NoDirectoryTitle: "The directory can't be read right now",
	NoDirectoryText:  "Nobody can be listed until it answers again. Your own account is not affected.",
	StaleTitle:       "This list may be out of date.",
	StaleText:        "Part of the directory can't be read right now; what it said last still counts.",
	LoadFailed:       "The list could not be loaded. Check your connection, then try again.",
	NotAllowedTitle:  "You can't log in as other users",
	NotAllowedText:   "Nobody has given your account this right. Ask an administrator if your work needs it.",
	ReadsOnlyText:    "You may see who is here, but not log in as them.",
	EndOfPart:        "None among the people looked at so far. There are more.",

	LeftCounting: "{} left",
	UsingNow:     "You are using this account now",
	ModeFull:     "Full access",
	ModeReadOnly: "Read only",
	OneAtATime:   "You are impersonating someone already. Return to your own account first.",

	Access:        "Access",
	FullHint:      "You can do what they can do.",
	ReadOnlyHint:  "You can look at everything, but change nothing.",
	ReadOnlyAlone: "Read only: you can look at everything, but change nothing.",
	HowLong:       "For how long",
	Reason:        "Reason",
	Needed:        "(required)",
	Optional:      "(optional)",
	ReasonHint:    "What do you need this account for? It is kept in the record.",
	Ticket:        "Ticket",
	Recorded:      "Everything you do is recorded with your name.",
	Cancel:        "Cancel",
	Back:          "Back to the list",
	CannotTitle:   "You can't log in as this user",

	StopTitle:    "Return to your own account?",
	StopOwnTitle: "You are using your own account",
	StopOwnText:  "There is nothing to return from.",
	EndedTitle:   "You are back in your own account",
	EndedText:    "The time in the other account is over.",
	StillTitle:   "You are still using another account",
	ToPeople:     "Log in as another user",
}

// Extension tells how the time can be prolonged.
func (t *texts) Extension(by time.Duration, times int) string {
	if times == 1 {
		return fmt.Sprintf("You can add %s to it once.", t.Duration(by))
	}
	return fmt.Sprintf("You can add %s to it, %d times.", t.Duration(by), times)
}

func (t *texts) ConfirmTitle(name string) string { return fmt.Sprintf("Log in as %s?", name) }

func (t *texts) ConfirmButton(name string) string { return fmt.Sprintf("Log in as %s", name) }

func (t *texts) Using(name, username string) string {
	if name == "" || name == username {
		return fmt.Sprintf("You are using the account of %s.", username)
	}
	return fmt.Sprintf("You are using the account of %s (%s).", name, username)
}

// Ended tells how an impersonation ended that its person did not end; the causes are package impersonation's.
func (t *texts) Ended(cause, name string) string {
	why := map[string]string{
		"expired":            "the time was up",
		"idle":               "nothing was done for a while",
		"revoked":            "someone in charge ended it",
		"target_deactivated": "that account was deactivated",
		"actor_deactivated":  "your account was deactivated",
		"policy_changed":     "the rules that allowed it have changed",
	}[cause]
	if why != "" {
		why = ": " + why
	}
	return fmt.Sprintf("You are no longer using the account of %s%s. You are in your own account again.", name, why)
}

func (t *texts) Left(d time.Duration) string {
	if d < time.Minute {
		return "Less than a minute left"
	}
	return t.Duration(d.Truncate(time.Minute)) + " left"
}

// Count says what the list shows: total of all that match, or how many of one's own there are so far.
func (t *texts) Count(total int, query string) string {
	s := fmt.Sprintf("%s people", thousands(total))
	if total == 1 {
		s = "1 person"
	}
	if query != "" {
		s += fmt.Sprintf(" found for “%s”", query)
	}
	return s
}

func (t *texts) CountMine(n int, more bool, query string) string {
	s := fmt.Sprintf("%d people you can log in as", n)
	switch {
	case n == 1 && !more:
		s = "1 person you can log in as"
	case more:
		s = fmt.Sprintf("The first %d people you can log in as", n)
	}
	if query != "" {
		s += fmt.Sprintf(" found for “%s”", query)
	}
	return s
}

func (t *texts) NextPart(n int) string { return fmt.Sprintf("The next %d people", n) }

func (t *texts) MoreGroups(n int) string { return fmt.Sprintf("+%d more", n) }

func (t *texts) Mode(mode string) string {
	switch mode {
	case "full":
		return t.ModeFull
	case "read_only":
		return t.ModeReadOnly
	}
	return mode
}

func (t *texts) ModeHint(mode string) string {
	switch mode {
	case "full":
		return t.FullHint
	case "read_only":
		return t.ReadOnlyHint
	}
	return ""
}

func (t *texts) Role(role string) string {
	switch role {
	case "owner":
		return "Owner"
	case "auditor":
		return "Auditor"
	}
	return role
}

// Duration is a time as people say it: "1 hour 30 minutes".
func (t *texts) Duration(d time.Duration) string { return policy.Words(d) }

func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
