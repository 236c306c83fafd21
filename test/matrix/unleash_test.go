package matrix

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/chromedp/chromedp/kb"
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
		// Everyone is welcomed once, in a dialog above all.
		const welcomed = `fetch("/api/admin/user").then(r => r.json()).then(me => Object.keys(me.splash).length > 0)`
		if done, err := eval[bool](ctx, welcomed); err != nil {
			return err
		} else if !done {
			if err := press(ctx, titled("button", "Got it, let's get started!")); err != nil {
				return err
			}
			if err := wait(ctx, "await "+welcomed); err != nil {
				return err
			}
		}
		const form = "[data-testid=FORM_NAME_INPUT] input"
		if err := visit(ctx, "/projects/default?create=true"); err != nil {
			return err
		}
		// The form puts itself together more than once, and forgets what it had; its field has the focus.
		created := "location.pathname === " + strconv.Quote("/projects/default/features/"+flag(text))
		return poll(ctx, "creating the flag", func() error {
			if done, err := eval[bool](ctx, created); err != nil || done {
				return err
			}
			empty, err := eval[bool](ctx, css(form)+" === document.activeElement && "+css(form)+`.value === ""`)
			if err == nil && empty {
				err = keys(ctx, flag(text))
			}
			if err == nil {
				err = keys(ctx, kb.Enter)
			}
			return errors.Join(errNotYet, err)
		})
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
	addr := freeAddr(t)
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
