package portal_test

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

// slowReader gives its second page of requests, and those after it, only once it may.
type slowReader struct {
	audit.Reader
	may chan struct{}
}

func (s *slowReader) Requests(ctx context.Context, f audit.Filter, p audit.Page) (*audit.Found[audit.Request], error) {
	if p.Cursor != "" {
		select {
		case <-s.may:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return s.Reader.Requests(ctx, f, p)
}

// TestExportStreams: what is read of the audit is on its way before the rest is read, in either format, of unknown length.
func TestExportStreams(t *testing.T) {
	slow := &slowReader{may: make(chan struct{})}
	a := newAuditRig(t, func(r audit.Reader) audit.Reader {
		slow.Reader = r
		return slow
	})
	var rows []any
	for i := range 2500 {
		rows = append(rows, recorded(time.Hour-time.Duration(i)*time.Second, "imp-1", "GET", "/bookings/17", nil))
	}
	a.write(rows...)
	b := a.login("auditor")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for _, format := range []string{"csv", "jsonl"} {
		slow.may = make(chan struct{})
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.server.URL+auditAPI+"export?table=requests&format="+format, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := b.c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != http.StatusOK || res.ContentLength != -1 || len(res.TransferEncoding) != 1 || res.TransferEncoding[0] != "chunked" {
			t.Errorf("%s: %d, length %d, %v", format, res.StatusCode, res.ContentLength, res.TransferEncoding)
		}
		lines, n := bufio.NewScanner(res.Body), 0
		for n < 800 && lines.Scan() { // most of the first thousand rows
			n++
		}
		if n != 800 || !strings.Contains(lines.Text(), "/bookings/17") {
			t.Fatalf("%s: %d lines while the second page is not read yet: %v", format, n, lines.Err())
		}
		close(slow.may)
		for lines.Scan() {
			n++
		}
		res.Body.Close()
		if want := map[string]int{"csv": 2501, "jsonl": 2502}[format]; n != want || lines.Err() != nil {
			t.Errorf("%s: %d lines, not %d (%v)", format, n, want, lines.Err())
		}
	}
}
