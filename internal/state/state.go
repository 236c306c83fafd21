// Package state is what must outlive a restart: sessions, impersonations, cookie jars, keys, and who has logged
// in. One interface, several backends (sqlite/, later postgres/), one conformance suite (statetest/).
//
// It stores and finds; it decides nothing. Ids that a browser holds never reach it: only their [Hash].
package state

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"
)

// ErrNotFound is returned when what was asked for is not there.
var ErrNotFound = errors.New("not found")

// ErrConflict is returned when what was to be created is there already.
var ErrConflict = errors.New("already exists")

// ErrFull is returned when there is no room for another.
var ErrFull = errors.New("no room for another")

// Hash is the SHA-256 of an id that a browser holds. A copy of the store lets nobody in.
type Hash [sha256.Size]byte

// HashID hashes a browser's id.
func HashID(id string) Hash { return sha256.Sum256([]byte(id)) }

// Session is one browser's login at one site.
type Session struct {
	ID Hash
	// What the provider said at login; the directory's facts come on top of it at each request.
	Issuer, Subject string
	UserID          string
	Username        string
	Name            string
	Email           string
	Groups          []string
	// Attributes are the further claims the operator asked for, by their name here.
	Attributes map[string]string
	// SID is the provider's own session id (claim sid), for back-channel logout; may be empty.
	SID string
	// ACR is the claim acr of the login; may be empty.
	ACR string
	// AuthTime is when the person last proved who they are; zero when the provider did not say.
	AuthTime  time.Time
	CreatedAt time.Time
	// LastSeen is the last request, written at most once a minute.
	LastSeen time.Time
	// Sealed is data only the holder of the raw id can open (the ID token for logout); may be nil.
	Sealed []byte
	// Notice is what the person is to be told once ("your impersonation of … ended: …"), encoded by its owner.
	Notice string
}

// Impersonation is one person using another's account, from start to end.
type Impersonation struct {
	// ID is random and public: it is in the audit, in URLs and in the banner. It opens nothing.
	ID      string
	Session Hash
	Site    string // scheme://host it was started on

	ActorID, ActorUsername, ActorName    string
	TargetID, TargetUsername, TargetName string

	Mode     string // "full" or "read_only"
	Policy   string // the policy that allowed it
	Reason   string
	Ticket   string
	ReturnTo string // same-origin path to land on at the end

	StartedAt time.Time
	ExpiresAt time.Time
	// Idle ends it when this long has passed without a request; 0: never.
	Idle     time.Duration
	LastSeen time.Time // written at most every ten seconds
	// Extensions is how often it was prolonged, Extended by how much in all; ExpiresAt has it in.
	Extensions int
	Extended   time.Duration

	// Emergency: it was started without the approval or consent its policy asks for, and is to be reviewed.
	Emergency bool
	// Request is the [Request] it was started by, ApprovedBy the username of who approved that; empty: none, nobody.
	Request, ApprovedBy string

	EndedAt  time.Time // zero while live
	EndCause string    // stopped, expired, idle, revoked, …; empty while live
	EndedBy  string    // username, when a person ended it
	// EndRecorded is set once the impersonation_ended event is in the journal.
	EndRecorded bool

	// ObjectedAt is when the target said that they had not expected it; zero: they did not.
	ObjectedAt time.Time
	// ReviewedAt is when somebody in charge looked at it; zero: nobody has.
	ReviewedAt time.Time
	ReviewedBy string // username
	ReviewNote string
}

// Live tells whether it has not ended.
func (i *Impersonation) Live() bool { return i.EndedAt.IsZero() }

// SeenUser is an account that has logged in: the facts of its last login.
type SeenUser struct {
	Issuer, Subject string
	ID              string
	Username        string
	Name            string
	Email           string
	Groups          []string
	Attributes      map[string]string
	FirstSeen       time.Time
	LastSeen        time.Time
}

// Jar is one sealed blob of app cookies. Kind tells whose: "own" (key: session) or "target" (key: impersonation).
type Jar struct {
	Owner  string // hex session hash, or impersonation id
	Host   string
	Sealed []byte
}

// Key is a private key the gateway made for itself, PKCS #8.
type Key struct {
	Use       string // "assertion", later "checkpoint"
	ID        string // kid
	PKCS8     []byte
	CreatedAt time.Time
	RetiredAt time.Time // zero: in use
}

// Notice is one delivery of a message that is still to be made: by one notifier, to one address.
type Notice struct {
	// ID names the delivery; every try of it has the same.
	ID string
	// Via is the notifier that is to carry it.
	Via string
	// Body is the message, encoded by its owner.
	Body []byte
	// CreatedAt is when it was queued, DueAt when it is to be tried next.
	CreatedAt, DueAt time.Time
	// Attempts is how often it was tried.
	Attempts int
	// Error is what the last try failed with; may be empty.
	Error string
	// Sent is set once it is delivered, while that is not recorded yet.
	Sent bool
}

// Bell is word left for a person: somebody else used their account. It is told on a page of their own.
type Bell struct {
	// Username is the account's, by its key (see identity.Key).
	Username        string
	ImpersonationID string
	CreatedAt       time.Time
	// Told is set once they were told while it lasted; how it ended is still to be told.
	Told bool
}

// Lock keeps one account from becoming another, until somebody in charge lifts it. Usernames are by their keys.
type Lock struct {
	ActorUsername, TargetUsername string
	// ImpersonationID is the one that was objected to.
	ImpersonationID string
	CreatedAt       time.Time
}

// Favourite is an account that an actor has marked, to find it again. Usernames are by their keys.
type Favourite struct {
	ActorUsername, TargetUsername string
	// TargetID is the id of the account that was marked; may be empty. Another one under its name later is not meant.
	TargetID  string
	CreatedAt time.Time
}

// Place is where a list, newest first, goes on: behind the row of that time and id. Of rows of the same time those with
// the greater id come first. Without an id it is behind all rows of that time; the zero Place is before all.
type Place struct {
	At time.Time
	ID string
}

// Telling is what is kept with the start of an impersonation, so that people are told of it.
type Telling struct {
	Notices []*Notice
	Bell    *Bell // may be nil
}

// Store is durable state. All methods are safe for concurrent use and honour the context. Times are kept to the
// microsecond, in UTC. Update functions run inside a transaction, may run more than once, and must not call the
// store; an error from them aborts and is returned as it is. A record that breaks a limit (see Check) is refused with
// [ErrInvalid]. Records handed in are not kept, records handed out are the caller's.
type Store interface {
	// CreateSession adds one; ErrConflict when the id is taken. A zero LastSeen becomes CreatedAt.
	CreateSession(ctx context.Context, s *Session) error
	Session(ctx context.Context, id Hash) (*Session, error)
	UpdateSession(ctx context.Context, id Hash, f func(*Session) error) error
	// TouchSessions sets LastSeen of those sessions that still exist, in one transaction; never backwards.
	TouchSessions(ctx context.Context, seen map[Hash]time.Time) error
	// DeleteSession removes a session, its jars and those of its impersonations; no error when it is gone already.
	DeleteSession(ctx context.Context, id Hash) error
	// SessionsOf finds sessions by issuer and subject, or by issuer and sid when sid is not empty.
	SessionsOf(ctx context.Context, issuer, subject, sid string) ([]*Session, error)
	// ExpiredSessions lists up to limit sessions created before created or last seen before seen, oldest first.
	ExpiredSessions(ctx context.Context, created, seen time.Time, limit int) ([]*Session, error)

	// CreateImpersonation refuses a second live one for the same session with ErrConflict, and one for a session
	// that is gone with ErrNotFound (so that a logout can't be overtaken by a start). With told, what it is to be told
	// of is kept in the same transaction: there is not one without the other.
	CreateImpersonation(ctx context.Context, i *Impersonation, told ...Telling) error
	Impersonation(ctx context.Context, id string) (*Impersonation, error)
	UpdateImpersonation(ctx context.Context, id string, f func(*Impersonation) error) error
	// LiveImpersonations lists all that have not ended, oldest first.
	LiveImpersonations(ctx context.Context) ([]*Impersonation, error)
	// LastImpersonation is the session's live one, else its latest; ErrNotFound when it never had one.
	LastImpersonation(ctx context.Context, session Hash) (*Impersonation, error)
	// UnrecordedEnds lists ended ones whose EndRecorded is false.
	UnrecordedEnds(ctx context.Context) ([]*Impersonation, error)
	// ListImpersonations lists ended and live, newest first by their start, behind the place given, up to limit (at
	// most [MaxList]). Usernames are compared exactly; an empty one matches all.
	ListImpersonations(ctx context.Context, actorUsername, targetUsername string, behind Place, limit int) ([]*Impersonation, error)
	// PruneImpersonations removes up to limit of those that ended before the time given and whose end is recorded,
	// with their jars, and counts them. The audit keeps their story; here they are only history.
	PruneImpersonations(ctx context.Context, endedBefore time.Time, limit int) (int, error)

	// CreateRequest adds a request for an impersonation; ErrConflict when the id is taken.
	CreateRequest(ctx context.Context, r *Request) error
	Request(ctx context.Context, id string) (*Request, error)
	// UpdateRequest may not change the id.
	UpdateRequest(ctx context.Context, id string, f func(*Request) error) error
	// OpenRequests lists those of which something can still come, oldest first, up to [MaxList].
	OpenRequests(ctx context.Context) ([]*Request, error)
	// ListRequests lists all but those in [RequestStepUp], newest first by their creation, behind the place given, up to
	// limit (at most [MaxList]). The actor's username is compared exactly; empty matches all.
	ListRequests(ctx context.Context, actorUsername string, behind Place, limit int) ([]*Request, error)
	// DeleteRequest removes one; no error when it is gone already.
	DeleteRequest(ctx context.Context, id string) error
	// PruneRequests removes up to limit of those that came to their end before the time given, and counts them.
	PruneRequests(ctx context.Context, closedBefore time.Time, limit int) (int, error)

	// PutSeen notes a login: inserts, or updates all but FirstSeen. Keyed by issuer and subject.
	PutSeen(ctx context.Context, u *SeenUser) error
	// EachSeen calls f for every one, by username; an error from f ends it and is returned as it is.
	EachSeen(ctx context.Context, f func(*SeenUser) error) error
	// SeenSince is EachSeen for those last seen at since or later, oldest first.
	SeenSince(ctx context.Context, since time.Time, f func(*SeenUser) error) error

	// PutNotices queues deliveries, all or none. Those whose ids are there already stay as they are.
	PutNotices(ctx context.Context, n ...*Notice) error
	// ClaimNotices takes up to limit deliveries by the notifier that are due at now, the earliest first, and makes them
	// due again at until: by then whoever took them has dealt with them, or died. Next is when the earliest of the
	// others is due; zero: there are none.
	ClaimNotices(ctx context.Context, via string, now, until time.Time, limit int) (claimed []*Notice, next time.Time, err error)
	// UpdateNotice keeps DueAt, Attempts, Error and Sent; no error when it is gone.
	UpdateNotice(ctx context.Context, n *Notice) error
	// DeleteNotice removes one; no error when it is gone.
	DeleteNotice(ctx context.Context, id string) error
	// CountNotices counts what is queued, by notifier.
	CountNotices(ctx context.Context) (map[string]int, error)

	// PutBell leaves word, or replaces what is there for the same person and impersonation.
	PutBell(ctx context.Context, b *Bell) error
	// Bells lists all that is left, oldest first.
	Bells(ctx context.Context) ([]*Bell, error)
	// DeleteBell removes one; no error when it is gone.
	DeleteBell(ctx context.Context, username, impersonationID string) error

	// PutLock locks a pair; a lock that is there already stays as it is.
	PutLock(ctx context.Context, l *Lock) error
	// Locks lists all, oldest first.
	Locks(ctx context.Context) ([]*Lock, error)
	// DeleteLock removes one; ErrNotFound when there is none.
	DeleteLock(ctx context.Context, actorUsername, targetUsername string) error

	// PutFavourite marks an account; one that is marked already stays as it is. [ErrFull] when the actor has marked
	// [MaxFavourites] others.
	PutFavourite(ctx context.Context, f *Favourite) error
	// Favourites lists what the actor has marked, the oldest first.
	Favourites(ctx context.Context, actorUsername string) ([]*Favourite, error)
	// DeleteFavourite takes the mark off; no error when there is none.
	DeleteFavourite(ctx context.Context, actorUsername, targetUsername string) error

	// PutLanguage notes in which language a person reads, by their username's key.
	PutLanguage(ctx context.Context, username, language string) error
	// Language is what was noted last; ErrNotFound: nothing was.
	Language(ctx context.Context, username string) (string, error)

	PutJar(ctx context.Context, j *Jar) error
	Jar(ctx context.Context, owner, host string) (*Jar, error)
	DeleteJars(ctx context.Context, owner string) error

	// Keys lists all of a use, newest first.
	Keys(ctx context.Context, use string) ([]*Key, error)
	// AddKey adds one; ErrConflict when use and id are taken.
	AddKey(ctx context.Context, k *Key) error
	// RetireKey sets RetiredAt; ErrNotFound when there is no such key.
	RetireKey(ctx context.Context, use, id string, at time.Time) error

	// Setting and PutSetting keep small values changed at run time; ErrNotFound when never set.
	Setting(ctx context.Context, name string) (string, error)
	PutSetting(ctx context.Context, name, value string) error
	// PutSettingTelling is PutSetting and PutNotices in one: both or neither.
	PutSettingTelling(ctx context.Context, name, value string, n ...*Notice) error

	// PutSCIM adds a resource of Version 1, or puts a later one in the place of the version before; ErrConflict when
	// another of its kind has the name, or the id is taken; ErrNotFound when that version is not there.
	PutSCIM(ctx context.Context, r *SCIMResource) error
	// EachSCIM calls f for every one, by kind and id; an error from f ends it and is returned as it is.
	EachSCIM(ctx context.Context, f func(*SCIMResource) error) error
	// DeleteSCIM removes one; ErrNotFound when it is not there.
	DeleteSCIM(ctx context.Context, kind, id string) error

	Ping(ctx context.Context) error
	Close() error
}
