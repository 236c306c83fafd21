package policy

import "time"

// Limit is how long an impersonation under way may last, from its start: the duration, and what was added to it as far
// as the rules still allow as much.
func (d *Decision) Limit(r Running) time.Duration {
	return d.Duration + min(r.Extended, d.extendable())
}

func (d *Decision) extendable() time.Duration { return d.Extension * time.Duration(d.Extensions) }

// ExtensionsLeft is how often it can still be prolonged.
func (d *Decision) ExtensionsLeft(r Running) int {
	if d.Extension <= 0 || r.Extended >= d.extendable() {
		return 0
	}
	return max(0, d.Extensions-r.Extensions)
}

// Extend is how much a press of "Extend" adds now, or why it adds nothing. Under rules that changed meanwhile it may be
// less than a whole Extension: all of them together never come to more than the rules allow.
func (d *Decision) Extend(r Running) (time.Duration, *Refusal) {
	switch {
	case d.Refusal != nil:
		return 0, d.Refusal
	case d.Extension <= 0:
		return 0, refuse(RefusedExtension)
	case d.ExtensionsLeft(r) == 0:
		return 0, refuse(RefusedExtensionsUsed)
	}
	return min(d.Extension, d.extendable()-r.Extended), nil
}
