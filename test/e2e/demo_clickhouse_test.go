package e2e

import (
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/test/chtest"
	"github.com/seed-240d5494/caddy-impersonate/test/freeport"
)

var csrfField = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

// The demo with a real ClickHouse: it makes the tables itself, and what is done in it is there, as the terminal says.
func TestDemoWithClickHouse(t *testing.T) {
	ch := chtest.StartOwn(t)
	addr := freeport.Addr(t)
	out := &logBuffer{}
	cmd := exec.Command(binary, "impersonate", "demo", "--addr", addr, "--data", t.TempDir(), "--clickhouse", ch.Addr)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	cmd.Stdout, cmd.Stderr = out, out
	began := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the demo said:\n%s", out.String())
		}
	})
	waitFor(t, 3*time.Minute, "the demo says what to try", func() bool { return strings.Contains(out.String(), "What to try") })
	t.Logf("serving after %v", time.Since(began).Round(time.Millisecond))

	admin := logIn(t, "http://"+addr, "admin")
	admin.become("sam")
	_, page := admin.do(http.MethodGet, "/timesheets", "", navigation)
	if !strings.Contains(page, "Sam Reed") || !strings.Contains(page, "<impersonate-banner") {
		t.Fatalf("the timesheets are not Sam's under the banner: %.800s", page)
	}
	day := submitForm.FindStringSubmatch(page)
	token := csrfField.FindStringSubmatch(page)
	if day == nil || token == nil {
		t.Fatalf("no form to submit the timesheet: %s", page)
	}
	form := url.Values{"csrf": {token[1]}}
	// The app's CSRF cookie is readable, so it is the browser's to send.
	res, body := admin.do(http.MethodPost, day[1], form.Encode(), func(r *http.Request) {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Cookie", admin.cookie+"; fieldbook_csrf="+token[1])
	})
	if res.StatusCode != http.StatusSeeOther {
		t.Fatalf("submitting the timesheet: %d %s", res.StatusCode, body)
	}
	admin.back()

	want := "Alice Ng (impersonating Sam Reed): Submitted a timesheet"
	waitFor(t, 3*time.Minute, "the terminal shows the action", func() bool { return strings.Contains(out.String(), want) })
	if n := ch.Count("SELECT count() FROM impersonate.actions WHERE line = '" + want + "'"); n != 1 {
		t.Errorf("ClickHouse has %d such lines", n)
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("Ctrl-C ended the demo with %v", err)
		}
	case <-time.After(2 * time.Minute):
		_ = cmd.Process.Kill()
		t.Error("Ctrl-C does not end the demo")
	}
}
