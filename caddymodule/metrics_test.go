package caddymodule

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// TestMetrics: the figures are in Caddy's registry, go on over a reload, and name neither people nor addresses.
func TestMetrics(t *testing.T) {
	w := newWorld(t)
	w.mustLoad()
	alice := w.login("alice")
	w.impersonate(alice, "sam")
	w.sees(alice)
	w.mustLoad()
	w.sees(alice)
	if res := api(t, alice, http.MethodDelete, w.url("/.impersonate/api/v1/impersonations/current"), nil); res.StatusCode/100 != 2 {
		t.Fatalf("ending: %s", res.Status)
	}

	// As one of an earlier run.
	if err := os.WriteFile(filepath.Join(w.dir, "journal", "refused-sqlite-7-9.jsonl"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var got map[string]float64
	w.eventually("finding the provider again", func() bool {
		got = gather(t)
		return got["provider_up"] == 1
	})
	for name, want := range map[string]float64{
		"provider_up":                                       1,
		"impersonations_live":                               0,
		"impersonations_started_total":                      1,
		"impersonations_ended_total stopped":                1,
		"impersonations_ended_total expired":                0,
		"requests_waiting":                                  0,
		"requests_asked_total":                              0,
		"requests_closed_total started":                     0,
		"requests_closed_total expired":                     0,
		"directory_users":                                   3,
		"directory_source_up file " + w.dir + "/users.yaml": 1,
		"journal_healthy":                                   1,
		"audit_intents_total":                               2,
		"sink_up sqlite":                                    1,
		"sink_batches_refused sqlite":                       1,
		"sink_batches_set_aside_total sqlite":               0,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %v, %v; want %v", name, v, ok, want)
		}
	}
	for _, name := range []string{"audit_events_total", "journal_sync_seconds", "journal_bytes"} {
		if got[name] == 0 {
			t.Errorf("%s is 0", name)
		}
	}
	if t.Failed() {
		t.Log(got)
	}
}

// gather reads the app's figures from Caddy's registry, a pedantic one, which checks what is collected.
func gather(t *testing.T) map[string]float64 {
	t.Helper()
	ctx := caddy.ActiveContext()
	families, err := ctx.GetMetricsRegistry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]float64)
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "caddy_impersonate_") {
			continue
		}
		if f.GetHelp() == "" {
			t.Errorf("%s has no help", f.GetName())
		}
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
				if strings.Contains(l.GetValue(), "alice") || strings.Contains(l.GetValue(), "sam") {
					t.Errorf("%s has the label %s", f.GetName(), l)
				}
			}
			got[strings.TrimPrefix(name, "caddy_impersonate_")] = m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return got
}

// TestMetricsBeforeStart: a configuration that is only validated has none.
func TestMetricsBeforeStart(t *testing.T) {
	app := new(App)
	app.ready = make(chan struct{})
	(&collector{app}).Collect(nil)
}
