// Package audit is the record of what was done in whose name: the rows ([Request], [Event]), their canonical
// encoding and leaf hash, the [Recorder] that makes them durable in a write-ahead journal before they take effect,
// and the [Shipper] that brings each to a [Sink] exactly once.
//
//	request → Recorder.Intent → journal (group commit, fsync) → … → Intent.Done → journal → Shipper → Sink
//
// A row gets its place in the log (Seq) when it is finished: at its outcome, or, for an intent that a crash left
// without one, at recovery with outcome "interrupted".
package audit

import (
	"context"
	"errors"
	"time"
)

// ErrPermanent marks a sink's error that no later try can mend: the batch itself is refused, and none of it was
// taken. The Shipper sets the batch aside and goes on. Anything else is tried again.
var ErrPermanent = errors.New("refused for good")

// Outcomes of a request.
const (
	OutcomeCompleted   = "completed"   // the app answered and the answer was passed on whole
	OutcomeRefused     = "refused"     // the gateway did not forward it; Refusal says why
	OutcomeFailed      = "failed"      // the app could not be reached, or broke off
	OutcomeAborted     = "aborted"     // the browser went away
	OutcomeSevered     = "severed"     // cut because the impersonation ended
	OutcomeWithheld    = "withheld"    // the app answered, but the page could not carry the banner
	OutcomeInterrupted = "interrupted" // the gateway died before the end was known
)

// Values of the column banner.
const (
	BannerNone     = ""         // not a document
	BannerMarked   = "marked"   // the page carries the banner
	BannerUnmarked = "unmarked" // let through without, because the operator allows it
	BannerNotHTML  = "not_html" // a document, but none that could hold one: an image, data, a PDF
	BannerWithheld = "withheld"
)

// Types of events. The column type of table events holds exactly these.
const (
	EventLogin                 = "login"
	EventLoginFailed           = "login_failed"
	EventLogout                = "logout"
	EventImpersonationStarted  = "impersonation_started"
	EventImpersonationRefused  = "impersonation_refused"
	EventImpersonationExtended = "impersonation_extended"
	EventImpersonationEnded    = "impersonation_ended"
	EventEmergencyStarted      = "emergency_started"  // one began without the approval or consent its policy asks for; to be reviewed
	EventApprovalRequested     = "approval_requested" // a start waits for a second person; detail: request, mode, duration
	EventApprovalGranted       = "approval_granted"   // detail: by
	EventApprovalRefused       = "approval_refused"   // likewise; also taken back before the start
	EventApprovalExpired       = "approval_expired"   // nobody decided, or the actor did not start, in time
	EventApprovalCancelled     = "approval_cancelled" // by the actor
	EventConsentRequested      = "consent_requested"  // the same for the target's consent
	EventConsentGranted        = "consent_granted"
	EventConsentRefused        = "consent_refused"
	EventConsentExpired        = "consent_expired"
	EventConsentCancelled      = "consent_cancelled"
	EventBannerMissing         = "banner_missing"    // a page's script says that the banner is not seen; detail: where, and why
	EventRetentionChanged      = "retention_changed" // how long the audit is kept; detail: old and new, reason: why
	EventRetentionApplied      = "retention_applied" // the rows of a log up to one are kept no longer; detail: log, through, before, sink
	EventAuditRead             = "audit_read"
	EventAuditExported         = "audit_exported"
	EventUserDeactivated       = "user_deactivated"
	EventUserReactivated       = "user_reactivated"
	EventNoticeSent            = "notice_sent"
	EventNoticeFailed          = "notice_failed"
	EventObjectionRaised       = "objection_raised"    // a target did not expect what was done in their name; detail: what followed
	EventPairUnlocked          = "pair_unlocked"       // an actor may use a target's account again; detail: whom, reason: why
	EventReviewed              = "reviewed"            // somebody in charge looked at an impersonation; reason: their note
	EventConfigLoaded          = "config_loaded"       // a (re)loaded configuration is in force; detail: its hash
	EventJournalRecovered      = "journal_recovered"   // detail: torn bytes cut off, intents closed as interrupted
	EventSigningKeyChanged     = "signing_key_changed" // the log is signed by another key from here on; detail: which
	EventDirectoryBroken       = "directory_broken"    // a source can't be read; its last good facts stay in force
)

// Request is a row of table requests.
type Request struct {
	Time             time.Time // when it arrived; microseconds, UTC
	LogID            string    // set by the Recorder
	Seq              uint64    // place in the log, from 1; set by the Recorder
	RequestID        string    // unique; also in the app's X-Request-Id when the client sent none
	ImpersonationID  string    // empty: own account
	ImpersonationSeq uint64    // 1, 2, … within the impersonation; set by the Recorder at the intent
	ActorID          string
	ActorUsername    string
	ActorName        string
	TargetID         string
	TargetUsername   string
	TargetName       string
	Mode             string
	ClientIP         string
	UserAgent        string
	Method           string
	Scheme           string
	Host             string
	Path             string // as sent, percent-encoded
	Query            string // redacted
	Action           string // the Caddyfile's name for what this request does; may be empty
	Status           int    // 0 when no response was sent
	Outcome          string
	Refusal          string // code of the refusal, for outcome refused
	Banner           string
	Duration         time.Duration // column duration_us
	RequestBytes     int64
	ResponseBytes    int64
	ContentType      string // of the response
	Fields           string // names of what a write sent, never values; empty unless the operator wants them
	LeafHash         [32]byte
}

// Event is a row of table events.
type Event struct {
	Time            time.Time
	LogID           string
	Seq             uint64
	Type            string
	ImpersonationID string
	ActorID         string
	ActorUsername   string
	TargetID        string
	TargetUsername  string
	ClientIP        string
	Reason          string
	Ticket          string
	// Detail is for people and programs: a word or sentence, or a JSON object. The Recorder makes it a JSON object
	// with "cause" and "requests" for impersonation_ended; see [Recorder.Event].
	Detail     string
	ActorName  string
	TargetName string
	Mode       string // of the impersonation it is about
	LeafHash   [32]byte
}

// Checkpoint is a row of table checkpoints: a signed tree head. Every row up to Size comes before it.
type Checkpoint struct {
	Time     time.Time
	LogID    string
	Size     uint64
	RootHash [32]byte
	Previous uint64 // size of the checkpoint before; 0 for the first. In the note alone
	Note     string // the signed note
}

// Batch is a run of consecutive log positions, cut once: it is resent byte-identical until the sink has it.
type Batch struct {
	LogID string
	// From and To are the first and last Seq in it, inclusive. Every Seq between is a request or an event of it, unless
	// the journal was damaged. A batch without rows (checkpoints alone) has To == From-1.
	From, To uint64
	// Token names the batch: the same for every try. Sinks deduplicate on it.
	Token       string
	Requests    []*Request
	Events      []*Event
	Checkpoints []*Checkpoint
}

// Sink is where finished rows go. Write must be idempotent for a batch's Token: after an error, or a crash, the same
// batch comes again.
type Sink interface {
	// Name is for logs and metrics, such as "clickhouse".
	Name() string
	// Check tells whether the sink can take rows: reachable, its schema the version this build knows. The error
	// says what the operator has to do.
	Check(ctx context.Context) error
	Write(ctx context.Context, b *Batch) error
	Close() error
}

// Events takes events. Recorder is the one that keeps them; tests collect them.
type Events interface {
	// Event returns once the event is durable. Time, LogID, Seq and LeafHash are filled in when zero.
	Event(ctx context.Context, e Event) error
}
