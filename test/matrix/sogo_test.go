package matrix

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// sogo is groupware in Angular: mail, calendars, address books, on PostgreSQL. When it trusts a header it has no cookie.
var sogo = func() app {
	var direct string // past the gateway
	return app{
		name:  "SOGo",
		open:  "/SOGo/",
		names: people,
		start: func(t *testing.T, _, origin string) string {
			database := startPostgres(t, "sogo")
			seed(t, database)
			cache := startMemcached(t)
			as, dir := demoted(t, "sogo")
			direct = freeAddr(t)
			settings := []string{
				"-WOPort", direct, "-WOWorkersCount", "1", "-WONoDetach", "YES", "-WOPidFile", filepath.Join(dir, "pid"), "-WOLogFile", "-",
				"-SOGoProfileURL", database + "/sogo_user_profile", "-OCSFolderInfoURL", database + "/sogo_folder_info",
				"-OCSSessionsFolderURL", database + "/sogo_sessions_folder", "-OCSEMailAlarmsFolderURL", database + "/sogo_alarms_folder",
				"-SOGoTrustProxyAuthentication", "YES", "-SOGoMemcachedHost", cache, "-SOGoMailSpoolPath", dir,
				"-SOGoLoginModule", "Contacts", "-SOGoLanguage", "English", "-SOGoTimeZone", "UTC",
				"-SOGoUserSources", `({type=sql; id=people; viewURL="` + database + `/people"; canAuthenticate=YES; isAddressBook=NO; userPasswordAlgorithm=none;})`,
			}
			cmd := exec.Command("/usr/sbin/sogod", settings...)
			cmd.Env = environ("HOME=" + dir)
			cmd.SysProcAttr = as
			run(t, "SOGo", cmd, syscall.SIGTERM, func() bool { return answers("http://" + direct + "/SOGo/") })
			return direct
		},
	}
}()
