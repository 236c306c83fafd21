package matrix

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-240d5494/caddy-impersonate/test/freeport"
)

// django is Django's own admin with its RemoteUserMiddleware (deploy/app): a session cookie, a CSRF cookie, gzip.
var django = app{
	name:    "Django",
	open:    "/admin/",
	session: "sessionid",
	start: func(t *testing.T, dir, _ string) string {
		addr := freeport.Addr(t)
		cmd := exec.Command("/usr/bin/python3", "-u", "run.py", addr)
		cmd.Dir = filepath.Join("..", "..", "deploy", "app")
		cmd.Env = environ("APP_DATA="+dir, "PYTHONDONTWRITEBYTECODE=1")
		run(t, "Django", cmd, syscall.SIGTERM, func() bool { return answers("http://" + addr + "/healthz") })
		return addr
	},
	who: func(ctx context.Context) (string, error) { return text(ctx, css("#user-tools strong")) },
	write: func(ctx context.Context, text string) error {
		if err := visit(ctx, "/admin/auth/group/add/"); err != nil {
			return err
		}
		if err := fill(ctx, css("#id_name"), text); err != nil {
			return err
		}
		return pressAway(ctx, css("input[name=_save]"))
	},
	// Django's log entries say who added a group.
	wrote: func(ctx context.Context, what, by string) error {
		if err := visit(ctx, "/admin/auth/group/?q="+strings.ReplaceAll(what, " ", "+")); err != nil {
			return err
		}
		if err := pressAway(ctx, titled("#result_list th a", what)); err != nil {
			return err
		}
		if err := pressAway(ctx, css("a.historylink")); err != nil {
			return err
		}
		row, err := text(ctx, css("#change-history tbody tr"))
		if err == nil && !strings.Contains(row, " "+by+" ") {
			err = fmt.Errorf("the history of %s says %q", what, row)
		}
		return err
	},
}
