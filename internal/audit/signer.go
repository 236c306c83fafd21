package audit

import (
	"bufio"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// signerName is the name of every signing key: what tells two apart is the hash beside it.
const signerName = "caddy-impersonate"

// algEd25519 is the first byte of a note's keys and signatures.
const algEd25519 = 1

const (
	signingKeyFile = "signing_key"
	publicSuffix   = ".pub"
)

// Signer is an Ed25519 key that signs checkpoints.
type Signer struct {
	signer   note.Signer
	verifier string
}

// Verifier is the public key, as auditors give it to `audit verify`: caddy-impersonate+HASH+BASE64.
func (s *Signer) Verifier() string { return s.verifier }

func newSigner(key ed25519.PrivateKey) (*Signer, error) {
	public, ok := key.Public().(ed25519.PublicKey)
	if !ok {
		return nil, errors.New("no public key")
	}
	verifier, err := note.NewEd25519VerifierKey(signerName, public)
	if err != nil {
		return nil, err
	}
	hash := strings.SplitN(verifier, "+", 3)[1]
	secret := base64.StdEncoding.EncodeToString(append([]byte{algEd25519}, key.Seed()...))
	signer, err := note.NewSigner("PRIVATE+KEY+" + signerName + "+" + hash + "+" + secret)
	if err != nil {
		return nil, err
	}
	return &Signer{signer, verifier}, nil
}

// ParseSigner reads a private key: PEM of PKCS #8, as `openssl genpkey -algorithm ed25519` makes it. Errors do not
// repeat any of it.
func ParseSigner(text []byte) (*Signer, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, errors.New(`it is no PEM with a "PRIVATE KEY"; make one with: openssl genpkey -algorithm ed25519`)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("it is not readable as PKCS #8; make one with: openssl genpkey -algorithm ed25519")
	}
	private, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("it is a %T, and must be Ed25519; make one with: openssl genpkey -algorithm ed25519", key)
	}
	return newSigner(private)
}

const maxKeyFile = 16 << 10

// ReadSigner reads a private key from a file.
func ReadSigner(file string) (*Signer, error) {
	text, err := readSmall(file)
	if err != nil {
		return nil, fmt.Errorf("reading the signing key: %w", err)
	}
	s, err := ParseSigner(text)
	if err != nil {
		return nil, fmt.Errorf("reading the signing key %s: %w", file, err)
	}
	return s, nil
}

func readSmall(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxKeyFile))
}

// OwnSigner reads the private key in a journal's directory, and makes it (mode 0600) where there is none.
func OwnSigner(dir string) (*Signer, error) {
	file := filepath.Join(dir, signingKeyFile)
	s, err := ReadSigner(file)
	if !errors.Is(err, fs.ErrNotExist) {
		return s, err
	}
	return makeSigner(file)
}

// RotateOwnSigner puts another private key in the place of the one in a journal's directory, and publishes it there.
func RotateOwnSigner(dir string) (*Signer, error) {
	file := filepath.Join(dir, signingKeyFile)
	old, err := ReadSigner(file)
	if err != nil {
		return nil, fmt.Errorf("rotating the signing key: %w", err)
	}
	if err := publish(dir, old.verifier); err != nil {
		return nil, err
	}
	s, err := makeSigner(file)
	if err != nil {
		return nil, err
	}
	return s, publish(dir, s.verifier)
}

func makeSigner(file string) (*Signer, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a signing key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, fmt.Errorf("making a signing key: %w", err)
	}
	if err := writeSynced(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})); err != nil {
		return nil, fmt.Errorf("making a signing key: %w", err)
	}
	return newSigner(private)
}

// writeSynced makes a file that is there whole, or not at all.
func writeSynced(file string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*.tmp") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// publish adds a verifier key to those in the journal's directory, one a line: auditors copy the file.
func publish(dir, verifier string) error {
	file := filepath.Join(dir, signingKeyFile+publicSuffix)
	text, err := readSmall(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("publishing the verifier key: %w", err)
	}
	if slices.Contains(strings.Fields(string(text)), verifier) {
		return nil
	}
	if n := len(text); n > 0 && text[n-1] != '\n' {
		text = append(text, '\n')
	}
	if err := writeSynced(file, append(text, verifier+"\n"...)); err != nil {
		return fmt.Errorf("publishing the verifier key: %w", err)
	}
	return nil
}

// ParseVerifiers reads verifier keys, one a line; empty lines and those that begin with # are left out.
func ParseVerifiers(r io.Reader) (note.Verifiers, error) {
	var list []note.Verifier
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		v, err := note.NewVerifier(line)
		if err != nil {
			return nil, fmt.Errorf("reading verifier keys: %.80q is none: %w", line, err)
		}
		list = append(list, v)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading verifier keys: %w", err)
	}
	if len(list) == 0 {
		return nil, errors.New("reading verifier keys: there is none; copy signing_key.pub from the journal's directory")
	}
	return note.VerifierList(list...), nil
}
