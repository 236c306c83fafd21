package matrix

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-240d5494/caddy-impersonate/test/freeport"
)

// radicale is a server of calendars and address books; its own page speaks to it in WebDAV. It has no cookie.
var radicale = app{
	name: "Radicale",
	open: "/.web/",
	start: func(t *testing.T, dir, _ string) string {
		addr := freeport.Addr(t)
		cmd := exec.Command("radicale", "--server-hosts", addr, "--auth-type", "http_x_remote_user",
			"--rights-type", "owner_write", "--storage-filesystem-folder", filepath.Join(dir, "collections"))
		run(t, "Radicale", cmd, syscall.SIGTERM, func() bool { return answers("http://" + addr + "/.web/") })
		return addr
	},
	// What the page's own script takes for the account, whatever name was typed.
	who: func(ctx context.Context) (string, error) {
		href, err := eval[string](ctx, `new Promise((ok, no) => get_principal(undefined, undefined, (c, err) => err ? no(new Error(err)) : ok(c.href)))`)
		return strings.Trim(href, "/"), err
	},
	write: func(ctx context.Context, text string) error {
		if err := fill(ctx, css("#loginscene input[data-name=user]"), "me"); err != nil {
			return err
		}
		if err := press(ctx, css("#loginscene button[type=submit]")); err != nil {
			return err
		}
		if err := press(ctx, css("#collectionsscene a[data-name=new]")); err != nil {
			return err
		}
		if err := fill(ctx, css("#createcollectionscene input[data-name=displayname]"), text); err != nil {
			return err
		}
		if err := press(ctx, css("#createcollectionscene button[data-name=submit]")); err != nil {
			return err
		}
		return wait(ctx, titled("#collectionsscene article [data-name=title]", text))
	},
	wrote: func(ctx context.Context, what, by string) error {
		there, err := eval[bool](ctx, `fetch(`+strconv.Quote("/"+by+"/")+`, { method: "PROPFIND", headers: { Depth: "1" } }).then(r => r.text()).then(xml =>
			[...new DOMParser().parseFromString(xml, "text/xml").getElementsByTagNameNS("DAV:", "displayname")].some(e => e.textContent === `+strconv.Quote(what)+`))`)
		if err != nil || !there {
			return errors.Join(errNotYet, err, fmt.Errorf("%s has no collection %q", by, what))
		}
		return nil
	},
}
