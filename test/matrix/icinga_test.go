package matrix

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-240d5494/caddy-impersonate/test/freeport"
)

// icinga is Icinga Web 2 under PHP-FPM, to which Caddy speaks FastCGI: REMOTE_USER is no header there. Its pages are
// put together by script, from pieces.
var icinga = app{
	name:    "Icinga Web 2",
	open:    "/announcements",
	session: "Icingaweb2",
	start:   startIcinga,
	who: func(ctx context.Context) (string, error) {
		return text(ctx, css("#menu li.user-nav-item > a:not(:has(.user-ball))"))
	},
	write: func(ctx context.Context, text string) error {
		if err := press(ctx, css("#col1 a[href$='/announcements/new']")); err != nil {
			return err
		}
		if err := fill(ctx, css(announcement+" textarea[name=message]"), text); err != nil {
			return err
		}
		// A calendar pops up for these; it is Icinga's, not what is tried here.
		dates := css(announcement+" [name=start]") + `.value = "2126-01-01T00:00:00", ` + css(announcement+" [name=end]") + `.value = "2126-01-02T00:00:00", true`
		if _, err := eval[bool](ctx, dates); err != nil {
			return err
		}
		if err := press(ctx, css(announcement+" input[name=btn_submit]")); err != nil {
			return err
		}
		return wait(ctx, titled("#notifications li", "Announcement created"))
	},
	wrote: func(ctx context.Context, what, by string) error {
		if err := visit(ctx, "/announcements"); err != nil {
			return err
		}
		rows, err := eval[string](ctx, `[...document.querySelectorAll("#col1 tbody tr")].map(r => [...r.cells].map(c => c.textContent.trim()).join("|")).join("\n")`)
		if err == nil && !strings.Contains(rows, by+"|"+what+"|") {
			err = fmt.Errorf("the announcements are %q", rows)
		}
		return err
	},
}

const announcement = "form[name=IcingaFormsAnnouncementAnnouncementForm]"

func startIcinga(t *testing.T, dir, _ string) string {
	addr := freeport.Addr(t)
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"etc/config.ini":         "[global]\nconfig_backend = \"none\"\nshow_stacktraces = \"1\"\n[logging]\nlog = \"php\"\nlevel = \"ERROR\"\n",
		"etc/authentication.ini": "[header]\nbackend = \"external\"\n",
		"etc/roles.ini":          "[everyone]\nusers = \"*\"\npermissions = \"*\"\n",
		"etc/enabledModules/.no": "",
		"sessions/.no":           "",
		"fpm.conf": `[global]
error_log = /dev/stderr
daemonize = no
[www]
user = ` + me.Username + `
listen = ` + addr + `
pm = static
pm.max_children = 4
catch_workers_output = yes
env[ICINGAWEB_CONFIGDIR] = ` + dir + `/etc
env[ICINGAWEB_STORAGEDIR] = ` + dir + `/storage
php_value[session.save_path] = ` + dir + `/sessions
`,
	} {
		write(t, filepath.Join(dir, name), text)
	}
	args := []string{"--nodaemonize", "--fpm-config", filepath.Join(dir, "fpm.conf"), "-d", "date.timezone=UTC"}
	if os.Geteuid() == 0 {
		args = append(args, "--allow-to-run-as-root")
	}
	programs, err := filepath.Glob("/usr/sbin/php-fpm*")
	if err != nil || len(programs) == 0 {
		t.Fatalf("there is no PHP-FPM (test/setup.sh installs it): %v", err)
	}
	run(t, "PHP-FPM", exec.Command(slices.Max(programs), args...), syscall.SIGQUIT, func() bool {
		c, err := net.Dial("tcp", addr) //nolint:noctx // polled
		if err != nil {
			return false
		}
		return c.Close() == nil
	})
	return addr
}
