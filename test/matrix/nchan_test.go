package matrix

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-240d5494/caddy-impersonate/test/freeport"
)

// nchan is nginx as a server of publish and subscribe: server-sent events, WebSockets, long polls. The page before it
// (testdata/nchan) shows the header and what comes over an event stream.
var nchan = app{
	name: "nchan",
	open: "/",
	start: func(t *testing.T, dir, _ string) string {
		pages, err := filepath.Abs("testdata/nchan")
		if err != nil {
			t.Fatal(err)
		}
		config, err := os.ReadFile(filepath.Join(pages, "nginx.conf"))
		if err != nil {
			t.Fatal(err)
		}
		addr := freeport.Addr(t)
		file := filepath.Join(dir, "nginx.conf")
		write(t, file, strings.NewReplacer("@DIR@", dir, "@PAGES@", pages, "@ADDR@", addr).Replace(string(config)))
		cmd := exec.Command("/usr/sbin/nginx", "-e", "stderr", "-c", file)
		run(t, "nginx", cmd, syscall.SIGTERM, func() bool { return answers("http://" + addr + "/") })
		return addr
	},
	who: func(ctx context.Context) (string, error) { return text(ctx, css("#who")) },
	write: func(ctx context.Context, text string) error {
		if err := fill(ctx, css("#new input"), text); err != nil {
			return err
		}
		if err := press(ctx, css("#new button")); err != nil {
			return err
		}
		return wait(ctx, titled("#notes li", text))
	},
	// The first message that by's channel keeps.
	wrote: func(ctx context.Context, what, by string) error {
		_, err := eval[bool](ctx, `new Promise((ok, no) => {
			const s = new EventSource(`+strconv.Quote("/of/"+by)+`);
			s.onmessage = e => { s.close(); e.data === `+strconv.Quote(what)+` ? ok(true) : no(new Error(e.data)) };
			s.onerror = () => { s.close(); no(new Error("cut")) };
		})`)
		return err
	},
}
