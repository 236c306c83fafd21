// Package docs is what of the documentation is part of the program: the verifier that goes into evidence packs is the one
// that people read here.
package docs

import _ "embed"

// Verifier is verify.py: it checks exports and packs without this program, from audit-format.md alone.
//
//go:embed verify.py
var Verifier []byte
