package matrix

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-240d5494/caddy-impersonate/test/freeport"
)

// unleash manages feature flags: a single-page app with a content security policy that allows only scripts of its own,
// and a session that is believed over the header.
var unleash = app{
	name:    "Unleash",
	open:    "/profile",
	names:   map[string]string{"alice": "alice@example.com", "sam": "sam@example.com"},
	session: "unleash-session",
	start:   startUnleash,
	who: func(ctx context.Context) (string, error) {
		return eval[string](ctx, `[...document.querySelectorAll("main p")].map(p => p.textContent).find(p => p.includes("@"))`)
	},
	write: func(ctx context.Context, text string) error {
		// The form for it is put together anew whenever one of its requests is answered, and forgets what was typed; so
		// the page's own call is made.
		if err := visit(ctx, "/projects/default"); err != nil {
			return err
		}
		status, err := eval[int](ctx, `fetch("/api/admin/projects/default/features", {method: "POST", headers: {"Content-Type": "application/json"},
			body: JSON.stringify({name: `+strconv.Quote(flag(text))+`, type: "release", description: "", impressionData: false})}).then(r => r.status)`)
		if err == nil && status != http.StatusCreated {
			err = fmt.Errorf("creating the flag: %d", status)
		}
		return err
	},
	wrote: func(ctx context.Context, what, by string) error {
		if err := visit(ctx, "/history"); err != nil {
			return err
		}
		events := `[...document.querySelectorAll("main li")].map(e => e.textContent).filter(e => e.includes("feature-created") && e.includes(` + strconv.Quote(flag(what)) + `))`
		if err := wait(ctx, events+".length > 0"); err != nil {
			return err
		}
		log, err := eval[string](ctx, events+`.join("\n")`)
		if err == nil && !strings.Contains(log, by) {
			err = fmt.Errorf("the event log says %q", log)
		}
		return err
	},
}

// flag makes a flag's name of a text.
func flag(text string) string { return strings.ReplaceAll(text, " ", "-") }

func startUnleash(t *testing.T, dir, origin string) string {
	program, err := os.ReadFile("testdata/unleash/server.mjs")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "server.mjs"), string(program))
	if err := os.Symlink(npmModules(t), filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	addr := freeport.Addr(t)
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", "server.mjs")
	cmd.Dir = dir
	cmd.Env = environ("ADDRESS="+host, "PORT="+port, "ORIGIN="+origin, "DATABASE="+startPostgres(t, "unleash"), "DATABASE_SSL=false",
		"NODE_ENV=production", "CHECK_VERSION=false", "SEND_TELEMETRY=false", "NO_COLOR=1")
	run(t, "Unleash", cmd, syscall.SIGTERM, func() bool { return answers("http://" + addr + "/health") })
	return addr
}
