package login

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/seed-240d5494/caddy-impersonate/internal/problem"
	"github.com/seed-240d5494/caddy-impersonate/internal/session"
)

// BeginOptions ask something of a login. What is asked for is checked when the person comes back, and a login that
// can't be proven to be what was asked for fails.
type BeginOptions struct {
	// ReturnTo is where to go afterwards: a path of the same origin, see SafeReturnTo.
	ReturnTo string
	// Prompt is the parameter prompt; "login" makes the provider ask for the password again, and the login fails
	// unless the provider says that it did.
	Prompt string
	// MaxAge, when positive, is how long ago the person may have proved who they are, at most. In seconds, rounded up.
	MaxAge time.Duration
	// ACR, when not empty, are the authentication contexts the login may have, separated by blanks.
	ACR string
	// Subject, when not empty, is who has to log in.
	Subject string
}

// ServeLogin serves GET /.impersonate/login?return_to=…
func (h *Handler) ServeLogin(w http.ResponseWriter, r *http.Request) {
	if !allowed(w, r, http.MethodGet) {
		return
	}
	returnTo := SafeReturnTo(r.URL.Query().Get("return_to"))
	// Another site must not be able to end an impersonation by sending the browser through a login.
	if r.Header.Get("Sec-Fetch-Site") == "cross-site" {
		if raw, ok := session.RawID(r, h.https(r)); ok {
			if _, err := h.o.Sessions.Get(r.Context(), raw); err == nil {
				redirect(w, returnTo)
				return
			}
		}
	}
	h.Begin(w, r, BeginOptions{ReturnTo: returnTo})
}

// Begin sends the browser to the provider to log in; or, when that can't be reached, answers with a page that says so.
func (h *Handler) Begin(w http.ResponseWriter, r *http.Request, o BeginOptions) {
	o.ReturnTo = SafeReturnTo(o.ReturnTo)
	p := h.provider(r.Context())
	if p == nil {
		h.fail(w, r, failProviderDown.because(h.Ready()), o.ReturnTo)
		return
	}
	scheme, host := h.site(r)
	v := &pending{
		Kind: kindLogin, ReturnTo: o.ReturnTo, Site: scheme + "://" + host, Created: h.clock.Now().Unix(),
		Prompt: o.Prompt, MaxAge: int64((o.MaxAge + time.Second - 1) / time.Second), ACR: o.ACR, Subject: o.Subject,
	}
	var errs [3]error
	v.State, errs[0] = h.random()
	v.Nonce, errs[1] = h.random()
	v.Verifier, errs[2] = h.random()
	err := errors.Join(errs[:]...)
	if err == nil {
		err = h.setPending(w, r, scheme == "https", v)
	}
	if err != nil {
		h.fail(w, r, failInternal.because(err), o.ReturnTo)
		return
	}
	params := []oauth2.AuthCodeOption{oidc.Nonce(v.Nonce), oauth2.S256ChallengeOption(v.Verifier)}
	for name, value := range map[string]string{"prompt": v.Prompt, "acr_values": v.ACR} {
		if value != "" {
			params = append(params, oauth2.SetAuthURLParam(name, value))
		}
	}
	if v.MaxAge > 0 {
		params = append(params, oauth2.SetAuthURLParam("max_age", strconv.FormatInt(v.MaxAge, 10)))
	}
	leave(w, r, h.oauth2(p, v.Site).AuthCodeURL(v.State, params...), "Log in")
}

func (h *Handler) oauth2(p *provider, site string) *oauth2.Config {
	return &oauth2.Config{
		ClientID: h.o.ClientID, ClientSecret: h.o.ClientSecret, Endpoint: p.endpoint, Scopes: h.o.Scopes,
		RedirectURL: site + CallbackPath,
	}
}

func allowed(w http.ResponseWriter, r *http.Request, method string) bool {
	if r.Method == method {
		return true
	}
	w.Header().Set("Allow", method)
	problem.Write(w, r, &problem.Problem{
		Code: "method-not-allowed", Status: http.StatusMethodNotAllowed, Title: "Method not allowed",
		Detail: "This address takes " + method + " only.",
	})
	return false
}
