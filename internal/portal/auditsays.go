package portal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

// maxSays is how much of an event's detail stands on its line; all of it is among its columns.
const maxSays = 200

// elsewhere are what the rest of an event or of the page says already, or what is too long for a line.
var elsewhere = map[string]bool{
	"policy": true, "mode": true, "duration_s": true, "idle_s": true, "site": true, "request": true, "ticket_url": true, "sha256": true, "policies": true,
	"export": true, "delivery": true, "impersonation": true, "requests": true, "start_seq": true, "config_seq": true,
}

// detailOf is an event's detail as people read it: what the names and values are that stand nowhere else.
func detailOf(e *audit.Event) string {
	d := json.NewDecoder(strings.NewReader(e.Detail))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return "" // rows may have been written by something else
	}
	var says []string
	for d.More() {
		name, err := d.Token()
		if err != nil {
			break
		}
		var raw json.RawMessage
		if d.Decode(&raw) != nil {
			break
		}
		var value any
		if v := bytes.TrimSpace(raw); len(v) == 0 || v[0] == '{' || v[0] == '[' || json.Unmarshal(v, &value) != nil || value == nil || value == "" || elsewhere[fmt.Sprint(name)] {
			continue
		}
		if text, ok := value.(string); ok {
			says = append(says, fmt.Sprintf("%v: %s", name, text))
		} else {
			says = append(says, fmt.Sprintf("%v: %s", name, raw))
		}
	}
	return shown(strings.Join(says, ", "), maxSays)
}
