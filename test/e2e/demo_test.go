package e2e

import (
	"database/sql"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/test/freeport"
	"github.com/seed-240d5494/caddy-impersonate/test/idptest"
)

// demo is the running demo, as `make demo` starts it.
type demo struct {
	origin, data string
	out          *logBuffer
}

func startDemo(t *testing.T) *demo {
	t.Helper()
	addr := freeport.Addr(t)
	d := &demo{origin: "http://" + addr, data: t.TempDir(), out: &logBuffer{}}
	cmd := exec.Command(binary, "impersonate", "demo", "--addr", addr, "--data", d.data)
	home := t.TempDir()
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_DATA_HOME="+home, "XDG_CONFIG_HOME="+home)
	cmd.Stdout, cmd.Stderr = d.out, d.out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGINT) // Ctrl-C
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("the demo ended with %v", err)
			}
		case <-time.After(2 * time.Minute):
			_ = cmd.Process.Kill()
			<-done
			t.Error("the demo does not end at Ctrl-C")
		}
		if t.Failed() {
			t.Logf("the demo printed:\n%s", d.out.String())
		}
	})
	waitFor(t, 3*time.Minute, "the demo says where to go", func() bool {
		select {
		case err := <-done:
			t.Fatalf("the demo ended: %v\n%s", err, d.out.String())
		default:
		}
		return strings.Contains(d.out.String(), "Recorded")
	})
	if !strings.Contains(d.out.String(), "\n      "+d.origin+"\n") {
		t.Errorf("the demo does not say that it is at %s:\n%s", d.origin, d.out.String())
	}
	return d
}

// The walk that the demo prints, step by step, as a person takes it.
func TestDemo(t *testing.T) {
	d := startDemo(t)

	// 1. Sam's booking refuses to complete, and does not say enough.
	sam := newBrowser(t, "demo-sam")
	sam.logIn(d.origin+"/", "sam", "demo")
	sam.noBanner()
	if me := sam.text(css("#me")); me != "Sam Reed" {
		t.Fatalf("sam is signed in as %s", me)
	}
	harbour := css("a[href='/bookings/1042']")
	sam.pressAway(harbour)
	sam.pressAway(css("#complete"))
	if text := sam.text(css(".notice.bad")); sam.status() != http.StatusUnprocessableEntity || text != "Not completed: a prerequisite is missing. Ask the office." {
		t.Errorf("completing answered %d %q", sam.status(), text)
	}

	// 2. In another browser, the admin finds Sam, presses the button, gives a reason.
	alice := newBrowser(t, "demo-admin")
	alice.logIn(d.origin+"/.impersonate/", "admin", "demo")
	alice.at(d.origin, "/.impersonate/")
	alice.wait("the people are listed", `document.querySelectorAll("#results li.person").length > 5`)
	alice.shot("portal")
	alice.viewport(390, 844)
	alice.shot("portal-phone")
	alice.viewport(1280, 800)
	alice.dark(true)
	alice.shot("portal-dark")
	alice.dark(false)
	for _, name := range []string{"Olivia Hart", "Frank Otto"} {
		if off, err := try[bool](alice, logInAs(name)+".disabled"); err != nil || !off {
			t.Errorf("the button of %s is not off", name)
		}
	}
	alice.find(d.origin, "sam", "Sam Reed")
	alice.fill(css("#ask textarea[name=reason]"), "Sam called: booking 1042 won't complete")
	alice.shot("confirm")
	alice.viewport(390, 844)
	alice.shot("confirm-phone")
	alice.viewport(1280, 800)
	alice.pressAway(named("#ask button", "Log in as Sam Reed"))

	// 3. The app as Sam sees it, under the banner.
	alice.at(d.origin, "/")
	if me := alice.text(css("#me")); me != "Sam Reed" {
		t.Fatalf("the admin is signed in at the app as %s, not as Sam Reed", me)
	}
	alice.bannerSays("Alice Ng", "Sam Reed", "Full access", "left", "Return to my account")
	alice.pressAway(harbour)
	alice.press(css("details.lacking summary"))
	if text := alice.text(css("details.lacking")); !strings.Contains(text, "is not submitted") {
		t.Errorf("the prerequisites say %q", text)
	}
	alice.banner()
	alice.shot("banner")
	alice.dark(true)
	alice.shot("banner-dark")
	alice.dark(false)
	alice.viewport(390, 844)
	alice.banner()
	alice.shot("banner-phone")
	alice.dark(true)
	alice.shot("banner-phone-dark")
	alice.dark(false)
	alice.viewport(1280, 800)
	alice.pressAway(named("details a", "Go to timesheets"))
	alice.pressAway(named("main button", "Submit"))
	if text := alice.text(css(".notice")); text != "Timesheet submitted." {
		t.Errorf("submitting the timesheet answered %q", text)
	}
	alice.banner()
	alice.pressAway(named("nav a", "Bookings"))
	alice.pressAway(harbour)
	alice.pressAway(css("#complete"))
	if text := alice.text(css(".notice")); text != "Booking completed." {
		t.Errorf("completing answered %q", text)
	}
	alice.banner()

	// What is not Alice's to see.
	alice.open(d.origin + "/account/password")
	if alice.status() != http.StatusForbidden || !strings.Contains(alice.body(), "Not while using someone else's account") {
		t.Errorf("the password page answered %d: %s", alice.status(), alice.body())
	}
	alice.shot("denied")
	alice.pressAway(named("a", "Back to the app"))

	// 4. Back, still logged in.
	alice.returns()
	alice.noBanner()
	alice.open(d.origin + "/")
	alice.noBanner()
	if me := alice.text(css("#me")); me != "Alice Ng" {
		t.Errorf("after returning, the admin is signed in at the app as %s", me)
	}
	sam.open(d.origin + "/bookings/1042")
	sam.reload() // the app lets browsers keep a page for a while
	if text := sam.body(); !strings.Contains(text, "Completed at") {
		t.Errorf("sam sees: %s", text)
	}

	// 5. Who, as whom, did what: on the terminal, and in the database.
	const line = "Alice Ng (impersonating Sam Reed): Completed booking"
	for _, want := range []string{line, "Alice Ng (impersonating Sam Reed): Submitted a timesheet", "Alice Ng (impersonating Sam Reed): Looked at a booking"} {
		waitFor(t, 3*time.Minute, "the terminal shows "+want, func() bool { return strings.Contains(d.out.String(), "  "+want+"\n") })
	}
	db, err := sql.Open("sqlite", "file:"+d.data+"/audit.db?mode=ro&_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var actor, target, method, path, outcome, banner, reason, cause string
	var status int
	if err := db.QueryRowContext(t.Context(), `SELECT actor_username, target_username, method, path, status, outcome FROM actions WHERE line = ?`, line).Scan(&actor, &target, &method, &path, &status, &outcome); err != nil {
		t.Fatalf("the line is not in the table: %v", err)
	}
	if actor != "admin" || target != "sam" || method != "POST" || path != "/bookings/1042/complete" || status != 303 || outcome != "completed" {
		t.Errorf("recorded: %s as %s, %s %s, %d %s", actor, target, method, path, status, outcome)
	}
	if err := db.QueryRowContext(t.Context(), `SELECT banner FROM requests WHERE actor_username = 'admin' AND path = '/bookings/1042' AND status = 200 LIMIT 1`).Scan(&banner); err != nil || banner != "marked" {
		t.Errorf("the page's row says banner=%q, %v", banner, err)
	}
	waitFor(t, 3*time.Minute, "the end is in the database", func() bool {
		return db.QueryRowContext(t.Context(), `SELECT reason, end_cause FROM impersonations WHERE ended IS NOT NULL`).Scan(&reason, &cause) == nil
	})
	if reason != "Sam called: booking 1042 won't complete" || cause != "stopped" {
		t.Errorf("the impersonation is recorded with reason %q, end %q", reason, cause)
	}
}

// Whom the demo lists can log in, but for the deactivated one; the supervisor sees the northern team, read-only first.
func TestDemoAccounts(t *testing.T) {
	d := startDemo(t)
	for name, full := range map[string]string{
		"owner": "Olivia Hart", "admin": "Alice Ng", "supervisor": "Priya Nair", "sam": "Sam Reed", "office": "Tom Becker", "auditor": "Mei Tan",
	} {
		if !strings.Contains(d.out.String(), name) {
			t.Errorf("%s is not listed", name)
		}
		page := idptest.NewLoginClient(t, name).Login(d.origin + "/")
		if page.Status != http.StatusOK || page.URL.String() != d.origin+"/" || !strings.Contains(page.Body, `<strong id="me">`+full+`</strong>`) {
			t.Errorf("logging in as %s leads to %s: %d %.300s", name, page.URL, page.Status, page.Body)
		}
	}

	former := newBrowser(t, "demo-former")
	former.expect("/.impersonate/callback")
	former.logIn(d.origin+"/", "former", "demo")
	if !strings.Contains(former.body(), "deactivated") || former.cookies(d.origin)["impersonate"] != "" {
		t.Errorf("former is shown: %s", former.body())
	}
	former.shot("refused")

	supervisor := newBrowser(t, "demo-supervisor")
	supervisor.logIn(d.origin+"/.impersonate/", "supervisor", "demo")
	for name, off := range map[string]bool{"Amira Haddad": false, "Sam Reed": false, "José Márquez": true, "Alice Ng": true, "Frank Otto": true} {
		if got, err := try[bool](supervisor, logInAs(name)+".disabled"); err != nil || got != off {
			t.Errorf("the supervisor's button of %s is off: %v, %v", name, got, err)
		}
	}
	supervisor.find(d.origin, "amira", "Amira Haddad")
	if mode, err := try[string](supervisor, `document.querySelector("#ask input[name=mode]:checked").value`); err != nil || mode != "read_only" {
		t.Errorf("the supervisor is offered %q first, %v", mode, err)
	}
	supervisor.fill(css("#ask textarea[name=reason]"), "looking at today's plan")
	supervisor.pressAway(named("#ask button", "Log in as Amira Haddad"))
	supervisor.bannerSays("Priya Nair", "Amira Haddad", "Read only")
	supervisor.pressAway(css("a[href='/bookings/1044']"))
	supervisor.pressAway(css("button.check"))
	if supervisor.status() != http.StatusForbidden || !strings.Contains(supervisor.body(), "You are only looking") {
		t.Errorf("a change in read-only mode answered %d: %s", supervisor.status(), supervisor.body())
	}
	supervisor.shot("read-only")
	supervisor.pressAway(named("button", "Return to my account"))
	supervisor.open(d.origin + "/")
	if me := supervisor.text(css("#me")); me != "Priya Nair" {
		t.Errorf("the supervisor came back as %s", me)
	}
}
