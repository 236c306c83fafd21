package webhook

import (
	"strings"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/notify"
)

// payload is what a webhook gets: type, timestamp and data, as the Standard Webhooks scheme advises.
type payload struct {
	Type      notify.Kind `json:"type"`
	Timestamp time.Time   `json:"timestamp"`
	Data      data        `json:"data"`
}

type data struct {
	ImpersonationID string         `json:"impersonation_id,omitempty"`
	RequestID       string         `json:"request_id,omitempty"`
	Actor           *person        `json:"actor,omitempty"`
	Target          *person        `json:"target,omitempty"`
	Reason          string         `json:"reason,omitempty"`
	Ticket          string         `json:"ticket,omitempty"`
	Mode            string         `json:"mode,omitempty"`
	Policy          string         `json:"policy,omitempty"`
	Emergency       bool           `json:"emergency,omitempty"`
	DurationSeconds int64          `json:"duration_seconds,omitempty"`
	StartedAt       *time.Time     `json:"started_at,omitempty"`
	EndedAt         *time.Time     `json:"ended_at,omitempty"`
	EndCause        string         `json:"end_cause,omitempty"`
	ExpiresAt       *time.Time     `json:"expires_at,omitempty"`
	Decision        string         `json:"decision,omitempty"`
	By              string         `json:"by,omitempty"`
	Note            string         `json:"note,omitempty"`
	Consequence     string         `json:"consequence,omitempty"`
	Site            string         `json:"site,omitempty"`
	URL             string         `json:"url,omitempty"`
	Recipients      []string       `json:"recipients"` // usernames of whom it concerns
	Digest          *notify.Digest `json:"digest,omitempty"`
}

type person struct {
	ID       string `json:"id"`
	Username string `json:"username"`
	Name     string `json:"name"`
}

func payloadOf(m *notify.Message) *payload {
	p := &payload{Type: m.Kind, Timestamp: m.At.UTC(), Data: data{
		ImpersonationID: m.ImpersonationID, RequestID: m.RequestID,
		Actor: personOf(m.ActorID, m.ActorUsername, m.ActorName), Target: personOf(m.TargetID, m.TargetUsername, m.TargetName),
		Reason: m.Reason, Ticket: m.Ticket, Mode: m.Mode, Policy: m.Policy, Emergency: m.Emergency, DurationSeconds: int64(m.Duration / time.Second),
		StartedAt: when(m.StartedAt), EndedAt: when(m.EndedAt), EndCause: m.EndCause, ExpiresAt: when(m.Expires),
		Decision: m.Decision, By: m.By, Note: m.Note, Consequence: m.Consequence, Site: m.Site, URL: m.URL(), Recipients: []string{}, Digest: m.Digest,
	}}
	for _, r := range m.To {
		p.Data.Recipients = append(p.Data.Recipients, r.Username)
	}
	return p
}

func personOf(id, username, name string) *person {
	if username == "" {
		return nil
	}
	return &person{id, username, name}
}

func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// slack is a message of Slack's incoming webhooks.
type slack struct {
	Text   string  `json:"text"` // for notifications, and for what knows no blocks
	Blocks []block `json:"blocks"`
}

type block struct {
	Type     string      `json:"type"`
	Text     *slackText  `json:"text,omitempty"`
	Fields   []slackText `json:"fields,omitempty"`
	Elements []slackText `json:"elements,omitempty"`
}

type slackText struct {
	Type string `json:"type"`
	Text string `json:"text"`
	// Verbatim: addresses in what people wrote don't become links.
	Verbatim bool `json:"verbatim"`
}

// Slack refuses a message with longer texts, or more of them.
const (
	maxSection = 2900
	maxField   = 1900
	maxFields  = 10
)

func slackOf(t *notify.Text) *slack {
	head := "*" + escape(t.Lead) + "*"
	if t.More != "" {
		head += "\n" + escape(t.More)
	}
	s := &slack{Text: escape(t.Subject), Blocks: []block{{Type: "section", Text: mrkdwn(head, maxSection)}}}
	var fields []slackText
	for _, f := range t.Facts {
		if len(fields) < maxFields {
			fields = append(fields, *mrkdwn("*"+escape(f.Label)+"*\n"+escape(f.Value), maxField))
		}
	}
	if len(fields) > 0 {
		s.Blocks = append(s.Blocks, block{Type: "section", Fields: fields})
	}
	var lines strings.Builder
	for _, l := range t.Lines {
		line := "• " + escape(l.What)
		if l.Why != "" {
			line += " _(" + escape(l.Why) + ")_"
		}
		if lines.Len()+len(line) > maxSection {
			break
		}
		lines.WriteString(line + "\n")
	}
	if lines.Len() > 0 {
		s.Blocks = append(s.Blocks, block{Type: "section", Text: mrkdwn(lines.String(), maxSection+100)})
	}
	if t.URL != "" {
		s.Blocks = append(s.Blocks, block{Type: "section", Text: mrkdwn("<"+escapeURL(t.URL)+"|"+escape(t.Action)+">", maxSection)})
	}
	s.Blocks = append(s.Blocks, block{Type: "context", Elements: []slackText{*mrkdwn(escape(t.Footer), maxField)}})
	return s
}

func mrkdwn(s string, most int) *slackText {
	return &slackText{"mrkdwn", cut(s, most), true}
}

// cut shortens to most bytes, between characters and not inside what was escaped.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	s = strings.ToValidUTF8(s[:most], "")
	if i := strings.LastIndexByte(s, '&'); i >= 0 && !strings.Contains(s[i:], ";") {
		s = s[:i]
	}
	return s + "…"
}

// escape keeps text from being a link or a mention: the three characters that Slack wants escaped.
func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}

func escapeURL(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "%3C", ">", "%3E", "|", "%7C").Replace(s)
}
