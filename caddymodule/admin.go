package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
)

func init() {
	caddy.RegisterModule(adminAPI{})
}

// refreshPath is where the administration endpoint takes POST.
const refreshPath = "/impersonate/directory/refresh"

// adminAPI is what operators may ask of a running gateway at Caddy's administration endpoint. It belongs to the
// configuration in force, whichever that is.
type adminAPI struct{}

// CaddyModule implements [caddy.Module].
func (adminAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.impersonate", New: func() caddy.Module { return new(adminAPI) }}
}

// Routes implements [caddy.AdminRouter].
func (adminAPI) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{
		{Pattern: refreshPath, Handler: caddy.AdminHandlerFunc(refreshDirectory)},
		{Pattern: exportedPath, Handler: caddy.AdminHandlerFunc(recordExported)},
	}
}

// refreshed is the answer to a refresh.
type refreshed struct {
	Complete bool              `json:"complete"` // every source gave a good answer
	Users    int               `json:"users"`    // accounts known, of all sources together
	Sources  []refreshedSource `json:"sources"`
}

type refreshedSource struct {
	Name     string     `json:"name"`
	Users    int        `json:"users"`
	LastGood *time.Time `json:"last_good,omitempty"`
	Error    string     `json:"error,omitempty"`
}

// refreshDirectory has every source asked now, and answers when what changed there is in force: who is deactivated is out.
// The answer has the errors of sources that failed; the others are in force all the same.
func refreshDirectory(w http.ResponseWriter, r *http.Request) error {
	app, err := posted(w, r)
	if err != nil {
		return err
	}
	err = app.directory.RefreshNow(r.Context())
	if r.Context().Err() != nil {
		return nil // nobody waits for the answer
	}
	answer := refreshed{Complete: err == nil, Users: app.directory.Len()}
	for _, s := range app.directory.Status() {
		one := refreshedSource{Name: s.Name, Users: s.Users}
		if !s.LastGood.IsZero() {
			one.LastGood = &s.LastGood
		}
		if s.Err != nil {
			one.Error = s.Err.Error()
		}
		answer.Sources = append(answer.Sources, one)
	}
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(answer)
}

// posted is the app that a POST is for; of another request, and while there is none, the answer.
func posted(w http.ResponseWriter, r *http.Request) (*App, error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return nil, caddy.APIError{HTTPStatus: http.StatusMethodNotAllowed, Err: fmt.Errorf("%s: write POST", r.Method)}
	}
	app, err := activeApp()
	if err != nil {
		return nil, caddy.APIError{HTTPStatus: http.StatusServiceUnavailable, Err: err}
	}
	return app, nil
}

// activeApp is the app of the configuration in force, ready.
func activeApp() (*App, error) {
	module, err := caddy.ActiveContext().AppIfConfigured(appID)
	if err != nil {
		return nil, fmt.Errorf("the app %s is not running: %w", appID, err)
	}
	app, ok := module.(*App)
	if !ok {
		return nil, notA(module, appID, "App")
	}
	select {
	case <-app.ready:
		return app, nil
	default:
		return nil, errors.New("the gateway is starting; try again")
	}
}

// Interface guard
var _ caddy.AdminRouter = adminAPI{}
