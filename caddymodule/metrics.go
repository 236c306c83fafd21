package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/journal"
	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
)

// registerMetrics makes the app's figures known to the configuration's registry, which is a new one at each load.
func (a *App) registerMetrics(ctx caddy.Context) error {
	err := ctx.GetMetricsRegistry().Register(&collector{a})
	if _, twice := errors.AsType[prometheus.AlreadyRegisteredError](err); err != nil && !twice {
		return fmt.Errorf("registering metrics: %w", err)
	}
	return nil
}

// collector reads the figures that the packages keep, when they are asked for. What outlives a reload goes on counting.
type collector struct{ app *App }

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("caddy_impersonate_"+name, help, labels, nil)
}

// The labels are bounded: causes of an end, and what the configuration names.
var (
	descSessions = describe("sessions_cached", "Sessions in memory.")
	descLogin    = describe("provider_up", "Whether people can log in: the OpenID Connect provider was found.")

	descLive      = describe("impersonations_live", "Impersonations under way.")
	descStarted   = describe("impersonations_started_total", "Impersonations started.")
	descRefused   = describe("impersonations_refused_total", "Starts refused.")
	descExtended  = describe("impersonations_extended_total", "Impersonations prolonged, by presses.")
	descNoBanner  = describe("banner_missing_total", "Pages whose script reported that the banner is not seen.")
	descEnded     = describe("impersonations_ended_total", "Impersonations ended, by cause.", "cause")
	descWaiting   = describe("requests_waiting", "Starts that wait for an approval or a consent.")
	descAsked     = describe("requests_asked_total", "Starts that had to wait for an approval or a consent.")
	descClosed    = describe("requests_closed_total", "Those that came to their end, by it.", "outcome")
	descUnwritten = describe("impersonations_unwritten", "Ended impersonations whose end is not yet in both state and journal. Above 0 for long: look at why.")
	descRetries   = describe("impersonation_write_retries_total", "Failed tries to write an end down.")

	descBanner = describe("banner_total", "Documents seen while impersonating, by what became of them and why they could not be marked.", "outcome", "reason")

	descUsers       = describe("directory_users", "Accounts known.")
	descSourceUsers = describe("directory_source_users", "Accounts in force from a source.", "source")
	descSourceUp    = describe("directory_source_up", "Whether the source's last answer was good.", "source")
	descSourceLapse = describe("directory_source_lapsed", "Whether the source has been down for so long that its accounts count as unknown.", "source")
	descSourceGood  = describe("directory_source_last_good_timestamp_seconds", "When the source last gave a good answer; 0: never.", "source")

	descHealthy     = describe("journal_healthy", "Whether the journal takes records. 0: impersonated requests are refused.")
	descJournal     = describe("journal_bytes", "Size of the journal on disk.")
	descRecords     = describe("journal_records_total", "Records made durable.")
	descWritten     = describe("journal_written_bytes_total", "Bytes written.")
	descJournalFail = describe("journal_failures_total", "Times the journal began to refuse records.")
	descJournalRef  = describe("journal_refused_total", "Records refused.")
	descSync        = describe("journal_sync_seconds", "How long commits waited for the disk.")

	descIntents    = describe("audit_intents_total", "Requests recorded before they were made.")
	descIntentsRef = describe("audit_intents_refused_total", "Requests that could not be recorded, and were not made.")
	descEvents     = describe("audit_events_total", "Events recorded.")
	descRows       = describe("audit_requests_total", "Requests recorded with their outcome.")
	descOpen       = describe("audit_requests_open", "Requests recorded and under way.")
	descLate       = describe("audit_outcomes_waiting", "Outcomes that wait for the disk.")

	descSinkUp       = describe("sink_up", "Whether the sink takes rows.", "sink")
	descSinkBacklog  = describe("sink_backlog_rows", "Rows that wait in the journal for the sink.", "sink")
	descSinkLag      = describe("sink_lag_seconds", "Age of the oldest row being sent; 0: the sink has all.", "sink")
	descSinkRows     = describe("sink_rows_total", "Rows the sink took.", "sink")
	descSinkBatches  = describe("sink_batches_total", "Batches the sink took.", "sink")
	descSinkFailures = describe("sink_failures_total", "Failed tries to send.", "sink")
	descSinkAside    = describe("sink_batches_set_aside_total", "Batches the sink refused for good.", "sink")
	descSinkRefused  = describe("sink_batches_refused", "Batches that the sink refused for good, in this run or an earlier one, and that wait for an operator.", "sink")
	descSinkLost     = describe("sink_records_lost_total", "Records damaged before they could be sent.", "sink")

	descWitnessUp       = describe("witness_up", "Whether the witness takes checkpoints.", "witness")
	descWitnessBehind   = describe("witness_behind_rows", "Rows of the log that no checkpoint covers which the witness has.", "witness")
	descWitnessTaken    = describe("witness_checkpoints_total", "Checkpoints the witness took.", "witness")
	descWitnessFailures = describe("witness_failures_total", "Failed tries to publish.", "witness")
	descWitnessLost     = describe("witness_gaps_total", "Times that checkpoints were gone before the witness got them.", "witness")

	allDescs = []*prometheus.Desc{
		descSessions, descLogin, descLive, descStarted, descRefused, descExtended, descNoBanner, descEnded, descWaiting, descAsked, descClosed, descUnwritten, descRetries,
		descBanner,
		descUsers, descSourceUsers, descSourceUp, descSourceLapse, descSourceGood,
		descHealthy, descJournal, descRecords, descWritten, descJournalFail, descJournalRef, descSync,
		descIntents, descIntentsRef, descEvents, descRows, descOpen, descLate,
		descSinkUp, descSinkBacklog, descSinkLag, descSinkRows, descSinkBatches, descSinkFailures, descSinkAside, descSinkRefused, descSinkLost,
		descWitnessUp, descWitnessBehind, descWitnessTaken, descWitnessFailures, descWitnessLost,
	}
)

// Describe implements [prometheus.Collector].
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range allDescs {
		to <- d
	}
}

// Collect implements [prometheus.Collector]. There is nothing to tell before the app has started.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	select {
	case <-c.app.ready:
	default:
		return
	}
	m := metrics{to}
	m.gauge(descSessions, float64(c.app.node.Sessions.Cached()))
	m.gauge(descLogin, up(c.app.login.Ready()))
	m.impersonations(c.app)
	for o, n := range c.app.node.Banners.Stats() {
		m.count(descBanner, n, o.Banner, o.Reason)
	}
	m.directory(c.app.directory)
	m.gauge(descHealthy, up(c.app.trail.recorder.Healthy()))
	stats := c.app.trail.recorder.Stats()
	m.audit(stats, c.app.clock.Now())
	m.refused(c.app.trail.recorder, stats.Sinks)
}

// countWithin is how long a figure that has to be counted in the state is waited for.
const countWithin = 2 * time.Second

type metrics struct{ to chan<- prometheus.Metric }

func (m metrics) gauge(d *prometheus.Desc, v float64, labels ...string) {
	m.to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func (m metrics) count(d *prometheus.Desc, v uint64, labels ...string) {
	m.to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
}

func up(err error) float64 {
	if err != nil {
		return 0
	}
	return 1
}

func (m metrics) impersonations(a *App) {
	s := a.node.Impersonations.Stats()
	m.gauge(descLive, float64(s.Live))
	m.count(descStarted, s.Started)
	m.count(descRefused, s.Refused)
	m.count(descExtended, s.Extended)
	m.count(descNoBanner, s.BannerMissing)
	for cause, n := range s.Ended {
		m.count(descEnded, n, cause)
	}
	ctx, cancel := context.WithTimeout(context.Background(), countWithin)
	defer cancel()
	if n, err := a.node.Impersonations.CountWaiting(ctx); err == nil { // else it is not told this time; others tell that the state is down
		m.gauge(descWaiting, float64(n))
	}
	m.count(descAsked, s.Asked)
	for outcome, n := range s.Closed {
		m.count(descClosed, n, outcome)
	}
	m.gauge(descUnwritten, float64(s.Unwritten))
	m.count(descRetries, s.Retries)
}

func (m metrics) directory(d *directory.Directory) {
	m.gauge(descUsers, float64(d.Len()))
	told := make(map[string]bool)
	for _, s := range d.Status() {
		if told[s.Name] {
			continue // two of a name can't be told apart
		}
		told[s.Name] = true
		m.gauge(descSourceUsers, float64(s.Users), s.Name)
		m.gauge(descSourceUp, up(s.Err), s.Name)
		lapsed := 0.0
		if s.Lapsed {
			lapsed = 1
		}
		m.gauge(descSourceLapse, lapsed, s.Name)
		good := 0.0
		if !s.LastGood.IsZero() {
			good = float64(s.LastGood.UnixMilli()) / 1000
		}
		m.gauge(descSourceGood, good, s.Name)
	}
}

// refused counts the files: those of before a restart wait, too.
func (m metrics) refused(r *audit.Recorder, sinks []audit.SinkStatus) {
	batches, err := r.RefusedBatches()
	if err != nil {
		return // no figure is better than a wrong one; that the disk fails the journal tells
	}
	for _, sink := range sinks {
		n := 0
		for _, b := range batches {
			if b.Of(sink.Name) {
				n++
			}
		}
		m.gauge(descSinkRefused, float64(n), sink.Name)
	}
}

func (m metrics) audit(s audit.Stats, now time.Time) {
	m.gauge(descJournal, float64(s.Journal.Bytes))
	m.count(descRecords, s.Journal.Records)
	m.count(descWritten, s.Journal.Written)
	m.count(descJournalFail, s.Journal.Failures)
	m.count(descJournalRef, s.Journal.Refused)
	m.syncs(&s.Journal)
	m.count(descIntents, s.Intents)
	m.count(descIntentsRef, s.RefusedIntents)
	m.count(descEvents, s.Events)
	m.count(descRows, s.Rows)
	m.gauge(descOpen, float64(s.Open))
	m.gauge(descLate, float64(s.Late))
	for _, sink := range s.Sinks {
		m.gauge(descSinkUp, up(sink.Err), sink.Name)
		m.gauge(descSinkBacklog, float64(sink.Backlog), sink.Name)
		lag := 0.0
		if !sink.Oldest.IsZero() {
			lag = max(now.Sub(sink.Oldest).Seconds(), 0)
		}
		m.gauge(descSinkLag, lag, sink.Name)
		m.count(descSinkRows, sink.Rows, sink.Name)
		m.count(descSinkBatches, sink.Batches, sink.Name)
		m.count(descSinkFailures, sink.Failures, sink.Name)
		m.count(descSinkAside, sink.SetAside, sink.Name)
		m.count(descSinkLost, sink.Lost, sink.Name)
	}
	for _, w := range s.Witnesses {
		m.gauge(descWitnessUp, up(w.Err), w.Name)
		m.gauge(descWitnessBehind, float64(w.Backlog), w.Name)
		m.count(descWitnessTaken, w.Rows, w.Name)
		m.count(descWitnessFailures, w.Failures, w.Name)
		m.count(descWitnessLost, w.Lost, w.Name)
	}
}

// syncs makes a histogram of the journal's counts: there buckets are apart, here each holds those below.
func (m metrics) syncs(s *journal.Stats) {
	buckets := make(map[float64]uint64, len(journal.SyncBounds))
	var n uint64
	for i, bound := range journal.SyncBounds {
		n += s.Syncs[i]
		buckets[bound.Seconds()] = n
	}
	n += s.Syncs[len(journal.SyncBounds)]
	m.to <- prometheus.MustNewConstHistogram(descSync, n, s.SyncTime.Seconds(), buckets)
}

// Interface guard
var _ prometheus.Collector = (*collector)(nil)
