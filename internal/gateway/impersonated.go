package gateway

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/fields"
	"github.com/seed-240d5494/caddy-impersonate/internal/banner"
	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
	"github.com/seed-240d5494/caddy-impersonate/internal/problem"
)

// serveImpersonated forwards the request as the target: written down first, marked for the person to see, cut when
// the impersonation ends.
func (s *Site) serveImpersonated(w http.ResponseWriter, r *http.Request, next Next, live *impersonation.Live, b *browser, v *view, now time.Time) (err error) {
	live.Touch(now)

	// Write the intent. It travels to the disk while the request travels to the app.
	rec := s.begin(r, v, live, now)
	if rec.err != nil {
		// The journal has told the operator, once: a line for each request would fill the log's disk, too.
		s.Log.Debug("an impersonated request was refused: the journal does not take it", "error", rec.err, "impersonation", live.ID)
		problem.Write(w, r, noRecord)
		return nil
	}
	defer rec.finish()

	if p, refusal := s.refused(r, live.Mode); p != nil {
		if !rec.durable() {
			p = noRecord
		}
		rec.refused(p.Status, refusal)
		writeRefusal(w, r, p)
		return nil
	}
	if asksForWorker(r) {
		if !rec.durable() {
			rec.refused(noRecord.Status, "audit_unavailable")
			problem.Write(w, r, noRecord)
			return nil
		}
		serveRetiringWorker(w)
		rec.result.ContentType, rec.result.ResponseBytes = w.Header().Get("Content-Type"), int64(len(retiringWorker))
		rec.outcome(http.StatusOK, audit.OutcomeCompleted)
		return nil
	}
	if mayWrite(r) && !rec.durable() { // record before effect
		rec.refused(noRecord.Status, "audit_unavailable")
		problem.Write(w, r, noRecord)
		return nil
	}

	document := r.Method != http.MethodConnect && banner.IsDocument(r)
	if err := s.swap(r, v); err != nil {
		s.Log.Error("the assertion can't be signed", "error", err, "impersonation", live.ID)
		rec.refused(unusableIdentity.Status, "identity_unusable")
		problem.Write(w, r, unusableIdentity)
		return nil
	}
	if r.Header["X-Request-Id"] == nil {
		r.Header["X-Request-Id"] = []string{rec.row.RequestID}
	}
	held := b.targetCookies(s, r, live, now)
	if document {
		banner.PrepareRequest(r)
	}

	// The request, and what is under way of its answer, end with the impersonation.
	ctx, cancel := context.WithCancelCause(r.Context())
	mw := &markingWriter{ResponseWriter: w, site: s, request: r, live: live, browser: b, jar: held, view: v, record: rec, document: document, cancel: cancel, now: now}
	if live.Mode == policy.ModeReadOnly {
		mw.guard()
	}
	stop := context.AfterFunc(live.Context(), mw.sever)
	defer func() {
		defer cancel(nil)
		defer stop()
		err = mw.end(recover(), err)
	}()
	if live.Ended() != nil { // while the intent was written
		return nil
	}
	return next(mw, r.WithContext(ctx))
}

// begin writes the intent of a request.
func (s *Site) begin(r *http.Request, v *view, live *impersonation.Live, now time.Time) *record {
	rec := &record{start: now, clock: s.Clock}
	row := &rec.row
	row.Time = now
	row.ActorID, row.ActorUsername, row.ActorName = v.who.Actor.ID, v.who.Actor.Username, v.who.Actor.Name
	if live != nil {
		row.ImpersonationID, row.Mode = live.ID, live.Mode
		row.TargetID, row.TargetUsername, row.TargetName = v.who.User.ID, v.who.User.Username, v.who.User.Name
	}
	row.ClientIP = v.clientIP(s.ClientIP(r))
	if ua := r.Header["User-Agent"]; len(ua) > 0 {
		row.UserAgent = ua[0]
	}
	row.Method, row.Scheme, row.Host = r.Method, s.Scheme(r), r.Host
	row.Path, row.Query = r.URL.EscapedPath(), r.URL.RawQuery // redacted by the Recorder
	row.Action = s.actionOf(r)
	row.RequestBytes = max(r.ContentLength, 0)
	rec.body = countBody(r, live, s.Clock)
	if s.RecordFields && rec.body != nil && r.Method != http.MethodConnect && mayWrite(r) {
		rec.body.fields = fields.New(r.Header, r.ContentLength, s.Recorder.Field)
	}
	rec.intent, rec.err = s.Recorder.Intent(row)
	return rec
}

// errWithheld tells the app's side that its answer is no longer wanted.
var errWithheld = errors.New("the gateway answered in the app's place")
