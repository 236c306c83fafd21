package journal

import "time"

const (
	// gatherTime is how long a commit waits at most for others to share it. At 5,000 requests a second recording one takes
	// 7.0 to 7.8 µs of CPU, where commits waited for eight 10.6 to 15.8; a request waits 1.9 ms in the mean (docs/cost.md).
	gatherTime = 4 * time.Millisecond
	// worthWhile is how many appends must share a commit that waited, for the next to wait too. Fewer people are
	// better served at once.
	worthWhile = 4
	firstShare = 8
	mostShare  = 64
	// tryMoreAfter is how many commits are shared by as many as came, before it is tried whether more would.
	tryMoreAfter = 16
	// restAfter is how many commits do not wait, after one for which it was not worth while.
	restAfter = 64
)

// share learns for how many appends it is worth to wait: no more than there are people asking, since none of those
// asks again before the commit, and nobody else would come for the rest of [gatherTime]. A lone request never waits.
type share struct {
	on   bool // the next commit waits for others
	came int  // in the last time that fewer came than were waited for; 0: all did
	all  int  // how many came, when all did
	kept int  // commits since fewer than all came
	rest int  // commits that are not to wait
}

// want is for how many to wait.
func (s *share) want() int {
	if s.came > 0 {
		return s.came
	}
	return min(max(2*s.all, firstShare), mostShare)
}

// gathered says how many came while the commit waited for them.
func (s *share) gathered(n int) {
	switch {
	case n < s.want():
		s.came, s.all, s.kept = n, 0, 0
	case s.came == 0:
		s.all = n
	default:
		if s.kept++; s.kept >= tryMoreAfter {
			s.came, s.all, s.kept = 0, n, 0
		}
	}
}

// committed says how many shared a commit, and whether it waited for them.
func (s *share) committed(n int, waited bool) {
	switch {
	case n == 0: // outcomes, which nobody waits for, say nothing of how many ask
	case waited && n < worthWhile:
		s.on, s.rest = false, restAfter
	case s.rest > 0:
		s.rest--
	default:
		s.on = n > 1
	}
}
