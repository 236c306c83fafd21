package audit

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"path/filepath"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit/journal"
)

// setAside puts a batch that the sink refuses for good into a file beside the journal, one JSON object for each row,
// so that shipping goes on and nothing is lost. An operator brings it in by hand.
func (s *shipper) setAside(b *Batch, cause error) error {
	var out bytes.Buffer
	line := func(table string, columns []Column, values []string, leaf *[32]byte) {
		fmt.Fprintf(&out, `{"table":%s`, encodeJSON(table))
		for i, c := range columns {
			fmt.Fprintf(&out, `,%s:`, encodeJSON(c.Name))
			if c.Kind == KindNumber {
				out.WriteString(values[i])
			} else {
				out.Write(encodeJSON(values[i]))
			}
		}
		if leaf != nil {
			fmt.Fprintf(&out, `,"leaf_hash":"%s"`, hex.EncodeToString(leaf[:]))
		}
		out.WriteString("}\n")
	}
	for _, row := range b.Requests {
		line(TableRequests, RequestColumns(), row.Values(), &row.LeafHash)
	}
	for _, row := range b.Events {
		line(TableEvents, EventColumns(), row.Values(), &row.LeafHash)
	}
	for _, row := range b.Checkpoints {
		line(TableCheckpoints, CheckpointColumns(), row.Values(), nil)
	}
	file := filepath.Join(s.r.dir, refusedFile(s.sink.Name(), b))
	if err := journal.WriteFile(s.r.fs, file, out.Bytes()); err != nil {
		return fmt.Errorf("setting a refused batch aside: %w", err)
	}
	s.mu.Lock()
	s.status.SetAside++
	s.mu.Unlock()
	s.log.Error("a sink refuses a batch of audit rows for good; it is set aside", "file", file,
		"from_seq", b.From, "to_seq", b.To, "error", cause)
	return nil
}

// refusedFile is the name of the file for a batch: always the same, since after a crash it is set aside once more. Several of
// checkpoints alone may be at one place of the log.
func refusedFile(sink string, b *Batch) string {
	name := fmt.Sprintf("refused-%s-%d-%d", fileName(sink), b.From, b.To)
	if len(b.Requests)+len(b.Events) == 0 && len(b.Checkpoints) > 0 {
		name += fmt.Sprintf(".%d", b.Checkpoints[0].Size)
	}
	return name + ".jsonl"
}
