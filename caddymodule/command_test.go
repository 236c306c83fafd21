package caddymodule

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/seed-240d5494/caddy-impersonate/test/chtest"
)

// execute runs a command of the group and returns what it printed and its exit code.
func execute(t *testing.T, cmd *cobra.Command, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	return executeWith(t, "", cmd, args...)
}

// executeWith does so with a standard input.
func executeWith(t *testing.T, stdin string, cmd *cobra.Command, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	root := &cobra.Command{Use: "impersonate"}
	root.AddCommand(cmd)
	var out, errs bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&errs)
	root.SetIn(strings.NewReader(stdin))
	root.SetArgs(append([]string{cmd.Name()}, args...))
	err := root.ExecuteContext(t.Context())
	switch {
	case err == nil:
	case strings.HasPrefix(err.Error(), "exiting with status 3"):
		code = exitPending
	case strings.HasPrefix(err.Error(), "exiting with status 4"):
		code = exitRefused
	case strings.HasPrefix(err.Error(), "exiting with status 5"):
		code = exitUnmet
	case strings.HasPrefix(err.Error(), "exiting with status 6"):
		code = exitFound
	default:
		code = 1
	}
	return out.String(), errs.String(), code
}

// writeCaddyfile writes one with these lines beside oidc and returns its path.
func writeCaddyfile(t *testing.T, lines string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "Caddyfile")
	content := `{
	impersonate {
		oidc {
			issuer https://idp.example.com
			client_id gateway
			client_secret secret
		}
` + lines + `
	}
}
`
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestUsersList lists the accounts of the configuration's sources, joined, and touches nothing.
func TestUsersList(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	users := filepath.Join(dir, "users.yaml")
	if err := os.WriteFile(users, []byte(usersYAML+"  - {id: u9, username: former, name: Frank Otto, active: false}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	config := writeCaddyfile(t, "directory file "+users+"\ndirectory seen")

	out, errs, code := execute(t, usersCommand(), "list", "--config", config)
	if lines := strings.Split(strings.TrimSpace(out), "\n"); code != 0 || len(lines) != 5 ||
		!strings.HasPrefix(lines[0], "USERNAME") || strings.Join(strings.Fields(lines[2])[:5], " ") != "former Frank Otto no file" {
		t.Errorf("code %d:\n%s%s", code, out, errs)
	}
	if !strings.Contains(errs, "Left out: who has logged in is in the state") {
		t.Errorf("it does not say what is left out: %s", errs)
	}

	out, _, code = execute(t, usersCommand(), "list", "--config", config, "--q", "ali", "--json")
	var u struct {
		Username string
		Groups   []string
		Active   bool
	}
	if err := json.Unmarshal([]byte(out), &u); err != nil || code != 0 || u.Username != "alice" || len(u.Groups) != 1 || !u.Active {
		t.Errorf("code %d, %v: %s", code, err, out)
	}

	out, _, _ = execute(t, usersCommand(), "list", "--config", config, "--limit", "2")
	if n := strings.Count(out, "\n"); n != 3 {
		t.Errorf("limited to 2: %s", out)
	}

	if err := os.WriteFile(users, []byte("users: ["), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, errs, code = execute(t, usersCommand(), "list", "--config", config); code != 1 || !strings.Contains(errs, "users.yaml:1") {
		t.Errorf("a broken file: code %d, %s", code, errs)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("it made %v, %v", entries, err)
	}
}

// TestSchemaCommands: plan says what apply will do and exits with 3, until it is done.
func TestSchemaCommands(t *testing.T) {
	t.Setenv("CLICKHOUSE_TEST_DSN", chtest.Start(t).DSN)
	config := writeCaddyfile(t, "audit {\n\t\t\tclickhouse {env.CLICKHOUSE_TEST_DSN}\n\t\t}")

	out, errs, code := execute(t, schemaCommand(), "plan", "--config", config)
	if code != exitPending || !strings.Contains(out, "CREATE TABLE") {
		t.Fatalf("plan of an empty server: code %d\n%s%s", code, out, errs)
	}
	out, errs, code = execute(t, schemaCommand(), "apply", "--config", config)
	if code != 0 || !strings.Contains(out, "is at version") {
		t.Fatalf("apply: code %d\n%s%s", code, out, errs)
	}
	for _, what := range []string{"plan", "apply"} {
		out, errs, code = execute(t, schemaCommand(), what, "--dsn", "{env.CLICKHOUSE_TEST_DSN}")
		if code != 0 || !strings.HasPrefix(out, "Nothing to apply") {
			t.Errorf("%s after apply: code %d\n%s%s", what, code, out, errs)
		}
	}
}

// TestSchemaRefuses: what can't be done exits with 1, and tells no password.
func TestSchemaRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"no clickhouse": {[]string{"apply", "--config", writeCaddyfile(t, "")}, "names no clickhouse"},
		"no file":       {[]string{"apply", "--config", "/not/there"}, "/not/there"},
		"bad dsn":       {[]string{"plan", "--dsn", "http://u:hunter2@ch:8123"}, "starts with neither"},
		"not answering": {[]string{"plan", "--dsn", "clickhouse://u:hunter2@127.0.0.1:1/x", "--timeout", "5s"}, "refused"},
		"unresolvable":  {[]string{"plan", "--dsn", "clickhouse://u:{env.NOT_SET_AT_ALL}@ch"}, "--dsn: evaluated placeholder"},
	} {
		out, errs, code := execute(t, schemaCommand(), tt.args...)
		if code != 1 || !strings.Contains(errs, tt.want) || strings.Contains(out+errs, "hunter2") {
			t.Errorf("%s: code %d\n%s%s", name, code, out, errs)
		}
	}
}

func TestHealthCommand(t *testing.T) {
	status := http.StatusOK
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/.impersonate/readyz" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		w.WriteHeader(status)
	}))
	defer srv.Close()
	if _, errs, code := execute(t, healthCommand(), "--url", srv.URL+"/"); code != 0 {
		t.Errorf("ready: code %d, %s", code, errs)
	}
	status = http.StatusServiceUnavailable
	if _, errs, code := execute(t, healthCommand(), "--url", srv.URL); code != 1 || !strings.Contains(errs, "503") {
		t.Errorf("not ready: code %d, %s", code, errs)
	}
}
