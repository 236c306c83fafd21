package audit

import (
	"context"
	"time"
)

// Clean is clean.
var Clean = clean

// CleanRow does to a row what Intent does before it is encoded.
func CleanRow(r *Request, redactor *Redactor) {
	r.Path, r.Query = redactor.Path(r.Path), redactor.Query(r.Query)
	r.clean(func() time.Time { return time.Unix(1_780_000_000, 0) })
}

// Sync waits until all that was appended is on disk.
func Sync(ctx context.Context, r *Recorder) error { return r.journal.Sync(ctx) }
