package demo

import (
	"bytes"
	_ "embed"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

// files are what the demo's Caddyfile and directory are made of.
type files struct {
	Origins         []string
	Issuer, Secret  string
	App             string
	Host            string
	ClickHouse      string
	Data, UsersFile string
}

//go:embed demo.caddyfile
var caddyfileText string

var caddyfileTemplate = template.Must(template.New("demo.caddyfile").Funcs(template.FuncMap{"join": strings.Join}).Parse(caddyfileText))

// Bind is the address to listen on: this machine only, unless another host was asked for.
func (f files) Bind() string {
	if ip := net.ParseIP(f.Host); ip != nil {
		return f.Host
	}
	return "127.0.0.1"
}

// write puts the directory file and the Caddyfile below data, for the person to read and change, and returns the
// Caddyfile.
func write(data string, f files) ([]byte, error) {
	f.Data, f.UsersFile = data, filepath.Join(data, "users.yaml")
	if err := os.WriteFile(f.UsersFile, usersYAML(), 0o600); err != nil {
		return nil, fmt.Errorf("writing the directory: %w", err)
	}
	var b bytes.Buffer
	if err := caddyfileTemplate.Execute(&b, f); err != nil {
		return nil, fmt.Errorf("making the Caddyfile: %w", err)
	}
	if err := os.WriteFile(filepath.Join(data, "Caddyfile"), b.Bytes(), 0o600); err != nil {
		return nil, fmt.Errorf("writing the Caddyfile: %w", err)
	}
	return b.Bytes(), nil
}

func usersYAML() []byte {
	var b bytes.Buffer
	b.WriteString("# Who exists. Change it while the demo runs: it is read again at once.\nusers:\n")
	for _, a := range append(append([]account(nil), accounts...), others...) {
		fmt.Fprintf(&b, "  - id: %s\n    username: %s\n    name: %q\n    email: %s\n    groups: [%s]\n", a.id, a.username, a.name, a.email(), strings.Join(a.groups, ", "))
		if a.inactive {
			b.WriteString("    active: false\n")
		}
		fmt.Fprintf(&b, "    attributes:\n      team: %q\n", a.team)
	}
	return b.Bytes()
}
