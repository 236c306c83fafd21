package identity

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

const (
	// assertionLife is how long an assertion is valid; assertionReuse how long one is sent again, so that a
	// request seldom costs a signature and the app always has the rest of its life to check it.
	assertionLife  = 60 * time.Second
	assertionReuse = 20 * time.Second
	// assertionSkew is how far an app's clock may be behind.
	assertionSkew = 5 * time.Second

	keyUse = "assertion"
)

// Signer makes the signed assertion: a JWT (ES256) that says whose account is used (sub) and who really acts (act,
// RFC 8693 section 4.1), for apps that would rather check a signature than trust a header.
type Signer struct {
	signer jose.Signer
	clock  clock.Clock
	jwks   []byte
}

// Claims are what an assertion says.
type Claims struct {
	jwt.Claims
	Act             *Actor `json:"act,omitempty"`
	ImpersonationID string `json:"impersonation_id,omitempty"`
	Mode            string `json:"mode,omitempty"`
	Name            string `json:"name,omitempty"`
	Email           string `json:"email,omitempty"`
}

// Actor is the claim act: who acts as the subject.
type Actor struct {
	Subject string `json:"sub"`
}

// LoadSigner takes the newest assertion key from the store, making the first. Every key that is not retired longer
// than an assertion lives is in the JWKS.
func LoadSigner(ctx context.Context, store state.Store, c clock.Clock) (*Signer, error) {
	keys, err := store.Keys(ctx, keyUse)
	if err != nil {
		return nil, fmt.Errorf("loading assertion keys: %w", err)
	}
	if len(keys) == 0 {
		k, err := newKey(c.Now())
		if err != nil {
			return nil, err
		}
		// Another process may have been first: then its key is used.
		if err := store.AddKey(ctx, k); err != nil && !errors.Is(err, state.ErrConflict) {
			return nil, fmt.Errorf("keeping the assertion key: %w", err)
		}
		if keys, err = store.Keys(ctx, keyUse); err != nil {
			return nil, fmt.Errorf("loading assertion keys: %w", err)
		}
	}
	return newSigner(keys, c)
}

func newKey(now time.Time) (*state.Key, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the assertion key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, fmt.Errorf("encoding the assertion key: %w", err)
	}
	public, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		return nil, fmt.Errorf("encoding the assertion key: %w", err)
	}
	sum := sha256.Sum256(public)
	return &state.Key{Use: keyUse, ID: base64.RawURLEncoding.EncodeToString(sum[:12]), PKCS8: der, CreatedAt: now}, nil
}

func newSigner(keys []*state.Key, c clock.Clock) (*Signer, error) {
	s := &Signer{clock: c}
	var set jose.JSONWebKeySet
	for _, k := range keys {
		if !k.RetiredAt.IsZero() && c.Now().Sub(k.RetiredAt) > assertionLife+assertionSkew {
			continue
		}
		parsed, err := x509.ParsePKCS8PrivateKey(k.PKCS8)
		if err != nil {
			return nil, fmt.Errorf("parsing assertion key %s: %w", k.ID, err)
		}
		private, ok := parsed.(*ecdsa.PrivateKey)
		if !ok {
			return nil, fmt.Errorf("assertion key %s is a %T, not an ECDSA key", k.ID, parsed)
		}
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: private.Public(), KeyID: k.ID, Algorithm: string(jose.ES256), Use: "sig"})
		if s.signer == nil && k.RetiredAt.IsZero() {
			s.signer, err = jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: private, KeyID: k.ID}},
				(&jose.SignerOptions{}).WithType("JWT"))
			if err != nil {
				return nil, fmt.Errorf("using assertion key %s: %w", k.ID, err)
			}
		}
	}
	if s.signer == nil {
		return nil, errors.New("all assertion keys are retired: add one, or delete them all to have one made")
	}
	var err error
	if s.jwks, err = json.Marshal(set); err != nil {
		return nil, fmt.Errorf("encoding the JWKS: %w", err)
	}
	return s, nil
}

// JWKS is the JSON Web Key Set (RFC 7517) an app checks assertions with.
func (s *Signer) JWKS() []byte { return s.jwks }

// Sign makes the assertion for c at a site (its origin, such as https://app.example.com: issuer and audience).
// The same token may be sent until the second result.
func (s *Signer) Sign(c Context, site string) (string, time.Time, error) {
	now := s.clock.Now()
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return "", time.Time{}, fmt.Errorf("making an assertion id: %w", err)
	}
	claims := Claims{
		Claims: jwt.Claims{
			ID: base64.RawURLEncoding.EncodeToString(id[:]), Issuer: site, Subject: c.User.Username, Audience: jwt.Audience{site},
			IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now.Add(-assertionSkew)), Expiry: jwt.NewNumericDate(now.Add(assertionLife)),
		},
		Name: c.User.Name, Email: c.User.Email, ImpersonationID: c.ID, Mode: c.Mode,
	}
	if c.ID != "" {
		claims.Act = &Actor{Subject: c.Actor.Username}
	}
	token, err := jwt.Signed(s.signer).Claims(claims).Serialize()
	if err != nil {
		return "", time.Time{}, fmt.Errorf("signing the assertion: %w", err)
	}
	return token, now.Add(assertionReuse), nil
}
