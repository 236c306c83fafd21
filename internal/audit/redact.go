package audit

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode"
)

// redacted takes the place of a secret value.
const redacted = "[redacted]"

// maxScan bounds how much of a path or query is looked at; more would be cut from the row in any case.
const maxScan = 4 * maxQuery

// wordNames are names that are secrets only as a word of their own: they are parts of harmless ones.
var wordNames = []string{
	"auth", "bearer", "code", "cookie", "csrf", "hmac", "key", "nonce", "otp", "pass", "pin", "pwd", "sid", "sig", "state",
	"totp", "verifier", "xsrf",
}

// anyNames are names that make a secret of any name they are found in.
var anyNames = []string{
	"accesskey", "apikey", "assertion", "authorization", "credential", "jwt", "passcode", "passphrase", "passwd",
	"password", "privatekey", "secret", "session", "sessid", "signature", "token",
}

// Redactor keeps secrets that were put in URLs out of the rows. It masks the values of parameters by their names, and
// whatever looks like a JSON Web Token wherever it stands. It errs on the side of masking.
//
// A name is compared without regard to case, percent-encoding and separators. Names of five letters or more match
// anywhere in a parameter's name ("new_password2", "X-Access-Token"), shorter ones as a word of it ("primary-key",
// "apiKey", not "keyboard"). The defaults are token, password, passwd, passphrase, passcode, secret, credential,
// assertion, authorization, session, sessid, signature, jwt, apikey, accesskey, privatekey anywhere; and as a word
// auth, bearer, code, cookie, csrf, hmac, key, nonce, otp, pass, pin, pwd, sid, sig, state, totp, verifier, xsrf.
type Redactor struct {
	words    map[string]bool
	anywhere [256][]string // by first byte

	names, values []*regexp.Regexp // further, see Patterns
}

// Bounds of patterns.
const (
	MaxPatterns      = 64
	MaxPatternLength = 512
)

// CheckPattern tells what is wrong with a pattern, and at which column.
func CheckPattern(pattern string) error {
	if len(pattern) > MaxPatternLength {
		return fmt.Errorf("the pattern has %d bytes; at most %d", len(pattern), MaxPatternLength)
	}
	re, err := regexp.Compile(pattern)
	bad := new(syntax.Error)
	switch {
	case errors.As(err, &bad):
		return fmt.Errorf("column %d of the pattern: %s: %.64q; patterns are in RE2's syntax", strings.Index(pattern, bad.Expr)+1, bad.Code, bad.Expr)
	case err != nil:
		return err
	case re.MatchString(""):
		return errors.New("the pattern matches nothing at all, and so everything; say what has to be there, such as [0-9]+ in place of [0-9]*")
	}
	return nil
}

// Patterns adds patterns in RE2's syntax: whose name one of names matches anywhere, or whose value one of values does, is
// masked. Both are decoded first. Values are those of parameters, the segments of a path, and what is recorded of
// headers. It is to be called before the Redactor is used.
func (r *Redactor) Patterns(names, values []string) error {
	for _, list := range []struct {
		texts []string
		into  *[]*regexp.Regexp
	}{{names, &r.names}, {values, &r.values}} {
		for _, text := range list.texts {
			if err := CheckPattern(text); err != nil {
				return err
			}
			*list.into = append(*list.into, regexp.MustCompile(text))
		}
	}
	if n := len(r.names) + len(r.values); n > MaxPatterns {
		return fmt.Errorf("%d patterns; at most %d", n, MaxPatterns)
	}
	return nil
}

// Header masks what is recorded of a request's header: all of it where the name is a secret's, else what a pattern finds
// and what looks like a token.
func (r *Redactor) Header(name, value string) string {
	if value == "" {
		return ""
	}
	if r.secret(name) || hasToken(value) {
		return redacted
	}
	value = bounded(value)
	for _, p := range r.values {
		value = p.ReplaceAllLiteralString(value, redacted)
	}
	return value
}

// Field makes the name of a form's or a document's field fit for a row. It is told apart from a value by where it stands
// alone, and a program may put anything there: secret, when it would be masked as a value.
func (r *Redactor) Field(name string) (shown string, secret bool) {
	if r.hides(name) {
		return "", true
	}
	return clean(name, maxName), false
}

// matches tells whether one of the patterns finds something.
func matches(patterns []*regexp.Regexp, s string) bool {
	for _, p := range patterns {
		if p.MatchString(s) {
			return true
		}
	}
	return false
}

// NewRedactor adds names to the default ones.
func NewRedactor(names ...string) *Redactor {
	r := &Redactor{words: map[string]bool{}}
	for _, name := range wordNames {
		r.words[name] = true
	}
	for _, name := range anyNames {
		r.anywhere[name[0]] = append(r.anywhere[name[0]], name)
	}
	for _, name := range names {
		name = squeeze(name)
		switch {
		case name == "":
		case len(name) < 5:
			r.words[name] = true
		default:
			r.anywhere[name[0]] = append(r.anywhere[name[0]], name)
		}
	}
	return r
}

// Query masks a raw query string, without its question mark. What is not masked stays as it was written.
func (r *Redactor) Query(raw string) string {
	if raw == "" {
		return ""
	}
	return r.parameters(bounded(raw), '&')
}

// Path masks a raw path: JSON Web Tokens, and parameters in its segments (";jsessionid=…").
func (r *Redactor) Path(raw string) string {
	if len(r.values) == 0 && !strings.ContainsAny(raw, ";%=") && !strings.Contains(raw, "eyJ") {
		return bounded(raw)
	}
	return r.parameters(bounded(raw), '/')
}

func bounded(s string) string {
	if len(s) > maxScan {
		return s[:maxScan]
	}
	return s
}

// parameters masks each piece between separators. Without a secret it copies nothing.
func (r *Redactor) parameters(raw string, separator byte) string {
	var b []byte
	kept := 0 // raw up to here is in b
	for at := 0; at <= len(raw); {
		end := strings.IndexByte(raw[at:], separator)
		if end < 0 {
			end = len(raw) - at
		}
		body := raw[at : at+end]
		if masked := r.piece(body); len(masked) != len(body) || masked != body {
			b = append(b, raw[kept:at]...)
			b = append(b, masked...)
			kept = at + end
		}
		at += end + 1
	}
	if b == nil {
		return raw
	}
	return string(append(b, raw[kept:]...))
}

// piece masks "name=value", or several of them between semicolons. Programs differ in whether a semicolon separates:
// so the value of a secret reaches to the end of the piece.
func (r *Redactor) piece(s string) string {
	at := 0
	for at < len(s) {
		end := strings.IndexByte(s[at:], ';')
		if end < 0 {
			end = len(s) - at
		}
		part := s[at : at+end]
		name, value, ok := strings.Cut(part, "=")
		switch {
		case ok && r.secret(decode(name)):
			if value == "" && at+end == len(s) {
				return s
			}
			return s[:at+len(name)+1] + redacted
		case ok && r.hides(value):
			return s[:at+len(name)+1] + redacted
		case r.hides(part):
			return s[:at] + redacted
		}
		at += end + 1
	}
	return s
}

// hides tells whether a value holds a token, or parameters of its own with a secret among them: a URL or JSON inside.
func (r *Redactor) hides(value string) bool {
	if len(value) < 4 && len(r.values) == 0 || value == "" {
		return false
	}
	plain := decode(value)
	if hasToken(plain) || matches(r.values, plain) {
		return true
	}
	for i := range len(plain) {
		if c := plain[i]; (c == '=' || c == ':') && i+1 < len(plain) && r.secret(nameBefore(plain[:i])) {
			return true
		}
	}
	return false
}

// nameBefore is the name that ends a text, without the quotes and blanks behind it.
func nameBefore(s string) string {
	s = strings.TrimRight(s, "\"'` \t")
	start := len(s)
	for start > 0 && len(s)-start < 128 && strings.IndexByte("&;?#/,{\"'` \t=:", s[start-1]) < 0 {
		start--
	}
	return s[start:]
}

// secret tells whether a parameter of this name (decoded) has a secret value.
func (r *Redactor) secret(name string) bool {
	if len(name) > 256 {
		name = name[:256]
	}
	if matches(r.names, name) {
		return true
	}
	var plain [64]byte
	if len(name) <= len(plain) && isASCII(name) {
		return r.secretASCII(name, plain[:0])
	}
	all := squeeze(name)
	for i := range len(all) {
		if r.startsSecret(all[i:]) {
			return true
		}
	}
	for word := range words(name) {
		if r.words[word] {
			return true
		}
	}
	return r.words[all]
}

// secretASCII is secret for short names of ASCII, which nearly all are; it allocates nothing. plain is scratch.
func (r *Redactor) secretASCII(name string, plain []byte) bool {
	start, lower := 0, false
	for i := range len(name) {
		c := name[i]
		upper := c >= 'A' && c <= 'Z'
		letter := upper || c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		if (!letter || upper && lower) && r.isWord(plain[start:]) {
			return true
		}
		if !letter || upper && lower {
			start = len(plain)
		}
		lower = letter && !upper
		if upper {
			c |= 0x20
		}
		if letter {
			plain = append(plain, c)
		}
	}
	if r.isWord(plain[start:]) || r.words[string(plain)] {
		return true
	}
	for i := range plain {
		for _, word := range r.anywhere[plain[i]] {
			if len(word) <= len(plain)-i && string(plain[i:i+len(word)]) == word {
				return true
			}
		}
	}
	return false
}

// isWord tells whether a word is a secret's name, also without the digits and the plural s at its end.
func (r *Redactor) isWord(word []byte) bool {
	if len(word) == 0 {
		return false
	}
	if r.words[string(word)] {
		return true
	}
	word = bytes.TrimRight(word, "0123456789")
	return r.words[string(word)] || r.words[string(bytes.TrimSuffix(word, []byte("s")))]
}

// startsSecret tells whether a squeezed name begins with a name that counts anywhere.
func (r *Redactor) startsSecret(s string) bool {
	for _, word := range r.anywhere[s[0]] {
		if strings.HasPrefix(s, word) {
			return true
		}
	}
	return false
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// squeeze is a name's letters and digits, in lower case.
func squeeze(name string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsLetter(c) || unicode.IsDigit(c) {
			return unicode.ToLower(c)
		}
		return -1
	}, name)
}

// words are the words of a name ("sortKeys2" has sort and keys), each also without the digits and the plural s at its
// end.
func words(name string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		var word []rune
		flush := func() bool {
			s := string(word)
			word = word[:0]
			if s == "" {
				return true
			}
			bare := strings.TrimRight(s, "0123456789")
			return yield(s) && yield(bare) && yield(strings.TrimSuffix(bare, "s"))
		}
		lower := false
		for _, c := range name {
			letter := unicode.IsLetter(c) || unicode.IsDigit(c)
			if !letter || unicode.IsUpper(c) && lower {
				if !flush() {
					return
				}
			}
			lower = letter && !unicode.IsUpper(c)
			if letter {
				word = append(word, fold(c))
			}
		}
		flush()
	}
}

// decode undoes percent-encoding, as often as a chain of programs may have put it on. What is malformed stays.
func decode(s string) string {
	for range 4 {
		if !strings.ContainsAny(s, "%+") {
			return s
		}
		next := decodeOnce(s)
		if next == s {
			return s
		}
		s = next
	}
	return s
}

func decodeOnce(s string) string {
	if plain, err := url.QueryUnescape(s); err == nil {
		return plain
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '%' && i+2 < len(s) && unhex(s[i+1]) >= 0 && unhex(s[i+2]) >= 0:
			b = append(b, byte(unhex(s[i+1])<<4|unhex(s[i+2])))
			i += 2
		case s[i] == '+':
			b = append(b, ' ')
		default:
			b = append(b, s[i])
		}
	}
	return string(b)
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// hasToken finds what begins like a JSON Web Token: base64url of `{"`, and more of it. One that was cut off is as bad.
func hasToken(s string) bool {
	for {
		i := strings.Index(s, "eyJ")
		if i < 0 {
			return false
		}
		s = s[i+3:]
		n := 0
		for n < len(s) && (s[n] == '-' || s[n] == '_' || s[n] == '.' || s[n] >= '0' && s[n] <= '9' ||
			s[n]|0x20 >= 'a' && s[n]|0x20 <= 'z') {
			n++
		}
		if n >= 10 {
			return true
		}
	}
}

// fold makes letters equal that some program may compare as equal: the Kelvin sign and k, the long s and s.
func fold(c rune) rune { return unicode.ToLower(unicode.ToUpper(c)) }
