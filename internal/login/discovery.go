package login

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

const (
	// firstRetry doubles up to maxRetry while the provider can't be reached.
	firstRetry = time.Second
	maxRetry   = 30 * time.Second
	// refreshEvery bounds how long a key or an endpoint the provider took back is still believed in.
	refreshEvery = time.Hour
	// patience is how long a person waits for a discovery under way.
	patience = 5 * time.Second

	keyBurst = 5
	keyEvery = 10 * time.Second
)

// algorithms a token may be signed with: those only the provider can use. Never none, never an HMAC, whose key would
// be the client's secret.
var algorithms = []string{
	oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA,
}

// provider is what discovery told, checked. Immutable.
type provider struct {
	oidc     *oidc.Provider
	endpoint oauth2.Endpoint
	userinfo bool
	// endSession is where people log out at the provider; may be empty.
	endSession string
	// issPromised: each answer to the browser names its issuer (RFC 9207).
	issPromised  bool
	idTokens     *oidc.IDTokenVerifier
	logoutTokens *oidc.IDTokenVerifier
}

// metadata is the part of the discovery document that go-oidc keeps to itself.
type metadata struct {
	JWKSURI       string   `json:"jwks_uri"`
	EndSession    string   `json:"end_session_endpoint"`
	Algorithms    []string `json:"id_token_signing_alg_values_supported"`
	ResponseTypes []string `json:"response_types_supported"`
	AuthMethods   []string `json:"token_endpoint_auth_methods_supported"`
	Challenges    []string `json:"code_challenge_methods_supported"`
	IssParameter  bool     `json:"authorization_response_iss_parameter_supported"`
}

// attempt is one try at discovery.
type attempt struct {
	done  chan struct{}
	err   error     // valid once done
	ended time.Time // likewise
}

// Run finds the provider, however long that takes, and looks again every hour. It returns when ctx ends.
func (h *Handler) Run(ctx context.Context) {
	for failures := 0; ; {
		a := h.discover(true)
		select {
		case <-a.done:
		case <-ctx.Done():
			return
		}
		wait := refreshEvery
		if a.err != nil {
			wait = min(firstRetry<<min(failures, 10), maxRetry)
			failures++
		} else {
			failures = 0
		}
		// Nodes that lost the provider together should not come back together.
		wait -= time.Duration(rand.Int64N(int64(wait / 5)))
		due := make(chan struct{})
		timer := h.clock.AfterFunc(wait, func() { close(due) })
		select {
		case <-due:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// Ready tells why nobody can log in now; nil when they can, as far as is known.
func (h *Handler) Ready() error {
	if h.current.Load() != nil {
		return nil
	}
	h.mu.Lock()
	a := h.attempt
	h.mu.Unlock()
	if a != nil {
		select {
		case <-a.done:
			return fmt.Errorf("identity provider %s: %w", h.issuer, a.err)
		default:
		}
	}
	return fmt.Errorf("identity provider %s: not reached yet", h.issuer)
}

// provider is the provider, waiting for a discovery under way; nil when it can't be reached. Somebody who wants to log
// in does not wait for Run's next try: one is made for them.
func (h *Handler) provider(ctx context.Context) *provider {
	if p := h.current.Load(); p != nil {
		return p
	}
	a := h.discover(false)
	enough := make(chan struct{})
	timer := h.clock.AfterFunc(patience, func() { close(enough) })
	defer timer.Stop()
	select {
	case <-a.done:
	case <-enough:
	case <-ctx.Done():
	}
	return h.current.Load()
}

// discover returns the attempt under way, or a new one. One that ended just now is returned too, unless fresh is
// wanted: visitors must not make the gateway hammer a provider that is down.
func (h *Handler) discover(fresh bool) *attempt {
	h.mu.Lock()
	defer h.mu.Unlock()
	if a := h.attempt; a != nil {
		select {
		case <-a.done:
			if !fresh && h.clock.Now().Sub(a.ended) < firstRetry {
				return a
			}
		default:
			return a
		}
	}
	a := &attempt{done: make(chan struct{})}
	h.attempt = a
	go func() {
		// Not the context of whoever asked: others wait for it too. The client bounds its time.
		p, err := h.fetchProvider(context.Background())
		if err == nil {
			if h.current.Swap(p) == nil {
				h.log.Info("identity provider found", "issuer", h.issuer)
			}
		} else {
			h.log.Warn("the identity provider's discovery document can't be used; trying again", "issuer", h.issuer, "error", brief(err))
		}
		h.mu.Lock()
		a.err, a.ended = err, h.clock.Now()
		h.mu.Unlock()
		close(a.done)
	}()
	return a
}

func (h *Handler) fetchProvider(ctx context.Context) (*provider, error) {
	p, err := oidc.NewProvider(oidc.ClientContext(ctx, h.client), h.issuer)
	if err != nil {
		return nil, fmt.Errorf("reading the discovery document: %w", err)
	}
	var m metadata
	if err := p.Claims(&m); err != nil {
		return nil, fmt.Errorf("reading the discovery document: %w", err)
	}
	endpoint := p.Endpoint()
	secure := strings.HasPrefix(h.issuer, "https://")
	for _, e := range []struct {
		name, value string
		optional    bool
	}{
		{"authorization_endpoint", endpoint.AuthURL, false},
		{"token_endpoint", endpoint.TokenURL, false},
		{"jwks_uri", m.JWKSURI, false},
		{"userinfo_endpoint", p.UserInfoEndpoint(), true},
		{"end_session_endpoint", m.EndSession, true},
	} {
		if e.value == "" && e.optional {
			continue
		}
		if err := checkEndpoint(e.value, secure); err != nil {
			return nil, fmt.Errorf("checking the discovery document: %s: %w", e.name, err)
		}
	}
	algs := slices.DeleteFunc(slices.Clone(algorithms), func(a string) bool { return !slices.Contains(m.Algorithms, a) })
	switch {
	case len(m.Algorithms) == 0:
		algs = []string{oidc.RS256} // the one every provider must know (OpenID Connect Core 1.0, section 15.1)
	case len(algs) == 0:
		return nil, fmt.Errorf("checking the discovery document: tokens would be signed by %s; none of these is accepted", strings.Join(m.Algorithms, ", "))
	}
	if len(m.ResponseTypes) > 0 && !slices.Contains(m.ResponseTypes, "code") {
		return nil, errors.New("checking the discovery document: the provider does not offer the code flow (response type code)")
	}
	if len(m.Challenges) > 0 && !slices.Contains(m.Challenges, "S256") {
		return nil, errors.New("checking the discovery document: the provider does not offer PKCE with S256")
	}
	endpoint.AuthStyle = authStyle(h.o.ClientSecret, m.AuthMethods)
	return &provider{
		oidc: p, endpoint: endpoint, userinfo: p.UserInfoEndpoint() != "", endSession: m.EndSession, issPromised: m.IssParameter,
		idTokens:     h.verifier(m.JWKSURI, algs, h.loginKeys),
		logoutTokens: h.verifier(m.JWKSURI, algs, h.logoutKeys),
	}, nil
}

// verifier has keys of its own, fetched when a token names one it does not know, as often as the bucket allows.
func (h *Handler) verifier(jwks string, algs []string, b *bucket) *oidc.IDTokenVerifier {
	gated := *h.client
	gated.Transport = keyGate{next: gated.Transport, bucket: b}
	keys := oidc.NewRemoteKeySet(oidc.ClientContext(context.Background(), &gated), jwks)
	return oidc.NewVerifier(h.issuer, keys, &oidc.Config{ClientID: h.o.ClientID, SupportedSigningAlgs: algs, Now: h.clock.Now})
}

// checkEndpoint refuses addresses that are none, and, for an issuer on https, any that are not: a secret or a token
// would be sent there in the clear.
func checkEndpoint(value string, secure bool) error {
	u, err := url.Parse(value)
	switch {
	case value == "":
		return errors.New("missing")
	case err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil || u.Fragment != "":
		return fmt.Errorf("%q is no http or https URL", cut(value, 200))
	case secure && u.Scheme != "https":
		return fmt.Errorf("%q is not https, though the issuer is", cut(value, 200))
	}
	return nil
}

// authStyle is how the client proves itself at the token endpoint. The default is client_secret_basic (OpenID Connect
// Discovery 1.0, section 3). Its secret goes percent-encoded (RFC 6749, section 2.3.1), and some providers don't
// decode it: where encoding changes it and the provider takes it in the body as well, that is safer.
func authStyle(secret string, methods []string) oauth2.AuthStyle {
	basic := len(methods) == 0 || slices.Contains(methods, "client_secret_basic")
	post := slices.Contains(methods, "client_secret_post")
	switch {
	case secret == "":
		return oauth2.AuthStyleInParams
	case post && (!basic || url.QueryEscape(secret) != secret):
		return oauth2.AuthStyleInParams
	}
	return oauth2.AuthStyleInHeader
}

// reachable asks the provider for a sign of life.
func (h *Handler) reachable(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(h.issuer, "/")+"/.well-known/openid-configuration", nil)
	if err != nil {
		return false
	}
	res, err := h.client.Do(req)
	if err != nil {
		return false
	}
	_ = res.Body.Close()
	return res.StatusCode < http.StatusInternalServerError
}
