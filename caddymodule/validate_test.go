package caddymodule

import (
	"encoding/base64"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// validate does what `caddy validate` does.
func validate(t *testing.T, caddyfile string) error {
	t.Helper()
	raw := adapt(t, caddyfile)
	if !strings.HasPrefix(raw, "{") {
		t.Fatal(raw)
	}
	var cfg *caddy.Config
	if err := caddy.StrictUnmarshalJSON([]byte(raw), &cfg); err != nil {
		t.Fatal(err)
	}
	cfg.Admin = &caddy.AdminConfig{Disabled: true}
	return caddy.Validate(cfg)
}

// listener counts who connects.
func listener(t *testing.T) (addr string, connections *atomic.Int64) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	connections = new(atomic.Int64)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			c.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return l.Addr().String(), connections
}

// TestValidateHasNoEffects: `caddy validate` of a configuration with everything in it dials nothing and creates nothing,
// nor does loading a configuration that turns out to be wrong.
func TestValidateHasNoEffects(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv("CH_PASSWORD", "secret")
	secret := filepath.Join(t.TempDir(), "oidc")
	if err := os.WriteFile(secret, []byte("from-a-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	servers := map[string]string{} // address by what it is for
	connections := map[string]*atomic.Int64{}
	for _, name := range []string{"oidc", "clickhouse", "ldap", "ldaps", "postgres", "mysql", "smtp", "webhook", "slack"} {
		servers[name], connections[name] = listener(t)
	}
	t.Setenv("SCIM_TOKEN", "0123456789abcdef0123456789abcdef")
	t.Setenv("WEBHOOK_SECRET", "whsec_"+base64.StdEncoding.EncodeToString(make([]byte, 32)))
	t.Setenv("SLACK_URL", "https://"+servers["slack"]+"/services/T0/B0/x")
	err := validate(t, `{
	impersonate {
		state sqlite not/there/state.db
		oidc {
			issuer http://`+servers["oidc"]+`/realms/main
			client_id gateway
			client_secret {file.`+secret+`}
		}
		directory file not/there/users.yaml
		directory scim {
			bearer {env.SCIM_TOKEN}
		}
		directory ldap ldap://`+servers["ldap"]+` ldaps://`+servers["ldaps"]+` {
			base ou=people,dc=example,dc=com
			bind cn=reader,dc=example,dc=com
			password {env.CH_PASSWORD}
			start_tls
			groups search ou=groups,dc=example,dc=com
		}
		directory sql postgres://reader:{env.CH_PASSWORD}@`+servers["postgres"]+`/app?sslmode=verify-full {
			query "SELECT login AS username FROM users"
		}
		directory sql mysql://reader:{env.CH_PASSWORD}@`+servers["mysql"]+`/app?tls=true {
			query "SELECT login AS username FROM users"
		}
		directory sql sqlite://`+dir+`/app.db {
			query "SELECT login AS username FROM users"
		}
		directory seen
		notify email smtp://`+servers["smtp"]+` {
			from "Help desk <help@example.com>"
			username gateway
			password {env.CH_PASSWORD}
		}
		notify webhook https://`+servers["webhook"]+`/impersonations {
			secret {env.WEBHOOK_SECRET}
		}
		notify slack {env.SLACK_URL}
		policy support {
			actor group support
			target group fieldworkers
		}
		audit {
			journal not/there/journal
			clickhouse clickhouse://writer:{env.CH_PASSWORD}@`+servers["clickhouse"]+`,nowhere.invalid:9000/impersonate
			sqlite not/there/audit.db
		}
	}
}
http://127.0.0.1:0 {
	impersonate
	reverse_proxy nowhere.invalid:80
}
`)
	if err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("it made %v, %v", entries, err)
	}
	for name, n := range connections {
		if n := n.Load(); n != 0 {
			t.Errorf("it connected to the server of %s, %d times", name, n)
		}
	}
	nodes.Range(func(key, _ any) bool { t.Errorf("the state %v is open", key); return true })
	trails.Range(func(key, _ any) bool { t.Errorf("the journal %v is open", key); return true })
}

// TestValidateRefuses: what only provisioning can find is told with the option's name.
func TestValidateRefuses(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("EMPTY", "")
	const good = `
			issuer https://idp.example.com
			client_id gateway
			client_secret s3cret`
	site := func(options string) string { return "\nhttp://127.0.0.1:0 {\n\timpersonate" + options + "\n}\n" }
	global := func(oidc, more string) string {
		return "{\n\timpersonate {\n\t\toidc {" + oidc + "\n\t\t}\n" + more + "\n\t}\n}\n"
	}
	for name, tt := range map[string]struct{ caddyfile, want string }{
		"no app":              {site(""), "the app impersonate is not configured: write the global option impersonate, with at least oidc"},
		"no oidc":             {"{\n\timpersonate {\n\t\tdirectory seen\n\t}\n}\n", "oidc: not given"},
		"secret not set":      {global(strings.Replace(good, "s3cret", "{env.NOT_SET_AT_ALL}", 1), ""), "oidc client_secret: evaluated placeholder {env.NOT_SET_AT_ALL} is empty"},
		"secret empty":        {global(strings.Replace(good, "s3cret", "{env.EMPTY}", 1), ""), "oidc client_secret: evaluated placeholder {env.EMPTY} is empty"},
		"secret file missing": {global(strings.Replace(good, "s3cret", "{file./not/there}", 1), ""), "oidc client_secret: evaluated placeholder {file./not/there} is empty"},
		"secret unknown":      {global(strings.Replace(good, "s3cret", "{vault.oidc}", 1), ""), "oidc client_secret: unrecognized placeholder {vault.oidc}"},
		"no secret":           {global(strings.Replace(good, "client_secret s3cret", "", 1), ""), "oidc client_secret: missing or empty"},
		"issuer":              {global(strings.Replace(good, "https://", "", 1), ""), `oidc issuer "idp.example.com": does not start with https://`},
		"state at root":       {global(good, "state sqlite /"), `state sqlite "/": is the root of the file system`},
		"file unknown":        {global(good, "directory file {env.NOT_SET_AT_ALL}"), "directory file: evaluated placeholder {env.NOT_SET_AT_ALL} is empty"},
		"clickhouse":          {global(good, "audit {\n\t\t\tclickhouse http://ch:8123\n\t\t}"), "audit clickhouse: the address starts with neither clickhouse:// nor tcp://"},
		"clickhouse database": {global(good, "audit {\n\t\t\tclickhouse clickhouse://u:hunter2@ch:9000/a-b\n\t\t}"), "can't be a database"},
		"header template":     {global(good, "") + site(" {\n\t\tidentity Remote-User {http.request.header.X}\n\t}"), `header "Remote-User": {http.request.header.X} can't be used here`},
		"banner template":     {global(good, "") + site(" {\n\t\tbanner {\n\t\t\ttext {http.request.header.X}\n\t\t}\n\t}"), "compiling the banner's text"},
	} {
		t.Run(name, func(t *testing.T) {
			err := validate(t, tt.caddyfile)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v\nwant   %s", err, tt.want)
			}
			if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the error tells a secret: %v", err)
			}
		})
	}
}

// TestJSONEqualsCaddyfile: what a Caddyfile becomes is read back as the very same, so that nothing can be written in one
// form only.
func TestJSONEqualsCaddyfile(t *testing.T) {
	golden, err := os.ReadFile("testdata/contract_built.caddyfiletest")
	if err != nil {
		t.Fatal(err)
	}
	_, adapted, _ := strings.Cut(string(golden), divider)
	var cfg struct {
		Apps struct {
			Impersonate json.RawMessage `json:"impersonate"`
		} `json:"apps"`
	}
	if err := json.Unmarshal([]byte(adapted), &cfg); err != nil {
		t.Fatal(err)
	}
	var app App
	if err := caddy.StrictUnmarshalJSON(cfg.Apps.Impersonate, &app); err != nil {
		t.Fatal(err)
	}
	again, err := json.MarshalIndent(&app, "\t\t", "\t")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(again), strings.TrimSpace(string(cfg.Apps.Impersonate)); got != want {
		t.Errorf("read back:\n%s\nwant:\n%s", got, want)
	}
}

// TestJSONRefuses: in JSON too nothing unknown or unbuilt passes.
func TestJSONRefuses(t *testing.T) {
	const oidc = `"oidc":{"issuer":"https://idp.example.com","client_id":"a","client_secret":"b"}`
	for name, tt := range map[string]struct{ app, want string }{
		"unknown key":       {`{` + oidc + `,"retention":"400d"}`, `unknown field "retention"`},
		"unknown oidc key":  {`{"oidc":{"prompt":"login"}}`, `unknown field "prompt"`},
		"unknown backend":   {`{` + oidc + `,"state":{"backend":"postgres"}}`, "unknown module: impersonate.state.postgres"},
		"unknown source":    {`{` + oidc + `,"directories":[{"source":"nowhere"}]}`, "unknown module: impersonate.directories.nowhere"},
		"unknown sink":      {`{` + oidc + `,"audit":{"sinks":[{"sink":"kafka"}]}}`, "unknown module: impersonate.sinks.kafka"},
		"unbuilt require":   {`{` + oidc + `,"policies":[{"name":"a","actor":{"users":["a"]},"target":{"users":["b"]},"require":["blood"]}]}`, `require "blood": not known; write reason`},
		"two of a sink":     {`{` + oidc + `,"audit":{"sinks":[{"sink":"sqlite"},{"sink":"sqlite","path":"/x"}]}}`, "there are two sinks of the kind sqlite"},
		"guest key unknown": {`{` + oidc + `,"state":{"backend":"sqlite","dir":"/x"}}`, `unknown field "dir"`},
		"bad duration":      {`{` + oidc + `,"session":{"idle":"soon"}}`, `duration "soon"`},
	} {
		t.Run(name, func(t *testing.T) {
			err := caddy.Validate(&caddy.Config{
				Admin:   &caddy.AdminConfig{Disabled: true},
				AppsRaw: caddy.ModuleMap{appID: json.RawMessage(tt.app)},
			})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v\nwant   %s", err, tt.want)
			}
		})
	}
}
