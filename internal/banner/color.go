package banner

import "math"

// color is an sRGB colour.
type color struct{ r, g, b uint8 }

var defaultColor = color{0xb9, 0x1c, 0x1c} // DefaultColor

// ValidColor tells whether s is a colour a banner can have: #rgb or #rrggbb.
func ValidColor(s string) bool {
	_, ok := hexColor(s)
	return ok
}

// parseColor reads #rgb, #rrggbb or the same without "#"; anything else is the default.
func parseColor(s string) color {
	if s != "" && s[0] != '#' {
		s = "#" + s
	}
	if c, ok := hexColor(s); ok {
		return c
	}
	return defaultColor
}

func hexColor(s string) (color, bool) {
	if len(s) != 4 && len(s) != 7 || s[0] != '#' {
		return color{}, false
	}
	var d [6]uint8
	for i := 1; i < len(s); i++ {
		switch c := s[i] | 0x20; {
		case '0' <= s[i] && s[i] <= '9':
			d[i-1] = s[i] - '0'
		case 'a' <= c && c <= 'f':
			d[i-1] = c - 'a' + 10
		default:
			return color{}, false
		}
	}
	if len(s) == 4 {
		return color{d[0] * 17, d[1] * 17, d[2] * 17}, true
	}
	return color{d[0]<<4 | d[1], d[2]<<4 | d[3], d[4]<<4 | d[5]}, true
}

// hex is the colour as six digits.
func (c color) hex() string {
	const digits = "0123456789abcdef"
	return string([]byte{
		digits[c.r>>4], digits[c.r&15], digits[c.g>>4], digits[c.g&15], digits[c.b>>4], digits[c.b&15],
	})
}

func (c color) css() string { return "#" + c.hex() }

// ink is the colour of text on c: black or white, whichever contrasts more (WCAG 2, relative luminance).
func (c color) ink() string {
	l := 0.2126*linear(c.r) + 0.7152*linear(c.g) + 0.0722*linear(c.b)
	if 1.05/(l+0.05) >= (l+0.05)/0.05 {
		return "#fff"
	}
	return "#000"
}

func linear(v uint8) float64 {
	s := float64(v) / 255
	if s <= 0.04045 {
		return s / 12.92
	}
	return math.Pow((s+0.055)/1.055, 2.4)
}
