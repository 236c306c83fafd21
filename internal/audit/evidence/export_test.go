package evidence

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

// Rezipped is a pack with other content in one of its files, and the zip as it should be around it.
func Rezipped(pack []byte, name, data string) ([]byte, error) {
	files, err := unstored(pack)
	if err != nil {
		return nil, err
	}
	for i := range files {
		if files[i].name == name {
			files[i].data = []byte(data)
		}
	}
	return stored(files)
}

// Relisted is [Rezipped] with the file's new hash in the manifest.
func Relisted(pack []byte, name, data string) ([]byte, error) {
	files, err := unstored(pack)
	if err != nil {
		return nil, err
	}
	hash := func(data []byte) string { return fmt.Sprintf("%x", sha256.Sum256(data)) }
	at := slices.IndexFunc(files, func(f file) bool { return f.name == name })
	manifest := strings.Replace(string(files[0].data), hash(files[at].data), hash([]byte(data)), 1)
	if pack, err = Rezipped(pack, name, data); err != nil {
		return nil, err
	}
	return Rezipped(pack, manifestName, manifest)
}

// Forge is the pack that somebody makes who has had all rows: without some of them, and with the newest event by which
// retention let rows go.
func Forge(ctx context.Context, r audit.Reader, id string, keys []string, without ...uint64) (*Pack, error) {
	p := &Pack{ID: id, keys: keys}
	c := &collector{Pack: p, ctx: ctx, r: r, have: map[string]bool{}, spans: map[string][]*span{}, notes: map[string]bool{}}
	if err := c.timeline(&audit.Impersonation{ID: id}); err != nil {
		return nil, err
	}
	if err := c.policy(&audit.Impersonation{}); err != nil {
		return nil, err
	}
	p.rows = slices.DeleteFunc(p.rows, func(r *row) bool { return slices.Contains(without, r.seq) })
	var failed error
	if err := c.eachRetention(func(e *audit.Event) bool { failed = c.add(ofEvent(e)); return false }); err != nil || failed != nil {
		return nil, err
	}
	slices.SortFunc(p.rows, func(a, b *row) int { return int(a.seq) - int(b.seq) })
	for _, row := range p.rows {
		if err := c.prove(row); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// Plus is the pack with the rows of another, too.
func (p *Pack) Plus(other *Pack) *Pack {
	more := *p
	more.rows = slices.Clone(p.rows)
	for _, r := range other.rows {
		if !slices.ContainsFunc(more.rows, func(o *row) bool { return inOrder(o, r) == 0 }) {
			more.rows = append(more.rows, r)
		}
	}
	slices.SortFunc(more.rows, inOrder)
	more.checkpoints = slices.Clone(p.checkpoints)
	for _, n := range other.checkpoints {
		if !slices.Contains(more.checkpoints, n) {
			more.checkpoints = append(more.checkpoints, n)
		}
	}
	return &more
}

// Prefixed is a pack with one file more, before all others.
func Prefixed(pack []byte, name, data string) ([]byte, error) {
	files, err := unstored(pack)
	if err != nil {
		return nil, err
	}
	return stored(append([]file{{name, []byte(data)}}, files...))
}

// Only is the pack with but one of its rows.
func (p *Pack) Only(seq uint64) *Pack {
	return p.dropping(func(r *row) bool { return r.seq != seq })
}

// EarlierReport is the report that an earlier version would have made of the pack.
func (p *Pack) EarlierReport() ([]byte, error) { return p.story().report(earlierReportTemplate) }

// Without is the pack without some of its rows.
func (p *Pack) Without(seqs ...uint64) *Pack {
	return p.dropping(func(r *row) bool { return slices.Contains(seqs, r.seq) })
}

func (p *Pack) dropping(drop func(*row) bool) *Pack {
	less := *p
	less.rows = slices.DeleteFunc(slices.Clone(p.rows), drop)
	return &less
}
