package matrix

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/seed-240d5494/caddy-impersonate/test/freeport"
)

// tiddlyWiki is a wiki that is one page and one script, sent in chunks and compressed however the gateway asks. It has
// no cookie, and names the account in everything that is written.
var tiddlyWiki = app{
	name: "TiddlyWiki",
	open: "/",
	start: func(t *testing.T, dir, _ string) string {
		program := filepath.Join(npmModules(t), "tiddlywiki", "tiddlywiki.js")
		wiki := filepath.Join(dir, "wiki")
		finish(t, "TiddlyWiki", exec.Command("node", program, wiki, "--init", "server"))
		addr := freeport.Addr(t)
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("node", program, wiki, "--listen", "host="+host, "port="+port, "gzip=yes",
			"authenticated-user-header=X-Remote-User", "readers=(authenticated)", "writers=(authenticated)")
		run(t, "TiddlyWiki", cmd, syscall.SIGTERM, func() bool { return answers("http://" + addr + "/status") })
		return addr
	},
	who: func(ctx context.Context) (string, error) {
		return eval[string](ctx, `$tw.wiki.getTiddlerText("$:/status/UserName")`)
	},
	write: func(ctx context.Context, text string) error {
		if err := press(ctx, css(`.tc-page-controls button[aria-label="new tiddler"]`)); err != nil {
			return err
		}
		title := css(".tc-tiddler-edit-frame input.tc-titlebar")
		if err := wait(ctx, title+" === document.activeElement"); err != nil {
			return err
		}
		if _, err := eval[bool](ctx, title+".select(), true"); err != nil {
			return err
		}
		if err := keys(ctx, text); err != nil {
			return err
		}
		if err := press(ctx, css(`.tc-tiddler-edit-frame button[class*="Buttons%2Fsave"]`)); err != nil {
			return err
		}
		// It asks before one leaves a page with changes that are not saved.
		return wait(ctx, titled(".tc-tiddler-view-frame .tc-title", text)+" && !$tw.syncer.isDirty()")
	},
	wrote: func(ctx context.Context, what, by string) error {
		answer, err := eval[string](ctx, `fetch("/recipes/default/tiddlers/" + encodeURIComponent(`+fmt.Sprintf("%q", what)+`)).then(r => r.text())`)
		if err != nil {
			return err
		}
		var tiddler struct{ Creator, Modifier string }
		if err := json.Unmarshal([]byte(answer), &tiddler); err != nil {
			return fmt.Errorf("%w: %.200s", err, answer)
		}
		if tiddler.Creator != by || tiddler.Modifier != by {
			return fmt.Errorf("it was created by %q and modified by %q", tiddler.Creator, tiddler.Modifier)
		}
		return nil
	},
}
