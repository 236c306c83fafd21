// Package provider is a small OpenID Connect provider with a login page, for the demo: authorization code flow with
// PKCE, one client, a handful of accounts, all in memory. It is no product: passwords are in the open.
package provider

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Account is somebody who can log in.
type Account struct {
	Subject, Username, Password, Name, Email string
	Groups                                   []string
}

// Options configure a provider.
type Options struct {
	// Issuer is its own origin, such as http://127.0.0.1:40001.
	Issuer                 string
	ClientID, ClientSecret string
	// RedirectURIs and PostLogoutURIs are where the client may have browsers sent.
	RedirectURIs, PostLogoutURIs []string
	Accounts                     []Account
	Now                          func() time.Time
}

// Provider serves the endpoints.
type Provider struct {
	Options
	mux    *http.ServeMux
	signer jose.Signer
	public jose.JSONWebKeySet

	// mu guards what follows. All of it is bounded by keep.
	mu       sync.Mutex
	codes    map[string]*grant
	tokens   map[string]*grant
	sessions map[string]*login
}

// grant is what a code or an access token stands for.
type grant struct {
	account     *Account
	login       *login
	redirectURI string
	nonce       string
	challenge   string
	authTime    bool
	expires     time.Time
}

// login is one browser's login at the provider.
type login struct {
	id      string
	account *Account
	at      time.Time
}

const (
	codeLife    = time.Minute
	tokenLife   = 10 * time.Minute
	keep        = 1000
	cookieName  = "demo_provider"
	maxFormSize = 16 << 10
)

//go:embed login.html
var files embed.FS

var loginPage = template.Must(template.ParseFS(files, "login.html"))

// New makes a provider with a signing key of its own.
func New(o Options) (*Provider, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the provider's key: %w", err)
	}
	jwk := jose.JSONWebKey{Key: key, KeyID: random()[:8], Algorithm: string(jose.ES256), Use: "sig"}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jwk}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return nil, fmt.Errorf("using the provider's key: %w", err)
	}
	p := &Provider{
		Options: o, mux: http.NewServeMux(), signer: signer, public: jose.JSONWebKeySet{Keys: []jose.JSONWebKey{jwk.Public()}},
		codes: map[string]*grant{}, tokens: map[string]*grant{}, sessions: map[string]*login{},
	}
	p.mux.HandleFunc("GET /.well-known/openid-configuration", p.discovery)
	p.mux.HandleFunc("GET /jwks", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, p.public) })
	p.mux.HandleFunc("GET /authorize", p.authorize)
	p.mux.HandleFunc("POST /authorize", p.submit)
	p.mux.HandleFunc("POST /token", p.token)
	p.mux.HandleFunc("GET /userinfo", p.userinfo)
	p.mux.HandleFunc("GET /logout", p.logout)
	return p, nil
}

func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	p.mux.ServeHTTP(w, r)
}

func (p *Provider) discovery(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]any{
		"issuer": p.Issuer, "authorization_endpoint": p.Issuer + "/authorize", "token_endpoint": p.Issuer + "/token",
		"userinfo_endpoint": p.Issuer + "/userinfo", "jwks_uri": p.Issuer + "/jwks", "end_session_endpoint": p.Issuer + "/logout",
		"response_types_supported": []string{"code"}, "grant_types_supported": []string{"authorization_code"},
		"subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"ES256"},
		"scopes_supported":                      []string{"openid", "profile", "email", "groups"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post"},
		"code_challenge_methods_supported":      []string{"S256"}, "authorization_response_iss_parameter_supported": true,
		"claims_supported": []string{"sub", "name", "preferred_username", "email", "groups", "auth_time", "sid"},
	})
}

// request checks an authorization request. An error is for the person: where it says so the browser can't be sent back.
func (p *Provider) request(q url.Values) error {
	switch {
	case q.Get("client_id") != p.ClientID:
		return errors.New("this provider does not know the application that sent you")
	case !slices.Contains(p.RedirectURIs, q.Get("redirect_uri")):
		return fmt.Errorf("the application wants you sent to %q, which it has not registered", q.Get("redirect_uri"))
	case q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" || q.Get("code_challenge") == "":
		return errors.New("only the code flow with PKCE (S256) is served")
	}
	return nil
}

func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if err := p.request(q); err != nil {
		p.page(w, http.StatusBadRequest, q, "", err.Error())
		return
	}
	s := p.current(r)
	again := slices.Contains(strings.Fields(q.Get("prompt")), "login")
	if q.Has("max_age") && s != nil {
		age, err := time.ParseDuration(q.Get("max_age") + "s")
		again = again || err != nil || p.Now().Sub(s.at) > age
	}
	if s == nil || again {
		if q.Get("prompt") == "none" {
			http.Redirect(w, r, p.back(q, url.Values{"error": {"login_required"}}), http.StatusSeeOther)
			return
		}
		p.page(w, http.StatusOK, q, "", "")
		return
	}
	p.redirect(w, r, q, s)
}

func (p *Provider) submit(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxFormSize)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "unreadable form", http.StatusBadRequest)
		return
	}
	q := r.URL.Query()
	if err := p.request(q); err != nil {
		p.page(w, http.StatusBadRequest, q, "", err.Error())
		return
	}
	username := strings.ToLower(strings.TrimSpace(r.PostForm.Get("username")))
	i := slices.IndexFunc(p.Accounts, func(a Account) bool { return a.Username == username })
	if i < 0 || subtle.ConstantTimeCompare([]byte(p.Accounts[i].Password), []byte(r.PostForm.Get("password"))) != 1 {
		p.page(w, http.StatusUnauthorized, q, username, "That username and password don't match.")
		return
	}
	s := &login{id: random(), account: &p.Accounts[i], at: p.Now()}
	p.mu.Lock()
	bound(p.sessions)
	p.sessions[s.id] = s
	p.mu.Unlock()
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: s.id, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	p.redirect(w, r, q, s)
}

// redirect sends the browser back with a code.
func (p *Provider) redirect(w http.ResponseWriter, r *http.Request, q url.Values, s *login) {
	code := random()
	p.mu.Lock()
	bound(p.codes)
	p.codes[code] = &grant{
		account: s.account, login: s, redirectURI: q.Get("redirect_uri"), nonce: q.Get("nonce"), challenge: q.Get("code_challenge"),
		authTime: q.Has("max_age") || q.Has("prompt"), expires: p.Now().Add(codeLife),
	}
	p.mu.Unlock()
	http.Redirect(w, r, p.back(q, url.Values{"code": {code}}), http.StatusSeeOther)
}

func (p *Provider) back(q, result url.Values) string {
	if q.Has("state") {
		result.Set("state", q.Get("state"))
	}
	result.Set("iss", p.Issuer)
	return q.Get("redirect_uri") + "?" + result.Encode()
}

func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxFormSize)
	if err := r.ParseForm(); err != nil {
		answer(w, http.StatusBadRequest, map[string]string{"error": "invalid_request"})
		return
	}
	id, secret, basic := r.BasicAuth()
	if basic {
		id, _ = url.QueryUnescape(id) // RFC 6749 section 2.3.1
		secret, _ = url.QueryUnescape(secret)
	} else {
		id, secret = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	}
	if id != p.ClientID || subtle.ConstantTimeCompare([]byte(secret), []byte(p.ClientSecret)) != 1 {
		answer(w, http.StatusUnauthorized, map[string]string{"error": "invalid_client"})
		return
	}
	code := r.PostForm.Get("code")
	p.mu.Lock()
	g := p.codes[code]
	delete(p.codes, code) // once only
	p.mu.Unlock()
	sum := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
	if g == nil || p.Now().After(g.expires) || g.redirectURI != r.PostForm.Get("redirect_uri") ||
		subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(g.challenge)) != 1 {
		answer(w, http.StatusBadRequest, map[string]string{"error": "invalid_grant"})
		return
	}
	now := p.Now()
	claims := map[string]any{
		"iss": p.Issuer, "aud": p.ClientID, "sub": g.account.Subject, "iat": now.Unix(), "exp": now.Add(tokenLife).Unix(), "sid": g.login.id[:16],
	}
	if g.nonce != "" {
		claims["nonce"] = g.nonce
	}
	if g.authTime {
		claims["auth_time"] = g.login.at.Unix()
	}
	profile(claims, g.account)
	idToken, err := jwt.Signed(p.signer).Claims(claims).Serialize()
	if err != nil {
		answer(w, http.StatusInternalServerError, map[string]string{"error": "server_error"})
		return
	}
	access := random()
	g.expires = now.Add(tokenLife)
	p.mu.Lock()
	bound(p.tokens)
	p.tokens[access] = g
	p.mu.Unlock()
	answer(w, http.StatusOK, map[string]any{"access_token": access, "token_type": "Bearer", "expires_in": int(tokenLife.Seconds()), "id_token": idToken})
}

func (p *Provider) userinfo(w http.ResponseWriter, r *http.Request) {
	access, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	p.mu.Lock()
	g := p.tokens[access]
	p.mu.Unlock()
	if g == nil || p.Now().After(g.expires) {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		answer(w, http.StatusUnauthorized, map[string]string{"error": "invalid_token"})
		return
	}
	claims := map[string]any{"sub": g.account.Subject}
	profile(claims, g.account)
	answer(w, http.StatusOK, claims)
}

func profile(claims map[string]any, a *Account) {
	claims["preferred_username"], claims["name"], claims["email"], claims["email_verified"], claims["groups"] = a.Username, a.Name, a.Email, true, a.Groups
}

// logout is RP-initiated logout: it ends the browser's login here and sends it back where the client registered.
func (p *Provider) logout(w http.ResponseWriter, r *http.Request) {
	if s := p.current(r); s != nil {
		p.mu.Lock()
		delete(p.sessions, s.id)
		p.mu.Unlock()
	}
	http.SetCookie(w, &http.Cookie{Name: cookieName, Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	to := r.URL.Query().Get("post_logout_redirect_uri")
	if !slices.Contains(p.PostLogoutURIs, to) {
		p.page(w, http.StatusOK, nil, "", "You are logged out.")
		return
	}
	if state := r.URL.Query().Get("state"); state != "" {
		to += "?state=" + url.QueryEscape(state)
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

func (p *Provider) current(r *http.Request) *login {
	c, err := r.Cookie(cookieName)
	if err != nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sessions[c.Value]
}

func (p *Provider) page(w http.ResponseWriter, status int, q url.Values, username, message string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("X-Frame-Options", "DENY")
	w.WriteHeader(status)
	_ = loginPage.Execute(w, map[string]any{
		"Action": template.URL("/authorize?" + q.Encode()), //nolint:gosec // built from parsed values
		"Form":   q != nil && status != http.StatusBadRequest, "Username": username, "Message": message, "Accounts": p.Accounts,
	})
}

func bound[V any](m map[string]V) {
	for k := range m {
		if len(m) < keep {
			return
		}
		delete(m, k)
	}
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client went away
}

func random() string {
	var b [24]byte
	if _, err := rand.Read(b[:]); err != nil {
		panic(err) // crypto/rand does not fail
	}
	return base64.RawURLEncoding.EncodeToString(b[:])
}
