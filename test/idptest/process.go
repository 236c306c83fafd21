package idptest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// process is a running program, held by its standard input: it ends when the test does, however that ends.
type process struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines *bufio.Scanner
	mu    sync.Mutex // one command at a time
}

// answer is a line of a program's output; see control.mjs.
type answer struct {
	Issuer   string         `json:"issuer"`
	OK       bool           `json:"ok"`
	Error    string         `json:"error"`
	Token    string         `json:"token"`
	Names    []string       `json:"names"`
	Requests map[string]int `json:"requests"`
}

// startWithin is how long a program may take to say that it is there; startTries how often it is started: Node.js has
// been seen to stop at its start for good when many are started at once.
const (
	startWithin = 2 * time.Minute
	startTries  = 3
)

func start(t testing.TB, dir, program, variable string, config any) (p *process, ready answer, err error) {
	for range startTries {
		if p, ready, err = startOnce(t, dir, program, variable, config); err == nil {
			break
		}
	}
	return p, ready, err
}

func startOnce(t testing.TB, dir, program, variable string, config any) (*process, answer, error) {
	value, err := json.Marshal(config)
	if err != nil {
		return nil, answer{}, err
	}
	cmd := exec.Command("node", filepath.Join(dir, program))
	cmd.Env = append(os.Environ(), variable+"="+string(value), "NODE_NO_WARNINGS=1")
	cmd.Stderr = &output{t: t, name: program}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, answer{}, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, answer{}, err
	}
	if err := cmd.Start(); err != nil {
		return nil, answer{}, err
	}
	p := &process{cmd: cmd, stdin: stdin, lines: bufio.NewScanner(stdout)}
	p.lines.Buffer(nil, 1<<20)
	late := time.AfterFunc(startWithin, func() { _ = cmd.Process.Kill() })
	ready, err := p.read()
	late.Stop()
	if err != nil || ready.Issuer == "" {
		p.stop()
		return nil, answer{}, fmt.Errorf("starting %s: %w", program, err)
	}
	return p, ready, nil
}

func (p *process) read() (answer, error) {
	var a answer
	if !p.lines.Scan() {
		if err := p.lines.Err(); err != nil {
			return a, err
		}
		return a, io.ErrUnexpectedEOF
	}
	if err := json.Unmarshal(p.lines.Bytes(), &a); err != nil {
		return a, fmt.Errorf("reading %q: %w", p.lines.Text(), err)
	}
	return a, nil
}

func (p *process) command(name string, args map[string]any) (answer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	line := map[string]any{"cmd": name}
	for k, v := range args {
		line[k] = v
	}
	b, err := json.Marshal(line)
	if err != nil {
		return answer{}, err
	}
	if _, err := p.stdin.Write(append(b, '\n')); err != nil {
		return answer{}, err
	}
	a, err := p.read()
	if err == nil && !a.OK {
		err = fmt.Errorf("command %s: %s", name, a.Error)
	}
	return a, err
}

func (p *process) stop() {
	_ = p.stdin.Close()
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait() // killed: its exit status says nothing
}

// output writes a program's complaints to the test's log. They come in whole lines, mostly.
type output struct {
	t    testing.TB
	name string
}

func (o *output) Write(b []byte) (int, error) {
	// What the library says at every start, about running it in production.
	if !bytes.Contains(b, []byte("oidc-provider WARNING")) {
		o.t.Logf("%s: %s", o.name, b)
	}
	return len(b), nil
}
