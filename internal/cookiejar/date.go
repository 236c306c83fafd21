package cookiejar

import (
	"strings"
	"time"
)

// parseDate is the cookie-date algorithm of RFC 6265bis section 5.1.1: browsers accept far more than HTTP's formats.
func parseDate(s string) (time.Time, bool) {
	var hour, minute, second, day, month, year int
	var foundTime, foundDay, foundMonth, foundYear bool
	for token := range strings.FieldsFuncSeq(s, isDelimiter) {
		if !foundTime {
			if h, m, sec, ok := parseTime(token); ok {
				hour, minute, second, foundTime = h, m, sec, true
				continue
			}
		}
		if !foundDay {
			if n, ok := leadingDigits(token, 1, 2); ok {
				day, foundDay = n, true
				continue
			}
		}
		if !foundMonth {
			if m, ok := parseMonth(token); ok {
				month, foundMonth = m, true
				continue
			}
		}
		if !foundYear {
			if n, ok := leadingDigits(token, 2, 4); ok {
				year, foundYear = n, true
			}
		}
	}
	switch {
	case 70 <= year && year <= 99:
		year += 1900
	case year <= 69:
		year += 2000
	}
	if !foundTime || !foundDay || !foundMonth || !foundYear || day < 1 || day > 31 || year < 1601 || hour > 23 || minute > 59 || second > 59 {
		return time.Time{}, false
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second, 0, time.UTC)
	if t.Day() != day { // 31 February
		return time.Time{}, false
	}
	return t, true
}

func isDelimiter(r rune) bool {
	return r == 0x09 || 0x20 <= r && r <= 0x2f || 0x3b <= r && r <= 0x40 || 0x5b <= r && r <= 0x60 || 0x7b <= r && r <= 0x7e
}

// leadingDigits reads a token that starts with least to most digits and goes on with none.
func leadingDigits(token string, least, most int) (int, bool) {
	n, i := 0, 0
	for i < len(token) && i <= most && '0' <= token[i] && token[i] <= '9' {
		n = n*10 + int(token[i]-'0')
		i++
	}
	return n, least <= i && i <= most
}

func parseTime(token string) (h, m, s int, ok bool) {
	parts := strings.SplitN(token, ":", 3)
	if len(parts) != 3 {
		return 0, 0, 0, false
	}
	var okH, okM, okS bool
	h, okH = leadingDigits(parts[0], 1, 2)
	m, okM = leadingDigits(parts[1], 1, 2)
	s, okS = leadingDigits(parts[2], 1, 2)
	whole := func(p string) bool { return strings.Trim(p, "0123456789") == "" }
	return h, m, s, okH && okM && okS && whole(parts[0]) && whole(parts[1])
}

func parseMonth(token string) (int, bool) {
	if len(token) < 3 {
		return 0, false
	}
	i := strings.Index("janfebmaraprmayjunjulaugsepoctnovdec", strings.ToLower(token[:3]))
	if i < 0 || i%3 != 0 {
		return 0, false
	}
	return i/3 + 1, true
}
