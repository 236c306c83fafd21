package audit

import (
	"context"
	"errors"
	"time"
)

// Errors of a [Reader], to be told from a sink that can't be read now.
var (
	// ErrNotThere: there is no such impersonation.
	ErrNotThere = errors.New("not in the audit")
	// ErrUnsealed: no checkpoint covers the row yet. It comes within seconds.
	ErrUnsealed = errors.New("the newest rows wait for their checkpoint")
	// ErrCursor: the cursor was not made by the same question.
	ErrCursor = errors.New("the cursor does not belong to this list")
	// ErrTooSlow: the question took longer than it may. A narrower time, or one without a search, is quicker.
	ErrTooSlow = errors.New("the audit took too long to answer; narrow the time, or leave out the search")
)

// Reader answers auditors' questions from a sink. It changes nothing. Every call is bounded in rows and in time; each
// error but those above means that the sink can't be read now, and says why. Safe for concurrent use.
//
// Lists are paged by the place of their last row, not by counting rows: what is recorded meanwhile moves none of the
// rows to come, and none comes twice.
type Reader interface {
	// Requests, Events and Impersonations list the newest first, unless the page asks otherwise.
	Requests(ctx context.Context, f Filter, p Page) (*Found[Request], error)
	Events(ctx context.Context, f Filter, p Page) (*Found[Event], error)
	Impersonations(ctx context.Context, f Filter, p Page) (*Found[Impersonation], error)
	// Checkpoints lists those in the filter's time, in its log if it names one.
	Checkpoints(ctx context.Context, f Filter, p Page) (*Found[Checkpoint], error)
	// Sealed is what proves the row at a place of a log, or [ErrUnsealed].
	Sealed(ctx context.Context, logID string, seq uint64) (*Sealed, error)
	// Impersonation is one of them, or [ErrNotThere].
	Impersonation(ctx context.Context, id string) (*Impersonation, error)
	// Timeline is what happened in one impersonation, requests and events, the oldest first.
	Timeline(ctx context.Context, id string, p Page) (*Found[Entry], error)
	// Actions are the requests of one impersonation that would change something or were refused, as lines for people,
	// the oldest first.
	Actions(ctx context.Context, id string, p Page) (*Found[Action], error)
	// Activity counts by time, from From to To; both must be given, and at most [MaxBuckets] apart.
	Activity(ctx context.Context, f Filter, s Step) ([]Bucket, error)
	// Actors counts by who acted, those with the most impersonations first.
	Actors(ctx context.Context, f Filter, limit int) ([]Actor, error)
	// Notable is what is worth a look, of From to To; both must be given, and at most [MaxNotableDays] apart.
	Notable(ctx context.Context, f Filter, t Thresholds) ([]Finding, error)
	// Extent counts what is older than a time.
	Extent(ctx context.Context, before time.Time) (*Extent, error)
	Close() error
}

// Page is which part of a list is asked for.
type Page struct {
	Limit  int    // rows, 1 to [MaxLimit]; 0: [DefaultLimit]
	Cursor string // of the part before; empty: the first
	Oldest bool   // the oldest first
}

// Bounds of pages.
const (
	DefaultLimit = 50
	MaxLimit     = 5000
)

// Rows is how many rows the page may have.
func (p Page) Rows() int {
	if p.Limit <= 0 {
		return DefaultLimit
	}
	return min(p.Limit, MaxLimit)
}

// Found is a part of a list.
type Found[T any] struct {
	Rows []*T
	Next string // cursor of the next part; empty: that was all
}

// Impersonation is what a row of the view impersonations holds.
type Impersonation struct {
	ID             string    `json:"impersonation_id"`
	ActorID        string    `json:"actor_id"`
	ActorUsername  string    `json:"actor_username"`
	ActorName      string    `json:"actor_name"`
	TargetID       string    `json:"target_id"`
	TargetUsername string    `json:"target_username"`
	TargetName     string    `json:"target_name"`
	Reason         string    `json:"reason"`
	Ticket         string    `json:"ticket"`
	Mode           string    `json:"mode"`
	Policy         string    `json:"policy"`
	Site           string    `json:"site"`
	ClientIP       string    `json:"client_ip"`
	Started        time.Time `json:"started"`
	// Ended is nil while it goes on.
	Ended    *time.Time `json:"ended"`
	EndCause string     `json:"end_cause"`
	EndedBy  string     `json:"ended_by"`
	Requests uint64     `json:"requests"`
	Writes   uint64     `json:"writes"` // methods other than GET, HEAD, OPTIONS, TRACE that were not refused
	Refusals uint64     `json:"refusals"`
	// LogID and Seq are the place of its start in the log; of its end, if [Impersonation.Headless].
	LogID string `json:"log_id"`
	Seq   uint64 `json:"seq"`
	// BeginningRemoved: retention has removed its start, and maybe more. Reason, ticket, policy, site and address are not
	// known, Started is by what the end says, and the counts are of what is left. It is by what the rows say, unproven.
	BeginningRemoved bool `json:"beginning_removed,omitempty"`
	// BeginningMissing is like BeginningRemoved, but no event of the log lets the start go: audit verify tells more.
	BeginningMissing bool `json:"beginning_missing,omitempty"`
}

// Headless tells whether its start is not there: all that is known of it is by its end.
func (i *Impersonation) Headless() bool { return i.BeginningRemoved || i.BeginningMissing }

// Extent is how much there is.
type Extent struct {
	Requests       uint64
	Events         uint64
	Impersonations uint64 // started
	// Oldest is when the first of all rows was made, however old; zero: there are none.
	Oldest time.Time
}

// Sealed is the run of rows between two checkpoints that one row is in.
type Sealed struct {
	// Checkpoint is the first that covers the row, Before the one before it; nil: there is none.
	Checkpoint, Before *Checkpoint
	// Leaves are the leaf hashes of the rows between, by their place.
	Leaves map[uint64][32]byte
}

// Entry is one row of a timeline: either a request or an event.
type Entry struct {
	Request *Request
	Event   *Event
}

// Time is when it happened.
func (e *Entry) Time() time.Time {
	if e.Request != nil {
		return e.Request.Time
	}
	return e.Event.Time
}

// Place is where in which log it is.
func (e *Entry) Place() (logID string, seq uint64) {
	if e.Request != nil {
		return e.Request.LogID, e.Request.Seq
	}
	return e.Event.LogID, e.Event.Seq
}

// Action is a request as people read it.
type Action struct {
	Time    time.Time
	Seq     uint64 // place in the impersonation
	What    string // the Caddyfile's name for it, else method and path
	Named   bool   // What is such a name
	Method  string
	Path    string
	Status  int
	Outcome string
	Refusal string
}

// Step is how long the pieces are that time is counted in. They begin on the hour, the day, the month in UTC.
type Step string

// Steps.
const (
	StepHour  Step = "hour"
	StepDay   Step = "day"
	StepMonth Step = "month"
)

// MaxBuckets bounds how many pieces of time are counted at once.
const MaxBuckets = 1000

// Truncate is the beginning of the piece that t is in.
func (s Step) Truncate(t time.Time) time.Time {
	t = t.UTC()
	switch s {
	case StepHour:
		return t.Truncate(time.Hour)
	case StepMonth:
		return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
	}
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
}

// Next is the beginning of the piece after the one that begins at t.
func (s Step) Next(t time.Time) time.Time {
	switch s {
	case StepHour:
		return t.Add(time.Hour)
	case StepMonth:
		return t.AddDate(0, 1, 0)
	}
	return t.AddDate(0, 0, 1)
}

// Bucket counts what was done while impersonating in one piece of time.
type Bucket struct {
	Start          time.Time `json:"start"`
	Impersonations uint64    `json:"impersonations"` // started in it
	Requests       uint64    `json:"requests"`
	Writes         uint64    `json:"writes"`
	Refusals       uint64    `json:"refusals"`
}

// Actor counts what one person did while impersonating.
type Actor struct {
	Username       string `json:"actor_username"`
	Name           string `json:"actor_name"`
	Impersonations uint64 `json:"impersonations"`
	Targets        uint64 `json:"targets"` // different ones
	Requests       uint64 `json:"requests"`
	Writes         uint64 `json:"writes"`
	Refusals       uint64 `json:"refusals"`
}

// AsAction is the request as people read it.
func (r *Request) AsAction() *Action {
	a := &Action{
		Time: r.Time, Seq: r.ImpersonationSeq, What: r.Action, Named: r.Action != "", Method: r.Method, Path: r.Path,
		Status: r.Status, Outcome: r.Outcome, Refusal: r.Refusal,
	}
	if !a.Named {
		a.What = r.Method + " " + r.Path
	}
	return a
}
