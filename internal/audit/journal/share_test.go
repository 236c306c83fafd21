package journal

import "testing"

// TestShare drives the rule with a number of people of whom each asks again at once after a commit, and with as many as
// come in the time of one.
func TestShare(t *testing.T) {
	for _, tt := range []struct {
		name   string
		people int // who may ask at a time
		// Of 1000 commits, later:
		least     int // as many at least share each on the average
		mostTimes int // so many at most wait the whole time
	}{
		{"nobody else", 1, 1, 0},
		{"two", 2, 1, 16},
		{"three", 3, 1, 16},
		{"five", 5, 5, 60},
		{"sixteen", 16, 15, 60},
		{"forty", 40, 36, 60},
		{"a hundred", 100, 64, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var s share
			shared, waits := 0, 0
			for n := range 1100 {
				waiters, waited, timeout := min(tt.people, 1+n%2), false, false
				if s.on {
					waited = true
					waiters = min(tt.people, s.want())
					timeout = waiters < s.want()
					s.gathered(waiters)
				}
				s.committed(waiters, waited)
				if n < 100 {
					continue
				}
				shared += waiters
				if timeout {
					waits++
				}
			}
			if shared < 1000*tt.least || waits > tt.mostTimes {
				t.Errorf("%.1f shared a commit, want %d; %d of 1000 waited in vain, want at most %d", float64(shared)/1000, tt.least, waits, tt.mostTimes)
			}
		})
	}
}

// TestShareIgnoresOutcomes: a commit that nobody waits for neither ends the waiting of the others nor counts as one of
// those that rest.
func TestShareIgnoresOutcomes(t *testing.T) {
	for _, s := range []share{{on: true, all: 8}, {rest: restAfter, came: 1}} {
		want := s
		s.committed(0, false)
		if s != want {
			t.Errorf("%+v became %+v", want, s)
		}
	}
}
