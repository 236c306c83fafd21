package demo

import (
	"fmt"
	"strings"
)

// welcome is what the person who started the demo reads.
func welcome(origin, data, dsn string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `
  Fieldbook, a field-service app that knows nothing of impersonation, is served at

      %s

  with the gateway in front of it. Everyone's password is "%s":

`, origin, Password)
	for _, a := range accounts {
		fmt.Fprintf(&b, "      %-11s %-12s %s\n", a.username, a.name, a.about)
	}
	fmt.Fprintf(&b, `
  What to try

   1. Log in as sam, open "Harbour Street Clinic" and complete it: the app refuses and does not
      say enough. Sam calls for help.
   2. In another browser (or a private window) log in as admin and open
      %[1]s/.impersonate/ : find Sam, press "Log in as this user", give a reason.
   3. You see the app as Sam does, under the banner. Open the booking's Prerequisites: yesterday's
      timesheet is not submitted. Submit it, then complete the booking.
   4. Press "Return to my account". You are Alice again, still logged in.
   5. Every step appears below: who, as whom, did what.

  Also: former can't log in; owner is never a target; %[1]s/account/password is closed to
  anyone who is not themselves; supervisor only sees the northern team, and read-only first.

  The Caddyfile, the directory and the audit are in
      %[2]s
`, origin, data)
	if dsn == "" {
		fmt.Fprintf(&b, "  Ask the audit yourself: sqlite3 %s/audit.db 'SELECT time, line FROM actions'\n", data)
	} else {
		b.WriteString("  Ask the audit yourself, in ClickHouse: SELECT time, line FROM impersonate.actions ORDER BY time\n")
	}
	b.WriteString("  Stop with Ctrl-C.\n\n  Recorded\n\n")
	return b.String()
}
