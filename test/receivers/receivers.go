// Package receivers runs what notices and checkpoints are sent to in tests: a mail server, a syslog daemon, and a webhook's receiver that checks
// signatures with the scheme's own library. Each is a process of its own that can be killed and started again.
package receivers

import (
	"bufio"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/test/freeport"
	"github.com/seed-240d5494/caddy-impersonate/test/idptest"
)

//go:embed *.mjs package.json package-lock.json
var files embed.FS

// Config is what a receiver is told; see the programs.
type Config struct {
	Port int `json:"port,omitempty"`
	// Of the mail server.
	Key      string `json:"key,omitempty"`
	Cert     string `json:"cert,omitempty"`
	Implicit bool   `json:"implicit,omitempty"`
	User     string `json:"user,omitempty"`
	Pass     string `json:"pass,omitempty"`
	Refuse   string `json:"refuse,omitempty"` // an address that does not exist
	Defer    string `json:"defer,omitempty"`  // one that is to be tried later
	// Of the webhook's receiver.
	Secret   string `json:"secret,omitempty"`
	Statuses []int  `json:"statuses,omitempty"` // answered in turn, then 204
	Flood    int    `json:"flood,omitempty"`    // bytes of an answer
	// Of the SCIM service provider.
	Token string `json:"token,omitempty"`
}

// Got is what came.
type Got struct {
	From string   `json:"from"`
	To   []string `json:"to"`
	TLS  bool     `json:"tls"`
	User string   `json:"user"`
	Raw  []byte   `json:"raw"`

	Path     string            `json:"path"`
	Headers  map[string]string `json:"headers"`
	Body     string            `json:"body"`
	Verified bool              `json:"verified"`
	Error    string            `json:"error"`
}

// Header is one of a webhook's headers.
func (g *Got) Header(name string) string { return g.Headers[strings.ToLower(name)] }

// Receiver is a running program. It keeps its port over Kill and Start.
type Receiver struct {
	t       testing.TB
	program string
	Config  Config
	Got     chan Got
	mu      sync.Mutex
	cmd     *exec.Cmd
	stdin   io.Closer
	done    chan struct{}
}

// Mail starts a mail server.
func Mail(t testing.TB, c Config) *Receiver { return run(t, "smtp.mjs", c) }

// Webhook starts a receiver of webhooks.
func Webhook(t testing.TB, c Config) *Receiver { return run(t, "webhook.mjs", c) }

// SCIM starts a service provider, below /scim/v2. It says nothing of what it gets.
func SCIM(t testing.TB, c Config) *Receiver { return run(t, "scim.mjs", c) }

func run(t testing.TB, program string, c Config) *Receiver {
	t.Helper()
	if c.Port == 0 { // one that is still its own when it was killed
		if _, err := fmt.Sscanf(freeport.Addr(t), "127.0.0.1:%d", &c.Port); err != nil {
			t.Fatal(err)
		}
	}
	r := &Receiver{t: t, program: program, Config: c, Got: make(chan Got, 10_000)}
	r.Start()
	t.Cleanup(r.Kill)
	return r
}

// Addr is 127.0.0.1 and its port.
func (r *Receiver) Addr() string { return fmt.Sprintf("127.0.0.1:%d", r.Config.Port) }

// Start starts it again after Kill.
func (r *Receiver) Start() {
	r.t.Helper()
	dir := install(r.t)
	var err error
	for range 3 { // Node.js has been seen to stop at its start for good when many are started at once
		if err = r.start(dir); err == nil {
			return
		}
	}
	r.t.Fatalf("starting %s: %v", r.program, err)
}

func (r *Receiver) start(dir string) error {
	config, err := json.Marshal(r.Config)
	if err != nil {
		return err
	}
	cmd := exec.Command("node", filepath.Join(dir, r.program))
	cmd.Env = append(os.Environ(), "RECEIVER="+string(config), "NODE_NO_WARNINGS=1")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 4<<20)
	late := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
	var ready struct{ Port int }
	ok := lines.Scan() && json.Unmarshal(lines.Bytes(), &ready) == nil && ready.Port > 0
	late.Stop()
	if !ok {
		_ = cmd.Process.Kill()
		return fmt.Errorf("it did not say where it listens: %w", cmd.Wait())
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for lines.Scan() {
			var g Got
			if err := json.Unmarshal(lines.Bytes(), &g); err != nil {
				r.t.Errorf("%s said %q", r.program, lines.Text())
				continue
			}
			r.Got <- g
		}
	}()
	r.mu.Lock()
	r.Config.Port, r.cmd, r.stdin, r.done = ready.Port, cmd, stdin, done
	r.mu.Unlock()
	return nil
}

// Kill kills it with SIGKILL; what it had taken is in Got.
func (r *Receiver) Kill() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cmd == nil {
		return
	}
	_ = r.cmd.Process.Kill()
	<-r.done
	_ = r.stdin.Close()
	_ = r.cmd.Wait() // killed: its exit status says nothing
	r.cmd = nil
}

// Next is what came next; the test fails when nothing does.
func (r *Receiver) Next() Got {
	r.t.Helper()
	select {
	case g := <-r.Got:
		return g
	case <-time.After(3 * time.Minute):
		r.t.Fatal("nothing came within three minutes")
		panic("not reached")
	}
}

var (
	once    sync.Once
	dirOf   string
	dirFail error
)

// install puts the programs and their libraries into a cache directory, once per machine and lock file.
func install(t testing.TB) string {
	t.Helper()
	once.Do(func() { dirOf, dirFail = installFiles() })
	if dirFail != nil {
		t.Fatalf("installing the receivers (node 20 and npm are needed): %v", dirFail)
	}
	return dirOf
}

func installFiles() (string, error) {
	root, err := os.UserCacheDir()
	if err != nil {
		root = os.TempDir()
	}
	names, err := fs.Glob(files, "*")
	if err != nil {
		return "", err
	}
	h := sha256.New()
	for _, name := range names {
		b, err := files.ReadFile(name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s %d\n%s", name, len(b), b)
	}
	dir := filepath.Join(root, "caddy-impersonate", "receivers-"+hex.EncodeToString(h.Sum(nil))[:16])
	return dir, idptest.InstallNPM(dir, func() error {
		for _, name := range names {
			b, err := files.ReadFile(name)
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
				return err
			}
		}
		return nil
	})
}
