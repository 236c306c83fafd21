package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// NoticeKinds are the kinds of notices.
var NoticeKinds = []string{
	"impersonation_started", "impersonation_ended", "approval_requested", "consent_requested", "request_decided", "emergency_started", "objection", "digest",
}

// Notify is how people are told.
type Notify struct {
	// Zone is the one that times are told in and the digest's week is of, such as Europe/Berlin. Default: UTC.
	Zone string `json:"zone,omitempty"`

	// Digest is the weekly one to owners and auditors. It is sent when there is a notifier.
	Digest Digest `json:"digest,omitzero"`
}

// Digest is when the week's impersonations are told.
type Digest struct {
	// Off sends none.
	Off bool `json:"off,omitempty"`

	// Day of the week, in English and lower case. Default: monday.
	Day string `json:"day,omitempty"`

	// At is the time of the day, as 08:00. Default: 08:00.
	At string `json:"at,omitempty"`
}

var days = []string{"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"}

// setDefaults fills in what was left out.
func (n *Notify) setDefaults() {
	setDefault(&n.Zone, "UTC")
	setDefault(&n.Digest.Day, "monday")
	setDefault(&n.Digest.At, "08:00")
}

// Validate reports everything that is wrong, after defaults are filled in.
func (n *Notify) Validate() error {
	var errs []error
	if _, err := time.LoadLocation(n.Zone); err != nil || strings.EqualFold(n.Zone, "local") {
		errs = append(errs, fmt.Errorf("notify zone %.80q: no such time zone; write such as Europe/Berlin", n.Zone))
	}
	if !slices.Contains(days, n.Digest.Day) {
		errs = append(errs, fmt.Errorf("notify digest %.40q: no day of the week; write such as monday", n.Digest.Day))
	}
	if _, err := time.Parse("15:04", n.Digest.At); err != nil || len(n.Digest.At) != 5 {
		errs = append(errs, fmt.Errorf("notify digest %s %.40q: no time of the day; write such as 08:00", n.Digest.Day, n.Digest.At))
	}
	return errors.Join(errs...)
}

// Location is the zone, after Validate.
func (n *Notify) Location() *time.Location {
	l, err := time.LoadLocation(n.Zone)
	if err != nil {
		return time.UTC
	}
	return l
}

// Weekday and time of the day of the digest, after Validate.
func (d *Digest) Weekday() (day time.Weekday, at time.Duration) {
	t, _ := time.Parse("15:04", d.At)
	return time.Weekday(max(slices.Index(days, d.Day), 0)), time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute
}

// EmailNotifier tells people by email.
type EmailNotifier struct {
	// Server is smtp://host[:port] or smtps://host[:port]. Required. Default port: 25, with a username 587, for smtps 465.
	Server string `json:"server"`

	// From is who sends, an address or a name and an address. Required.
	From string `json:"from"`

	// ReplyTo is where answers go. Default: From.
	ReplyTo string `json:"reply_to,omitempty"`

	// Username and Password log in at the server. Default: no login.
	Username string `json:"username,omitempty"`
	Password string `json:"password,omitempty"`

	// TLS is required, opportunistic or off. Default: required with a username and for smtps, else opportunistic.
	TLS string `json:"tls,omitempty"`

	// CA is a file of PEM certificates that may vouch for the server. Default: the system's.
	CA string `json:"ca,omitempty"`

	// Templates is a directory of own texts. Default: the built-in ones.
	Templates string `json:"templates,omitempty"`

	// Only are the kinds of notices sent. Default: all but impersonation_ended.
	Only []string `json:"only,omitempty"`
}

// Validate reports what is wrong and can be told without reading or dialling anything.
func (e *EmailNotifier) Validate() error {
	const what = "notify email"
	var errs []error
	if e.From == "" {
		errs = append(errs, fmt.Errorf(`%s: from is missing; write such as: from "Help desk <help@example.com>"`, what))
	}
	if e.TLS != "" {
		errs = append(errs, oneOf(what+": tls", []string{e.TLS}, []string{"required", "opportunistic", "off"}))
	}
	if e.TLS == "off" && (e.Username != "" || strings.HasPrefix(e.Server, "smtps:")) {
		errs = append(errs, fmt.Errorf("%s: tls off: a password would be sent in the clear, or the address asks for TLS; leave it out", what))
	}
	if (e.Username == "") != (e.Password == "") {
		errs = append(errs, fmt.Errorf("%s: username and password go together; write both or none", what))
	}
	return errors.Join(append(errs, oneOf(what+": only", e.Only, NoticeKinds))...)
}

// WebhookNotifier tells a program of the operator's by HTTP, signed after the Standard Webhooks scheme.
type WebhookNotifier struct {
	// URL is called with POST. Required.
	URL string `json:"url"`

	// Secret signs: "whsec_" and 24 to 64 random bytes in base64. Required.
	Secret string `json:"secret"`

	// Only are the kinds of notices sent. Default: all.
	Only []string `json:"only,omitempty"`
}

// Validate reports what is wrong.
func (w *WebhookNotifier) Validate() error {
	return oneOf("notify webhook: only", w.Only, NoticeKinds)
}

// SlackNotifier tells a channel of Slack, or of what takes the same: Mattermost, Rocket.Chat.
type SlackNotifier struct {
	// URL is that of an incoming webhook. Required. It is a secret.
	URL string `json:"url"`

	// Language of the texts: en, de, fr, es or ja. Default: en.
	Language string `json:"language,omitempty"`

	// Only are the kinds of notices sent. Default: all.
	Only []string `json:"only,omitempty"`
}

// Validate reports what is wrong.
func (s *SlackNotifier) Validate() error {
	err := oneOf("notify slack: only", s.Only, NoticeKinds)
	if s.Language != "" {
		err = errors.Join(err, oneOf("notify slack: language", []string{s.Language}, []string{"en", "de", "fr", "es", "ja"}))
	}
	return err
}

// Who a policy's starts are told to, and what follows when a target objects.
const (
	NotifyTarget  = "target"
	NotifyOwners  = "owners"
	NotifyNobody  = "nobody"
	RequireNotice = "notice"

	ObjectionAlert = "alert"
	ObjectionLock  = "lock"
)

func (p *Policy) validateNotify(what string) error {
	errs := []error{oneOf(what+": notify", p.Notify, []string{NotifyTarget, NotifyOwners, NotifyNobody})}
	if slices.Contains(p.Notify, NotifyNobody) && len(p.Notify) > 1 {
		errs = append(errs, fmt.Errorf("%s: notify nobody stands alone; remove the others, or it", what))
	}
	if slices.Contains(p.Require, RequireNotice) && !slices.Contains(p.Notify, NotifyTarget) {
		errs = append(errs, fmt.Errorf("%s: require notice: it is the target who is to be told; add target to notify", what))
	}
	if p.Objection != "" {
		errs = append(errs, oneOf(what+": objection", []string{p.Objection}, []string{ObjectionAlert, ObjectionLock}))
	}
	return errors.Join(errs...)
}

// validateReach: who insists on notices has to give a way for them.
func (a *App) validateReach() error {
	for i := range a.Policies {
		if p := &a.Policies[i]; len(a.Notifiers) == 0 && slices.Contains(p.Require, RequireNotice) {
			return fmt.Errorf("policy %s: require notice: there is nothing to tell people by; add notify email, notify webhook or notify slack", p.Name)
		}
	}
	return nil
}
