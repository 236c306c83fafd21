package login

import (
	"bytes"
	"cmp"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/session"
)

const (
	// pendingLife is how long a person has for the provider's login page.
	pendingLife = 10 * time.Minute
	// maxPending is how many logins one browser can have under way: tabs that were all sent to log in.
	maxPending = 5
	// maxCookieDeletes bounds the Set-Cookie lines of one answer.
	maxCookieDeletes = 16
)

// Kinds of pending.
const (
	kindLogin  = "login"
	kindLogout = "logout"
)

// pending is a trip to the provider under way. The browser carries it, sealed, in a cookie of its own: nothing is
// kept here for visitors who never come back.
type pending struct {
	Kind     string `json:"k"`
	State    string `json:"s"`
	Nonce    string `json:"n,omitempty"`
	Verifier string `json:"v,omitempty"`
	ReturnTo string `json:"r,omitempty"`
	Site     string `json:"o"`
	Created  int64  `json:"t"` // Unix seconds
	// What was asked of the login; see BeginOptions.
	Prompt string `json:"p,omitempty"`
	MaxAge int64  `json:"m,omitempty"` // seconds
	ACR    string `json:"a,omitempty"`
	// Subject is who has to log in; empty: anybody.
	Subject string `json:"u,omitempty"`
}

func (p *pending) created() time.Time { return time.Unix(p.Created, 0) }

func (p *pending) expired(now time.Time) bool {
	age := now.Sub(p.created())
	return age >= pendingLife || age < -time.Minute
}

// sealer seals pendings with a key of its own.
type sealer struct{ aead cipher.AEAD }

func newSealer(key []byte) (*sealer, error) {
	k, err := hkdf.Key(sha256.New, key, nil, "caddy-impersonate login 1", 32)
	if err != nil {
		return nil, fmt.Errorf("deriving the key of pending logins: %w", err)
	}
	block, err := aes.NewCipher(k)
	if err != nil {
		return nil, fmt.Errorf("deriving the key of pending logins: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("deriving the key of pending logins: %w", err)
	}
	return &sealer{aead}, nil
}

// seal binds the value to the cookie's name: a value can't be moved to another attempt's cookie.
func (s *sealer) seal(name string, p *pending) (string, error) {
	var plain bytes.Buffer
	e := json.NewEncoder(&plain)
	e.SetEscapeHTML(false) // an address of many & would outgrow the cookie
	if err := e.Encode(p); err != nil {
		return "", fmt.Errorf("sealing a pending login: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(s.aead.Seal(nil, nil, plain.Bytes(), []byte(name))), nil
}

func (s *sealer) open(name, value string) (*pending, bool) {
	sealed, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil {
		return nil, false
	}
	plain, err := s.aead.Open(nil, nil, sealed, []byte(name))
	if err != nil {
		return nil, false
	}
	p := new(pending)
	if json.Unmarshal(plain, p) != nil {
		return nil, false
	}
	return p, true
}

// pendingName is the name of the cookie of the attempt with this state.
func pendingName(https bool, state string) string {
	sum := sha256.Sum256([]byte(state))
	return session.LoginCookieName(https, base64.RawURLEncoding.EncodeToString(sum[:12]))
}

// setPending gives the browser the cookie, and takes back those it has too many of: the oldest, and any that can't
// be read or are over.
func (h *Handler) setPending(w http.ResponseWriter, r *http.Request, https bool, p *pending) error {
	name := pendingName(https, p.State)
	value, err := h.sealer.seal(name, p)
	if err != nil {
		return err
	}
	type held struct {
		name    string
		created int64
	}
	var live []held
	var drop []string
	now := h.clock.Now()
	for _, c := range r.Cookies() {
		if !strings.HasPrefix(c.Name, session.LoginCookieName(https, "")) {
			continue
		}
		if old, ok := h.sealer.open(c.Name, c.Value); ok && !old.expired(now) {
			live = append(live, held{c.Name, old.Created})
		} else {
			drop = append(drop, c.Name)
		}
	}
	slices.SortStableFunc(live, func(a, b held) int { return cmp.Compare(a.created, b.created) })
	for ; len(live) >= maxPending; live = live[1:] {
		drop = append(drop, live[0].name)
	}
	for _, n := range drop[:min(len(drop), maxCookieDeletes)] {
		clearPending(w, https, n)
	}
	http.SetCookie(w, pendingCookie(https, name, value, int(pendingLife/time.Second)))
	return nil
}

// takePending is the attempt the state belongs to, if this browser began it. The cookie is taken back: whatever
// comes of it, it is used up.
func (h *Handler) takePending(w http.ResponseWriter, r *http.Request, kind, state string) (*pending, *failure) {
	scheme, host := h.site(r)
	https := scheme == "https"
	name := pendingName(https, state)
	var p *pending
	for _, c := range r.CookiesNamed(name) {
		if v, ok := h.sealer.open(name, c.Value); ok {
			p = v
			break
		}
	}
	if p == nil || p.Kind != kind || subtle.ConstantTimeCompare([]byte(p.State), []byte(state)) != 1 || p.Site != scheme+"://"+host {
		return nil, failUnknownState
	}
	clearPending(w, https, name)
	now := h.clock.Now()
	if p.expired(now) {
		return p, failExpired
	}
	if !h.states.use(p.State, now, p.created().Add(pendingLife)) {
		return p, failReplayed
	}
	return p, nil
}

func clearPending(w http.ResponseWriter, https bool, name string) {
	http.SetCookie(w, pendingCookie(https, name, "", -1))
}

func pendingCookie(https bool, name, value string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: maxAge,
		// Lax, not Strict: the browser comes back from another site.
		Secure: https, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}
