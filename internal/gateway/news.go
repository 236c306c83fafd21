package gateway

import "sync"

// news is how far a person has been told how their impersonation ended. The session's notice is what is to be told;
// this is what is known beyond it while the store is slow or down, or several pages load at once.
type news struct {
	mu      sync.Mutex
	showing bool   // a page that tells it is on its way
	shown   string // the notice told last, while the store may still have it
	seen    string // the notice since which a page was loaded
}

// claim has the caller show the notice; false when it is being, or was, shown.
func (n *news) claim(notice string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.showing || n.shown == notice {
		return false
	}
	n.showing = true
	return true
}

// tell ends what a claim began.
func (n *news) tell(notice string, shown bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.showing = false
	if shown {
		n.shown = notice
	}
}

// load notes that the browser was given a page of the person's own after the notice was left.
func (n *news) load(notice string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.seen = notice
}

// stale tells whether the browser may still show nothing but the target's pages.
func (n *news) stale(notice string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.seen != notice
}

// forget is for a new impersonation, whose end may have the same words.
func (n *news) forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.shown, n.seen = "", ""
}
