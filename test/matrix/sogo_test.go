package matrix

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/test/freeport"
)

// sogo is groupware in Angular, on PostgreSQL: mail, calendars, address books. When it trusts a header it has no cookie.
var sogo = func() app {
	var direct string // past the gateway
	return app{
		name:  "SOGo",
		open:  "/SOGo/",
		names: people,
		start: func(t *testing.T, _, _ string) string {
			database := startPostgres(t, "sogo")
			query(t, database, "CREATE TABLE people (c_uid text PRIMARY KEY, c_name text, c_password text, c_cn text, mail text)",
				"INSERT INTO people VALUES ('alice', 'alice', '!', 'Alice Ng', 'alice@example.test'), ('sam', 'sam', '!', 'Sam Reed', 'sam@example.test')")
			cache := startMemcached(t)
			as, dir := demoted(t, "sogo")
			direct = freeport.Addr(t)
			cmd := exec.Command("/usr/sbin/sogod",
				"-WOPort", direct, "-WOWorkersCount", "1", "-WONoDetach", "YES", "-WOPidFile", filepath.Join(dir, "pid"), "-WOLogFile", "-",
				"-SOGoProfileURL", database+"/sogo_user_profile", "-OCSFolderInfoURL", database+"/sogo_folder_info",
				"-OCSSessionsFolderURL", database+"/sogo_sessions_folder", "-OCSEMailAlarmsFolderURL", database+"/sogo_alarms_folder",
				"-SOGoTrustProxyAuthentication", "YES", "-SOGoMemcachedHost", cache, "-SOGoMailSpoolPath", dir, "-SOGoIMAPServer", "imap://127.0.0.1:1",
				"-SOGoLoginModule", "Contacts", "-SOGoLanguage", "English", "-SOGoTimeZone", "UTC",
				"-SOGoUserSources", `({type=sql; id=people; viewURL="`+database+`/people"; canAuthenticate=YES; isAddressBook=NO; userPasswordAlgorithm=none;})`)
			cmd.Env = environ("HOME=" + dir)
			cmd.Dir = dir
			cmd.SysProcAttr = as
			run(t, "SOGo", cmd, syscall.SIGKILL, func() bool { return answers("http://" + direct + "/SOGo/") })
			return direct
		},
		who: func(ctx context.Context) (string, error) { return text(ctx, css("md-sidenav p.sg-md-title")) },
		// An address book, "Personal Address Book", is open: a contact is added.
		write: func(ctx context.Context, text string) error {
			// A press while the page still moves its buttons is lost: the menu closes, and no form comes.
			for tries := 0; ; tries++ {
				err := cardForm(ctx)
				if err == nil {
					break
				}
				if tries == 3 || ctx.Err() != nil {
					return err
				}
			}
			if err := fill(ctx, css(`input[ng-model="editor.card.c_cn"]`), text); err != nil {
				return err
			}
			if err := press(ctx, css(`button[ng-click^="editor.save"]`)); err != nil {
				return err
			}
			return wait(ctx, titled("md-list md-list-item .sg-md-subhead", text))
		},
		// Each has address books of his own: by's are asked for.
		wrote: func(ctx context.Context, what, by string) error {
			for username, name := range people {
				if name != by {
					continue
				}
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+direct+"/SOGo/so/"+username+"/Contacts/personal/view", http.NoBody)
				if err != nil {
					return err
				}
				req.Header.Set("x-webobjects-remote-user", username)
				res, err := client.Do(req)
				if err != nil {
					return err
				}
				defer res.Body.Close()
				b, err := io.ReadAll(res.Body)
				if err == nil && !strings.Contains(string(b), what) {
					err = fmt.Errorf("%s: %.2000s", res.Status, b)
				}
				return err
			}
			return fmt.Errorf("nobody is called %s", by)
		},
	}
}()

func startMemcached(t *testing.T) string {
	t.Helper()
	addr := freeport.Addr(t)
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	run(t, "memcached", exec.Command("memcached", "-l", host, "-p", port, "-u", "nobody"), syscall.SIGTERM, func() bool {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return false
		}
		conn.Close()
		return true
	})
	return addr
}

// cardForm opens the form of a new contact.
func cardForm(ctx context.Context) error {
	if err := press(ctx, css(`md-fab-trigger button[aria-label="New Contact"]`)); err != nil {
		return err
	}
	if err := press(ctx, css(`md-fab-actions button[ng-click="addressbook.newComponent('card')"]`)); err != nil {
		return err
	}
	soon, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return wait(soon, css(`input[ng-model="editor.card.c_cn"]`))
}
