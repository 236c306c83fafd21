package matrix

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
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

	"github.com/seed-240d5494/caddy-impersonate/test/freeport"
)

// nodeRED is an editor in one page, with a WebSocket over which it is told what happens. It has no cookie; who deployed
// what is in its audit log.
var nodeRED = func() app {
	var auditLog string
	return app{
		name: "Node-RED",
		open: "/",
		start: func(t *testing.T, dir, _ string) string {
			auditLog = filepath.Join(dir, "audit.jsonl")
			addr := freeport.Addr(t)
			_, port, err := net.SplitHostPort(addr)
			if err != nil {
				t.Fatal(err)
			}
			settings, err := os.ReadFile("testdata/nodered/settings.js")
			if err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, "settings.js"), strings.NewReplacer("@DIR@", dir, "@PORT@", port).Replace(string(settings)))
			cmd := exec.Command("node", filepath.Join(npmModules(t), "node-red", "red.js"), "--settings", filepath.Join(dir, "settings.js"))
			run(t, "Node-RED", cmd, syscall.SIGTERM, func() bool { return answers("http://" + addr + "/auth/login") })
			return addr
		},
		who: func(ctx context.Context) (string, error) { return text(ctx, css("#usermenu-item-username")) },
		// A tab is imported and deployed.
		write: func(ctx context.Context, text string) error {
			flow, err := json.Marshal([]map[string]string{{"id": hex.EncodeToString([]byte(text)), "type": "tab", "label": text}})
			if err != nil {
				return err
			}
			if err := wait(ctx, `RED.workspaces.count() > 0 && RED.comms`); err != nil {
				return err
			}
			if _, err := eval[bool](ctx, `RED.actions.invoke("core:show-import-dialog"), true`); err != nil {
				return err
			}
			if err := fill(ctx, css("#red-ui-clipboard-dialog-import-text"), string(flow)); err != nil {
				return err
			}
			if err := press(ctx, css("#red-ui-clipboard-dialog-ok")); err != nil {
				return err
			}
			if err := wait(ctx, titled(".red-ui-tab-label span", text)); err != nil {
				return err
			}
			if err := press(ctx, css("#red-ui-header-button-deploy:not(.disabled)")); err != nil {
				return err
			}
			// It asks before one leaves a page with changes that are not deployed.
			return wait(ctx, `!RED.nodes.dirty() && document.querySelector("#red-ui-header-button-deploy.disabled")`)
		},
		wrote: func(ctx context.Context, what, by string) error {
			there, err := eval[bool](ctx, `fetch("/flows").then(r => r.json()).then(flows => flows.some(f => f.label === `+strconv.Quote(what)+`))`)
			if err != nil || !there {
				return errors.Join(errNotYet, err)
			}
			b, err := os.ReadFile(auditLog)
			if err != nil {
				return err
			}
			for line := range bytes.Lines(b) {
				var entry struct {
					Event string
					User  struct{ Username string }
				}
				if err := json.Unmarshal(line, &entry); err != nil {
					return err
				}
				if entry.Event == "flows.set" && entry.User.Username == by {
					return nil
				}
			}
			return fmt.Errorf("its audit has no deploy by %s: %s", by, b)
		},
	}
}()
