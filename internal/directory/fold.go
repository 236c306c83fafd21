package directory

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

const (
	maxWords     = 64 // of one account, or as many as matter
	maxWordBytes = 64
)

// unadorned are letters that have no decomposition and yet are typed without their stroke or ligature.
var unadorned = strings.NewReplacer("ø", "o", "ł", "l", "đ", "d", "ħ", "h", "ı", "i", "æ", "ae", "œ", "oe", "þ", "th", "ð", "d")

// fold brings text to the form in which it is compared: any case, width and accent alike, so that jose finds José.
func fold(s string) string {
	ascii, lower := true, true
	for i := range len(s) {
		c := s[i]
		if c >= utf8.RuneSelf {
			ascii = false
			break
		}
		lower = lower && (c < 'A' || c > 'Z')
	}
	switch {
	case ascii && lower:
		return s
	case ascii:
		return strings.ToLower(s)
	}
	// A Caser keeps state: one for each use.
	caser := cases.Fold()
	s = norm.NFKD.String(caser.String(norm.NFKC.String(s)))
	s = strings.Map(func(r rune) rune {
		if stripped(r) {
			return -1
		}
		return r
	}, s)
	// Together again: Hangul syllables and voiced kana are letters, not letters with marks.
	return unadorned.Replace(norm.NFC.String(s))
}

// stripped tells whether the rune is a mark that people leave out when they type: accents (combining classes 200
// and up), Hebrew points and Arabic vowels (10 to 35). The others, as the vowel signs of India, make the word.
func stripped(r rune) bool {
	if r < 0x300 || !unicode.Is(unicode.Mn, r) {
		return false
	}
	var b [utf8.UTFMax]byte
	c := norm.NFD.Properties(b[:utf8.EncodeRune(b[:], r)]).CCC()
	return c >= 200 || c >= 10 && c <= 35
}

// words calls f with the words of folded text until f says stop. A word is a run of letters and digits. In scripts
// that put no space between words, one begins at every character.
func words(s string, f func(string) bool) {
	for s != "" {
		start := strings.IndexFunc(s, inWord)
		if start < 0 {
			return
		}
		s = s[start:]
		end := strings.IndexFunc(s, func(r rune) bool { return !inWord(r) })
		if end < 0 {
			end = len(s)
		}
		if !f(cut(s[:end], maxWordBytes)) {
			return
		}
		s = s[end:]
	}
}

func inWord(r rune) bool {
	if r < utf8.RuneSelf {
		return r >= 'a' && r <= 'z' || r >= '0' && r <= '9'
	}
	return unicode.In(r, unicode.L, unicode.N, unicode.M)
}

func unspaced(r rune) bool {
	return r >= 0x1100 && unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul)
}

// cut shortens s to at most n bytes, between two runes.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// wordsOf are the words an account is found by, each once.
func wordsOf(u *User, foldedName string) []string {
	found := make([]string, 0, 8)
	add := func(w string) bool {
		if w == "" {
			return true
		}
		for _, have := range found {
			if have == w {
				return true
			}
		}
		found = append(found, w)
		return len(found) < maxWords
	}
	for _, text := range [...]string{foldedName, fold(u.Username), fold(u.Email)} {
		words(text, func(w string) bool {
			for i, r := range w {
				if i > 0 && unspaced(r) && !add(w[i:]) {
					return false
				}
			}
			return add(w)
		})
		// O'Brien is found as obrien too.
		if strings.ContainsAny(text, "'’ʼ") {
			words(apostrophes.Replace(text), add)
		}
	}
	return found
}

var apostrophes = strings.NewReplacer("'", "", "’", "", "ʼ", "")

// queryWords are the words of a search, at most eight: all have to begin a word of the account.
func queryWords(q string) []string {
	var found []string
	words(fold(cut(q, 256)), func(w string) bool {
		found = append(found, w)
		return len(found) < 8
	})
	return found
}
