package audit

import "time"

// Kinds of findings.
const (
	NotableOutOfHours   = "out_of_hours"   // began outside working hours
	NotableFirstForPair = "first_for_pair" // this actor had never used this account before
	NotableRefusals     = "many_refusals"  // Count requests of it were refused
	NotableLong         = "very_long"      // lasted, or has lasted, Lasted
	NotableTargets      = "many_targets"   // the actor used Count different accounts on one day
	NotableStarts       = "refused_starts" // Count starts of the actor were refused on one day
)

// MaxNotableDays bounds how much time [Reader.Notable] looks at.
const MaxNotableDays = 100

// Thresholds say what is worth a look. The zero value is the default.
type Thresholds struct {
	// From and To are when work begins and ends, counted from midnight; default 7 to 19 o'clock.
	From, To time.Duration
	// Weekend: Saturday and Sunday are working days too.
	Weekend bool
	// Zone is where it is what o'clock; default UTC.
	Zone *time.Location
	// Refusals in one impersonation, and refused starts on one day; default 5.
	Refusals int
	// Long is how long an impersonation lasts that is worth a look; default 2 h.
	Long time.Duration
	// Targets is how many accounts on one day are; default 10.
	Targets int
	// Limit bounds the findings of each kind; default 50, at most 500.
	Limit int
}

// Defaults fills in what was left out.
func (t Thresholds) Defaults() Thresholds {
	if t.To <= t.From {
		t.From, t.To = 7*time.Hour, 19*time.Hour
	}
	if t.Zone == nil {
		t.Zone = time.UTC
	}
	if t.Refusals <= 0 {
		t.Refusals = 5
	}
	if t.Long <= 0 {
		t.Long = 2 * time.Hour
	}
	if t.Targets <= 0 {
		t.Targets = 10
	}
	if t.Limit <= 0 {
		t.Limit = 50
	}
	t.Limit = min(t.Limit, 500)
	return t
}

// Hours are the working hours between from and to, as spans of time: clocks that are put forward or back are in them.
func (t Thresholds) Hours(from, to time.Time) []Span {
	var spans []Span
	first := from.In(t.Zone).AddDate(0, 0, -1)
	for day := time.Date(first.Year(), first.Month(), first.Day(), 0, 0, 0, 0, t.Zone); day.Before(to); day = day.AddDate(0, 0, 1) {
		if w := day.Weekday(); !t.Weekend && (w == time.Saturday || w == time.Sunday) {
			continue
		}
		at := func(d time.Duration) time.Time {
			return time.Date(day.Year(), day.Month(), day.Day(), 0, 0, int(d/time.Second), 0, t.Zone)
		}
		s := Span{at(t.From), at(t.To)}
		if n := len(spans); n > 0 && !s.From.After(spans[n-1].To) {
			spans[n-1].To = s.To
			continue
		}
		if s.To.After(from) && s.From.Before(to) {
			spans = append(spans, s)
		}
	}
	return spans
}

// Span is a span of time, To not in it.
type Span struct{ From, To time.Time }

// Finding is something worth a look. It accuses nobody: there is mostly a good reason.
type Finding struct {
	Kind            string    `json:"kind"`
	Time            time.Time `json:"time"` // of the start, or of the first refusal; of the day, in UTC, for what is counted by day
	ImpersonationID string    `json:"impersonation_id,omitempty"`
	ActorUsername   string    `json:"actor_username"`
	ActorName       string    `json:"actor_name"`
	TargetUsername  string    `json:"target_username,omitempty"`
	TargetName      string    `json:"target_name,omitempty"`
	Count           uint64    `json:"count,omitempty"`
	// Lasted is in whole seconds; of one that goes on, until now.
	Lasted time.Duration `json:"-"`
}
