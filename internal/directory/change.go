package directory

import (
	"maps"
	"slices"
)

// Kinds of changes.
type Kind string

const (
	Added       Kind = "added"
	Changed     Kind = "changed" // other facts than being active
	Deactivated Kind = "deactivated"
	Reactivated Kind = "reactivated"
	Removed     Kind = "removed"
	// Lapsed accounts are unknown because a source that has them has been down for too long.
	Lapsed Kind = "lapsed"
)

// Change is what happened to one account. An account that appears, and is inactive, is Added.
type Change struct {
	Kind          Kind
	Before, After *User // nil where there was, or is, none
}

// OnChange has f called with what changed, after it is in force. Calls come one at a time, in order: those of a Refresh
// mostly before it returns, those of a login soon after it. The accounts found by the first Refresh are no changes.
func (d *Directory) OnChange(f func([]Change)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.onChange = append(slices.Clip(d.onChange), f)
}

// tell delivers the queue, unless somebody is delivering already; they will take these too.
func (d *Directory) tell() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.telling {
		return
	}
	d.telling = true
	for len(d.queue) > 0 {
		changes, told := d.queue, d.onChange
		d.queue = nil
		d.mu.Unlock()
		for _, f := range told {
			f(changes)
		}
		d.mu.Lock()
	}
	d.telling = false
}

// changeOf compares two states of an account; false when they are the same.
func changeOf(before, after *User) (Change, bool) {
	c := Change{Before: before, After: after}
	switch {
	case before == after || before != nil && after != nil && before.equal(after):
		return c, false
	case before == nil:
		c.Kind = Added
	case after == nil:
		c.Kind = Removed
	case before.Active && !after.Active:
		c.Kind = Deactivated
	case !before.Active && after.Active:
		c.Kind = Reactivated
	default:
		c.Kind = Changed
	}
	return c, true
}

func (u *User) equal(v *User) bool {
	return u.Active == v.Active && u.ID == v.ID && u.Username == v.Username && u.Name == v.Name && u.Email == v.Email && u.Source == v.Source &&
		(u.Groups == nil) == (v.Groups == nil) && slices.Equal(u.Groups, v.Groups) &&
		(u.Attributes == nil) == (v.Attributes == nil) && maps.Equal(u.Attributes, v.Attributes)
}
