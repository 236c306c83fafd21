package evidence

import (
	"bytes"
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

//go:embed report.html
var reportText string

var reportTemplate = template.Must(template.New("report").Parse(reportText))

// story is the pack as people read it.
type story struct {
	ID, Actor, Target, Reason, Ticket, Mode, Policy, Site, From string
	Started, Ended, Lasted, Cause, EndedBy                      string
	Requests, Writes, Refusals                                  int
	PolicyText                                                  string // empty: the log has none
	Removed                                                     uint64 // retention let rows up to this go, and the start was one of them
	Agreements, Notices, Others, Context                        []entry
	Steps                                                       []entry
	Checkpoints                                                 []seal
	Keys                                                        []string
	Rows                                                        int
}

type entry struct {
	Seq               uint64
	Log, Time, Who    string
	What, Says, Aside string
	Write, Bad        bool
}

type seal struct {
	Log, Time, Root string
	Size            uint64
}

func at(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000") }

func person(name, username, id string) string {
	if name != "" && username != "" && name != username {
		return name + " (" + username + ")"
	}
	return cmp.Or(name, username, id)
}

// story sorts the rows: what was done in their order of time.
func (p *Pack) story() *story {
	s := &story{ID: p.ID, Keys: p.keys, Rows: len(p.rows)}
	rows := slices.Clone(p.rows)
	slices.SortStableFunc(rows, func(a, b *row) int { return strings.Compare(a.values[0], b.values[0]) })
	var started, ended time.Time
	removed, headless := p.removed()
	s.Removed = removed
	for _, r := range rows {
		if q := r.request; q != nil {
			s.request(q)
			continue
		}
		e := r.event
		d := detailOf(e)
		text := func(name string) string { v, _ := d[name].(string); return v }
		if e.Type == audit.EventImpersonationStarted && e.ImpersonationID == p.ID {
			started = e.Time
			s.Actor, s.Target = person(e.ActorName, e.ActorUsername, e.ActorID), person(e.TargetName, e.TargetUsername, e.TargetID)
			s.Reason, s.Ticket, s.Mode, s.From, s.Started = e.Reason, e.Ticket, e.Mode, e.ClientIP, at(e.Time)
			s.Policy, s.Site = text("policy"), text("site")
		}
		if e.Type == audit.EventImpersonationEnded && e.ImpersonationID == p.ID && ended.IsZero() {
			ended = e.Time
			if headless {
				s.Actor, s.Target, s.Mode = person(e.ActorName, e.ActorUsername, e.ActorID), person(e.TargetName, e.TargetUsername, e.TargetID), e.Mode
			}
			s.Ended, s.Cause, s.EndedBy = at(e.Time), text("cause"), text("by")
		}
	}
	if !started.IsZero() && !ended.IsZero() {
		s.Lasted = max(ended.Sub(started), 0).Truncate(time.Second).String()
	}
	for _, r := range rows {
		if r.event != nil {
			s.event(r.event, p.ID)
		}
	}
	for _, n := range p.checkpoints {
		if c, _, err := audit.ParseCheckpoint(n); err == nil {
			s.Checkpoints = append(s.Checkpoints, seal{c.LogID, at(c.Time), fmt.Sprintf("%x", c.RootHash), c.Size})
		}
	}
	return s
}

// removed is up to where retention let the rows of the impersonation's log go, when its start is among them. That the start
// is not there and nothing says so is no such case.
func (p *Pack) removed() (through uint64, ok bool) {
	for _, r := range p.rows {
		if r.event != nil && r.event.Type == audit.EventImpersonationStarted && r.event.ImpersonationID == p.ID {
			return 0, false
		}
	}
	for _, r := range p.rows {
		if r.event == nil || r.event.Type != audit.EventRetentionApplied {
			continue
		}
		d := detailOf(r.event)
		log, _ := d["log"].(string)
		upTo, _ := d["through"].(float64)
		if p.first(log) > uint64(upTo) && upTo >= 1 {
			return uint64(upTo), true
		}
	}
	return 0, false
}

// first is the place of the first of the impersonation's own rows in a log; 0: it has none there.
func (p *Pack) first(log string) (seq uint64) {
	for _, r := range p.rows {
		own := r.event != nil && r.event.ImpersonationID == p.ID || r.request != nil && r.request.ImpersonationID == p.ID
		if own && r.logID == log && (seq == 0 || r.seq < seq) {
			seq = r.seq
		}
	}
	return seq
}

func (s *story) request(q *audit.Request) {
	a := q.AsAction()
	e := entry{Seq: q.Seq, Log: q.LogID, Time: at(q.Time), What: a.What, Aside: strings.Trim(q.Aside(), " ()"), Bad: q.Outcome != audit.OutcomeCompleted || q.Status >= 400}
	if a.Named {
		e.Says = q.Method + " " + q.Path
	}
	if q.Query != "" {
		e.Says = strings.TrimSpace(e.Says + " ?" + q.Query)
	}
	if q.Fields != "" {
		e.Says = strings.TrimPrefix(e.Says+"; fields: "+q.Fields, "; ")
	}
	if q.Status != 0 && e.Aside == "" {
		e.Aside = "status " + strconv.Itoa(q.Status)
	}
	s.Requests++
	switch q.Method {
	case "GET", "HEAD", "OPTIONS", "TRACE":
	default:
		if e.Write = q.Outcome != audit.OutcomeRefused; e.Write {
			s.Writes++
		}
	}
	if q.Outcome == audit.OutcomeRefused {
		s.Refusals++
	}
	s.Steps = append(s.Steps, e)
}

func (s *story) event(v *audit.Event, id string) {
	e := entry{Seq: v.Seq, Log: v.LogID, Time: at(v.Time), What: v.Type, Who: person(v.ActorName, v.ActorUsername, v.ActorID), Says: detailText(v.Detail)}
	switch {
	case v.Type == audit.EventConfigLoaded:
		s.PolicyText = policyIn(detailOf(v), s.Policy)
		e.Says = "the configuration in force then; its text of the policy is above"
		s.Context = append(s.Context, e)
	case v.Type == audit.EventSigningKeyChanged, v.Type == audit.EventRetentionApplied:
		s.Context = append(s.Context, e)
	case strings.HasPrefix(v.Type, "approval_"), strings.HasPrefix(v.Type, "consent_"), v.Type == audit.EventEmergencyStarted:
		s.Agreements = append(s.Agreements, e)
	case v.Type == audit.EventNoticeSent, v.Type == audit.EventNoticeFailed:
		e.Bad = v.Type == audit.EventNoticeFailed
		s.Notices = append(s.Notices, e)
	default:
		s.Others = append(s.Others, e)
	}
}

// detailText is an event's detail as people read it.
func detailText(detail string) string {
	return strings.NewReplacer(`":"`, ": ", `":`, ": ", `","`, ", ", `,"`, ", ", `"`, "").Replace(strings.Trim(detail, "{}"))
}

func (s *story) policyText() string {
	switch {
	case s.Removed > 0:
		return "The log says no more which policy it was: the start was older than the audit is kept.\n"
	case s.PolicyText == "":
		return "The log does not have the text of policy " + s.Policy + ": it was loaded by a version that did not record it.\n"
	}
	return "Policy " + s.Policy + ", as it was in force at the start:\n\n" + s.PolicyText + "\n"
}

func (s *story) report() ([]byte, error) {
	var b bytes.Buffer
	err := reportTemplate.Execute(&b, s)
	return b.Bytes(), err
}
