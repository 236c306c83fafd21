package matrix

import (
	"context"
	"testing"
)

// matrix are the apps, in the order of docs/apps.md.
var matrix = []app{
	django,
	rt,
	icinga,
	unleash,
	tiddlyWiki,
	nodeRED,
	sogo,
	radicale,
	nchan,
}

// app is one app behind the gateway. Its functions get a tab of the browser: see visit, press, fill, wait and eval.
type app struct {
	// name is the heading in docs/apps.md under which the Caddyfile is.
	name string
	// start starts it, ended with the test, and returns host:port. Its files go to dir; browsers see it at origin.
	start func(t *testing.T, dir, origin string) (addr string)
	// open is the path to open.
	open string
	// who is the account that the page in this tab names; an error if it names none yet, then it is asked again.
	who func(ctx context.Context) (string, error)
	// write writes something, as a person does.
	write func(ctx context.Context, text string) error
	// wrote is an error unless what was written is there and, where the app shows that, by this account, as the app
	// names it; then it is asked again. The tab may be at any page of the app.
	wrote func(ctx context.Context, text, by string) error
	// names is how the app names accounts, by username; nil: by their usernames.
	names map[string]string
	// session begins the name of the app's own session cookie; empty: it has none.
	session string
}

func (a app) named(username string) string {
	if name, ok := a.names[username]; ok {
		return name
	}
	return username
}

// TestMatrix: Alice becomes Sam in each app, works as Sam, returns, and is back again when the time is over.
func TestMatrix(t *testing.T) {
	for _, a := range matrix {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			play(t, a)
		})
	}
}
