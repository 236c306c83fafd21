// Package witness publishes checkpoints to where whoever can write to the audit can't reach: a file that only grows, a
// webhook, a syslog. What each of them keeps, `audit verify --witness` reads.
package witness

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

// Type is the field "type" of what a webhook and a syslog get.
const Type = "audit_checkpoint"

// line is a checkpoint as a JSON object on one line of ASCII: no syslog daemon changes it on its way.
func line(c *audit.Checkpoint) ([]byte, error) {
	b, err := json.Marshal(struct {
		Type     string `json:"type"`
		Time     string `json:"timestamp"`
		LogID    string `json:"log_id"`
		Size     uint64 `json:"size"`
		RootHash string `json:"root_hash"`
		Note     string `json:"note"`
	}{Type, c.Time.UTC().Format(audit.TimeLayout), c.LogID, c.Size, hex.EncodeToString(c.RootHash[:]), c.Note})
	if err != nil {
		return nil, fmt.Errorf("encoding a checkpoint: %w", err)
	}
	// The dash before a signature is all that a note has beyond ASCII.
	return []byte(strings.ReplaceAll(string(b), "\u2014", `\u2014`)), nil
}

// id names a checkpoint among all, the same at every try.
func id(c *audit.Checkpoint) string { return fmt.Sprintf("%s/%d", c.LogID, c.Size) }
