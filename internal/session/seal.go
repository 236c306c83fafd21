package session

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
)

// ErrUnsealed is returned for data that was not sealed by this session for this purpose, or was changed since.
var ErrUnsealed = errors.New("not sealed by this session")

const (
	sealVersion    = 1
	purposeIDToken = "id token"
)

// Seal encrypts plain so that only someone holding the raw id can open it: AES-256-GCM with a random nonce, under a
// key derived from the raw id (HKDF-SHA256) for this purpose alone. Name in the purpose what the data must not be
// mistaken for, such as the host and owner of a cookie jar.
func (s *Session) Seal(rawID, purpose string, plain []byte) []byte {
	return seal(rawID, purpose, plain)
}

func seal(rawID, purpose string, plain []byte) []byte {
	out := make([]byte, 1, 1+12+len(plain)+16)
	out[0] = sealVersion
	return aead(rawID, purpose).Seal(out, nil, plain, out[:1])
}

// Open decrypts what Seal made with the same raw id and purpose; [ErrUnsealed] for anything else.
func (s *Session) Open(rawID, purpose string, sealed []byte) ([]byte, error) {
	if len(sealed) == 0 || sealed[0] != sealVersion {
		return nil, fmt.Errorf("opening %s: %w", purpose, ErrUnsealed)
	}
	plain, err := aead(rawID, purpose).Open(nil, nil, sealed[1:], sealed[:1])
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", purpose, ErrUnsealed)
	}
	return plain, nil
}

// IDToken is the ID token of the login, for the provider's logout; empty when none was kept.
func (s *Session) IDToken(rawID string) (string, error) {
	if s.sealed == nil {
		return "", nil
	}
	b, err := s.Open(rawID, purposeIDToken, s.sealed)
	return string(b), err
}

// aead never fails: the key has the right length, whatever the id.
func aead(rawID, purpose string) cipher.AEAD {
	// No salt: the id is 32 random bytes already (RFC 5869, 3.1).
	key, err := hkdf.Key(sha256.New, []byte(rawID), nil, "caddy-impersonate session seal 1 "+purpose, 32)
	if err != nil {
		panic(fmt.Sprintf("session: deriving a key: %v", err))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(fmt.Sprintf("session: making a cipher: %v", err))
	}
	a, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(fmt.Sprintf("session: making a cipher: %v", err))
	}
	return a
}
