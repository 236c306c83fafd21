package banner

import "strconv"

// markedHeaders are about the bytes of the page as the app sent it.
var markedHeaders = [...]string{
	"Etag", "Last-Modified", "Accept-Ranges", "Content-Md5", "Digest", "Content-Digest", "Repr-Digest",
}

// sendHead sends the response's head. added is what the banner adds to its length, where that is known; else -1.
func (w *Writer) sendHead(added int) {
	w.sent = true
	h := w.dst.Header()
	if w.encoded {
		delete(h, "Content-Encoding")
	}
	changed := w.phase == phaseScan || w.verdict == Mark || w.edited
	switch length, known := w.length(added); {
	case known:
		h["Content-Length"] = []string{strconv.FormatInt(length, 10)}
	case changed || w.dec != nil:
		delete(h, "Content-Length")
	}
	if changed {
		for _, name := range markedHeaders {
			delete(h, name)
		}
		h["Cache-Control"] = noStore // names somebody, and says how long
	}
	w.dst.WriteHeader(w.status)
}

// length is that of the marked page, where it is known.
func (w *Writer) length(added int) (int64, bool) {
	cl := w.dst.Header()["Content-Length"]
	if len(cl) != 1 || added < 0 || w.dec != nil || w.utf16 != nil {
		return 0, false
	}
	length, err := strconv.ParseInt(cl[0], 10, 64)
	return length + int64(added), err == nil && length >= 0
}

var noStore = []string{"no-store"}
