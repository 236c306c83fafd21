package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// Which requests are recorded.
const (
	RequestsImpersonated = "impersonated"
	RequestsAll          = "all"
)

// Audit is what is recorded, and where it waits until a sink has it.
type Audit struct {
	// Journal is the directory of the write-ahead journal; made when missing. One running server owns it. A
	// request made while impersonating is written here before it has an effect; when it can't be, it is
	// refused. Default: /var/lib/impersonate/journal.
	Journal string `json:"journal,omitempty"`

	// Sinks are where the record goes; each gets all of it. Default: [{"sink": "sqlite"}].
	Sinks []json.RawMessage `json:"sinks,omitempty" caddy:"namespace=impersonate.sinks inline_key=sink"`

	// Witnesses are where checkpoints are published beside the sinks. Default: nowhere.
	Witnesses []json.RawMessage `json:"witnesses,omitempty" caddy:"namespace=impersonate.witnesses inline_key=witness"`

	// Requests is impersonated, or all: also those of people using their own account. Default: impersonated.
	Requests string `json:"requests,omitempty"`

	// Fields records, of requests that may change something, the names of the fields that their form or JSON has, never
	// what is in them. Keys of JSON can be data, such as a map by e-mail address: RedactValues masks those. Default: false.
	Fields bool `json:"fields,omitempty"`

	// SigningKey is a file with the Ed25519 key (PEM, PKCS #8) that signs checkpoints. It is read again from time to
	// time: replacing it by another changes the key. Default: signing_key in the journal's directory, made when missing.
	SigningKey string `json:"signing_key,omitempty"`

	// CheckpointRows and CheckpointTime say when a checkpoint is signed: after so many rows, or so long after the first
	// row that has none. One is also signed at each end of an impersonation. Defaults: 1000 and 10s.
	CheckpointRows uint64   `json:"checkpoint_rows,omitempty"`
	CheckpointTime Duration `json:"checkpoint_time,omitempty"`

	// Retention is how long the record is kept, in whole days such as 400d, or forever, until an owner says otherwise in
	// the portal: from then on theirs counts. Default: forever.
	Retention string `json:"retention,omitempty"`

	// RetentionFloor is the shortest that an owner may set. Default: 30d, or Retention if that is shorter.
	RetentionFloor string `json:"retention_floor,omitempty"`

	// Redact names query parameters whose values are never recorded, beside those that look like secrets anyway:
	// token, password, secret, code, key, session and their like, in any spelling.
	Redact []string `json:"redact,omitempty"`

	// RedactNames and RedactValues are patterns (RE2): a parameter whose name, or whose value, one of them matches is
	// recorded without its value; so is a segment of the path, and of a header that is recorded the part that matches.
	RedactNames  []string `json:"redact_names,omitempty"`
	RedactValues []string `json:"redact_values,omitempty"`
}

const (
	maxRedact         = 256
	maxRedactPatterns = 64
	maxCheckpointRows = 1_000_000

	retentionForever = "forever"
	maxRetention     = 36_500 // days
	defaultFloor     = 30     // days
)

func (a *Audit) setDefaults() {
	if a.Journal == "" {
		a.Journal = DefaultJournalPath
	}
	if len(a.Sinks) == 0 {
		a.Sinks = []json.RawMessage{json.RawMessage(`{"sink":"sqlite"}`)}
	}
	if a.Requests == "" {
		a.Requests = RequestsImpersonated
	}
	if a.Retention == "" {
		a.Retention = retentionForever
	}
}

// RetentionDays are Retention and RetentionFloor in days; 0: forever.
func (a *Audit) RetentionDays() (initial, floor int, err error) {
	if initial, err = retentionDays("audit retention", a.Retention); err != nil {
		return 0, 0, err
	}
	floor = defaultFloor
	if initial > 0 {
		floor = min(floor, initial)
	}
	if a.RetentionFloor != "" {
		if floor, err = retentionDays("audit retention floor", a.RetentionFloor); err != nil {
			return 0, 0, err
		}
	}
	if initial > 0 && (floor == 0 || initial < floor) {
		return 0, 0, fmt.Errorf("audit retention %s: is shorter than its floor, %s; lengthen the one or shorten the other", a.Retention, a.RetentionFloor)
	}
	return initial, floor, nil
}

func retentionDays(what, s string) (int, error) {
	if s == "" || s == retentionForever {
		return 0, nil
	}
	d, err := ParseDuration(s)
	if err != nil || d <= 0 || d.Std()%day != 0 {
		return 0, fmt.Errorf("%s: %.20q is not how long; write whole days, such as 400d, or forever", what, s)
	}
	if n := int(d.Std() / day); n <= maxRetention {
		return n, nil
	}
	return 0, fmt.Errorf("%s: %s is longer than %dd; write forever", what, s, maxRetention)
}

func (a *Audit) validate() error {
	errs := []error{
		validatePath("audit journal", a.Journal),
		oneOf("audit requests", []string{a.Requests}, []string{RequestsImpersonated, RequestsAll}),
	}
	if a.SigningKey != "" {
		errs = append(errs, validatePath("audit signing_key", a.SigningKey))
	}
	if a.CheckpointRows > maxCheckpointRows {
		errs = append(errs, fmt.Errorf("audit checkpoint: %d rows; at most %d", a.CheckpointRows, maxCheckpointRows))
	}
	if d := a.CheckpointTime.Std(); d < 0 || d > time.Hour || d > 0 && d < time.Second {
		errs = append(errs, fmt.Errorf("audit checkpoint: %s is not from 1s to 1h", d))
	}
	if _, _, err := a.RetentionDays(); err != nil {
		errs = append(errs, err)
	}
	if len(a.Redact) > maxRedact {
		errs = append(errs, fmt.Errorf("audit redact: %d names; at most %d", len(a.Redact), maxRedact))
	}
	if n := len(a.RedactNames) + len(a.RedactValues); n > maxRedactPatterns {
		errs = append(errs, fmt.Errorf("audit redact: %d patterns; at most %d", n, maxRedactPatterns))
	}
	for _, n := range a.Redact {
		if n == "" || len(n) > 128 || hasControl(n) {
			errs = append(errs, fmt.Errorf("audit redact %q: not a parameter's name; leave it out", n))
		}
	}
	return errors.Join(errs...)
}

// validatePath refuses what can only be a mistake: nothing, a NUL, a directory's root.
func validatePath(what, path string) error {
	switch {
	case path == "":
		return fmt.Errorf("%s: no path; write an absolute one, such as /var/lib/impersonate/…", what)
	case len(path) > 4096 || hasControl(path):
		return fmt.Errorf("%s %.80q: not a path; write an absolute one, such as /var/lib/impersonate/…", what, path)
	case filepath.Clean(path) == string(filepath.Separator):
		return fmt.Errorf("%s %q: is the root of the file system; give it a place of its own, such as /var/lib/impersonate/…", what, path)
	}
	return nil
}
