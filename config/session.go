package config

import (
	"errors"
	"fmt"
	"time"
)

// Session is how long a login at the gateway lasts.
type Session struct {
	// Lifetime ends a session so long after its login, whatever happens. Default: 12h. At most 30d.
	Lifetime Duration `json:"lifetime,omitempty"`

	// Idle ends a session after so long without a request. Default: 1h, or Lifetime where that is shorter.
	Idle Duration `json:"idle,omitempty"`
}

// MaxSession is the longest a session may last.
const MaxSession = Duration(30 * day)

// SetDefaults fills in what was left out.
func (s *Session) SetDefaults() {
	if s.Lifetime == 0 {
		s.Lifetime = Duration(12 * time.Hour)
	}
	if s.Idle == 0 {
		s.Idle = min(Duration(time.Hour), s.Lifetime)
	}
}

// Validate reports what is wrong, after [Session.SetDefaults].
func (s *Session) Validate() error {
	var errs []error
	if s.Lifetime < Duration(time.Minute) || s.Lifetime > MaxSession {
		errs = append(errs, fmt.Errorf("session lifetime %s: must be from 1m to %s; write such as 12h", s.Lifetime, MaxSession))
	}
	if s.Idle < Duration(time.Minute) || s.Idle > s.Lifetime {
		errs = append(errs, fmt.Errorf("session idle %s: must be from 1m to the lifetime, %s; write such as 1h", s.Idle, s.Lifetime))
	}
	return errors.Join(errs...)
}
