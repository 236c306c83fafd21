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

// earlierReportText is the report of packs that were made before it was fit for phones, dark screens and page numbers.
//
//go:embed report_1.html
var earlierReportText string

var (
	reportTemplate        = template.Must(template.New("report").Parse(reportText))
	earlierReportTemplate = template.Must(template.New("report").Parse(earlierReportText))
)

// story is the pack as people read it.
type story struct {
	ID, Actor, Target, Reason, Ticket, Mode, Policy, Site, From string
	Started, Ended, Lasted, Cause, EndedBy                      string
	Requests, Writes, Refusals                                  int
	PolicyText                                                  string // empty: the log has none
	Ruled                                                       bool   // the configuration is there
	NoConfig                                                    uint64 // where the one is that the start names, if it should be there and is not
	Removed                                                     uint64 // retention let rows up to this go
	NoStart                                                     bool   // and the start was one of them
	Said                                                        uint64 // requests, by the end
	FirstLeft                                                   uint64 // the number of the first request that is there, if some before it are not
	Request, ApprovedBy                                         string // by the start
	NotAsked                                                    bool   // how it was asked for is not there, though the start says that it was
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
	Actor, Detail     string // for [earlierReportTemplate]
	Write, Bad        bool
}

// longEntry is from how many bytes on an entry may be torn apart by the end of a page: else it would leave half of one empty.
const longEntry = 500

// Long tells whether it is as long.
func (e entry) Long() bool { return len(e.What)+len(e.Says) > longEntry }

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
	gone := p.removal()
	if gone != nil {
		s.Removed, s.NoStart = gone.Through, gone.start
	}
	s.Request, s.NotAsked = p.request(), !p.asked()
	_, s.NoConfig = p.noConfig(gone)
	for _, r := range rows {
		if q := r.request; q != nil {
			if s.NoStart && (s.FirstLeft == 0 || q.ImpersonationSeq < s.FirstLeft) {
				s.FirstLeft = q.ImpersonationSeq
			}
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
			s.Policy, s.Site, s.ApprovedBy = text("policy"), text("site"), text("approved_by")
		}
		if e.Type == audit.EventImpersonationEnded && e.ImpersonationID == p.ID && ended.IsZero() {
			ended = e.Time
			if s.NoStart {
				s.Actor, s.Target, s.Mode = person(e.ActorName, e.ActorUsername, e.ActorID), person(e.TargetName, e.TargetUsername, e.TargetID), e.Mode
			}
			s.Ended, s.Cause, s.EndedBy = at(e.Time), text("cause"), text("by")
			n, _ := d["requests"].(float64)
			s.Said = uint64(max(n, 0))
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
	d := detailOf(v)
	text := func(name string) string { t, _ := d[name].(string); return t }
	e := entry{Seq: v.Seq, Log: v.LogID, Time: at(v.Time), What: v.Type, Actor: person(v.ActorName, v.ActorUsername, v.ActorID), Detail: detailText(v.Detail)}
	// The actor of what others say of a start is that of the start.
	if e.Who, e.Says = text("by"), e.Detail; e.Who == "" || e.Who == v.ActorUsername {
		e.Who = e.Actor
	}
	if v.Reason != "" && v.Type != audit.EventImpersonationStarted && v.Type != audit.EventEmergencyStarted {
		e.Says = strings.TrimSuffix(v.Reason+" · "+e.Says, " · ")
	}
	switch {
	case v.Type == audit.EventConfigLoaded:
		s.PolicyText, s.Ruled = policyIn(d, s.Policy), true
		if e.Says = "the configuration in force then"; s.PolicyText != "" {
			e.Says += "; its text of the policy is above"
		}
		e.Detail = e.Says
		s.Context = append(s.Context, e)
	case v.Type == audit.EventSigningKeyChanged, v.Type == audit.EventRetentionApplied:
		s.Context = append(s.Context, e)
	case strings.HasPrefix(v.Type, "approval_"), strings.HasPrefix(v.Type, "consent_"), v.Type == audit.EventEmergencyStarted:
		s.Agreements = append(s.Agreements, e)
	case v.Type == audit.EventNoticeSent, v.Type == audit.EventNoticeFailed:
		e.Who, e.Bad = strings.TrimSuffix("to "+text("to"), "to "), v.Type == audit.EventNoticeFailed
		s.Notices = append(s.Notices, e)
	default:
		s.Others = append(s.Others, e)
	}
}

// detailText is an event's detail as people read it.
func detailText(detail string) string {
	return strings.NewReplacer(`":"`, ": ", `":`, ": ", `","`, ", ", `,"`, ", ", `"`, "").Replace(strings.Trim(detail, "{}"))
}

// Before is the number of the last request that is gone.
func (s *story) Before() uint64 { return s.FirstLeft - 1 }

func (s *story) policyText() string {
	switch {
	case s.NoStart:
		return "The log says no more which policy it was: the start was older than the audit is kept.\n"
	case s.NoConfig > 0:
		return fmt.Sprintf("What policy %s said can't be shown: the configuration in force at the start, row %d of the log, is not there.\n", s.Policy, s.NoConfig)
	case s.PolicyText == "" && s.Ruled:
		return "The log does not have the text of policy " + s.Policy + ": there were too many for the event of the configuration.\n"
	case s.PolicyText == "" && s.Removed > 0:
		return fmt.Sprintf("The log does not have the text of policy %s: rows 1 to %d of it were older than the audit is kept, and are removed.\n", s.Policy, s.Removed)
	case s.PolicyText == "":
		return "The log does not have the text of policy " + s.Policy + ": it was loaded by a version that did not record it.\n"
	}
	return "Policy " + s.Policy + ", as it was in force at the start:\n\n" + s.PolicyText + "\n"
}

func (s *story) report(t *template.Template) ([]byte, error) {
	var b bytes.Buffer
	err := t.Execute(&b, s)
	return b.Bytes(), err
}
