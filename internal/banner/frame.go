package banner

import (
	"net/http"
	"strconv"
)

// frameHeight is that of the frame on top of a page of frames, in CSS pixels: a phone's two lines fit in.
const frameHeight = 84

// appendFrameset appends what puts the <frameset> behind it under a frame of the banner's. It is not closed: the
// parser does that at the end of the page.
func appendFrameset(b []byte, url string) []byte {
	b = append(b, `<frameset rows="`...)
	b = strconv.AppendInt(b, frameHeight, 10)
	b = append(b, `,*" border="0" frameborder="0" framespacing="0"><frame src="`...)
	b = escape(b, url, 1000)
	return append(b, `" name="impersonate-banner" title="Impersonation" noresize="noresize" marginwidth="0" marginheight="0"/>`...)
}

// ServeFrame answers with a page that holds nothing but the banner: the frame of a page of frames (see
// [Options.FramePath]). With no info, since the impersonation is over, it is empty.
func ServeFrame(w http.ResponseWriter, info *Info) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set(cspHeader, "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'self'; base-uri 'none'")
	t := languages[0]
	if info != nil {
		t = textsFor(info.Languages)
	}
	page := []byte(`<!DOCTYPE html><html lang="` + t.lang + `"><head><meta name="viewport" content="width=device-width"/><title>` + t.region)
	if info == nil {
		page = append(page, `</title></head><body></body></html>`...)
	} else {
		frame := *info
		frame.Position = "top"
		page = append(page, `</title></head><body>`...)
		page = append(page, Render(&frame)...)
		page = append(page, `</body></html>`...)
	}
	_, _ = w.Write(page) // the browser went away: nobody to tell
}
