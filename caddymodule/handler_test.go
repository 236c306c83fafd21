package caddymodule

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// TestRequestBeforeStart: a request that comes before the app has started waits, as long as its client does, and is not
// passed on to the app.
func TestRequestBeforeStart(t *testing.T) {
	app := &App{}
	app.ready, app.requests = make(chan struct{}), newInflight()
	h := &Handler{app: app}
	next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error {
		t.Error("the app was asked")
		return nil
	})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	r := httptest.NewRequest(http.MethodGet, "/", nil).WithContext(gone)
	err := h.ServeHTTP(httptest.NewRecorder(), r, next)
	if statusOf(err) != http.StatusServiceUnavailable || !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}

	// A handler that was not there when the app started.
	close(app.ready)
	err = h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil), next)
	if statusOf(err) != http.StatusServiceUnavailable {
		t.Errorf("error %v", err)
	}
}
