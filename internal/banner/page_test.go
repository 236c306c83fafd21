package banner

import (
	"bytes"
	"fmt"
	"strconv"
	"testing"
)

// page is an ordinary page: a head of 4 kB with meta, link, style and script elements, and a body that fills it up
// to size.
func page(size int) []byte {
	var b bytes.Buffer
	b.WriteString("<!DOCTYPE html>\n<html lang=\"en\" class=\"no-js\">\n<head>\n<meta charset=\"utf-8\">\n<title>Bookings &mdash; Field service</title>\n")
	b.WriteString("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"csrf-token\" content=\"b4x/9o0Yd2f0vJ1k7xC5sQ==\">\n")
	b.WriteString("<!-- built 2024-05-06T07:08:09Z <body> -->\n")
	for i := range 10 {
		fmt.Fprintf(&b, "<link rel=\"stylesheet\" media=\"all\" href=\"/static/css/component-%d.9f8e7d6c.css\" data-turbo-track=\"reload\" />\n", i)
	}
	for i := range 8 {
		fmt.Fprintf(&b, "<script src=\"/static/js/vendor-%d.1a2b3c4d.js\" defer=\"defer\" crossorigin='anonymous'></script>\n", i)
	}
	b.WriteString("<style>\n:root{--a:#123456}body > .x{margin:0}\n</style>\n<script>\nwindow.app = {user: \"sam\", items: [")
	for b.Len() < 4000 {
		fmt.Fprintf(&b, "{\"id\":%d,\"html\":\"<b>n<\\/b>\"},", b.Len())
	}
	b.WriteString("]}; if (1 < 2 && 3 > 2) { document.documentElement.className = '' }\n</script>\n</head>\n<body class=\"page\" data-x='a>b'>\n")
	for b.Len() < size {
		fmt.Fprintf(&b, "<article id=\"b%d\" class=\"card\"><h2>Booking %d</h2><p>Replace the filter, check the pressure.</p><a href=\"/bookings/%d\">Open</a></article>\n", b.Len(), b.Len(), b.Len())
	}
	return append(b.Bytes()[:max(size-15, 0)], "\n</body></html>\n"[:15]...)
}

func BenchmarkScanner(b *testing.B) {
	for _, size := range []int{20_000, 200_000} {
		doc := page(size)
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s := newScanner()
				for {
					e := s.next(doc[s.pos:])
					if e == evPlace {
						break
					}
					if e == evMore {
						b.Fatal("no place")
					}
				}
			}
		})
	}
}
