package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
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

	// Requests is impersonated, or all: also those of people using their own account. Default: impersonated.
	Requests string `json:"requests,omitempty"`

	// Redact names query parameters whose values are never recorded, beside those that look like secrets anyway:
	// token, password, secret, code, key, session and their like, in any spelling.
	Redact []string `json:"redact,omitempty"`
}

const maxRedact = 256

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
}

func (a *Audit) validate() error {
	errs := []error{
		validatePath("audit journal", a.Journal),
		oneOf("audit requests", []string{a.Requests}, []string{RequestsImpersonated, RequestsAll}),
	}
	if len(a.Redact) > maxRedact {
		errs = append(errs, fmt.Errorf("audit redact: %d names; at most %d", len(a.Redact), maxRedact))
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
