package matrix

import (
	"bytes"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"
)

// startWithin is how long a program may take to serve on a busy machine.
const startWithin = 5 * time.Minute

// run starts a program and waits until it is ready. It is sent stop when the test ends, and what it said is shown
// when the test failed.
func run(t *testing.T, name string, cmd *exec.Cmd, stop syscall.Signal, ready func() bool) {
	t.Helper()
	said := &tail{}
	cmd.Stdout, cmd.Stderr = said, said
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting %s (test/setup.sh installs what is needed): %v", name, err)
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(stop)
		select {
		case <-done:
		case <-time.After(20 * time.Second):
		}
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // and what it started
		<-done
		if t.Failed() {
			t.Logf("%s said:\n%s", name, said)
		}
	})
	waitFor(t, startWithin, name+" is ready", func() bool {
		select {
		case <-done:
			t.Fatalf("%s ended:\n%s", name, said)
		default:
		}
		return ready()
	}, func() string { return "it said:\n" + said.String() })
}

// finish runs a program to its end.
func finish(t *testing.T, name string, cmd *exec.Cmd) {
	t.Helper()
	said := &tail{}
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting %s (test/setup.sh installs what is needed): %v", name, err)
	}
	over := time.AfterFunc(startWithin, func() { _ = cmd.Process.Kill() })
	defer over.Stop()
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, said)
	}
}

// environ is the environment with more in it.
func environ(more ...string) []string { return append(os.Environ(), more...) }

// tail keeps the last of what a program says.
type tail struct {
	mu sync.Mutex
	b  bytes.Buffer
}

const tailSize = 8 << 10

func (l *tail) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.Write(p)
	if over := l.b.Len() - 2*tailSize; over > 0 {
		l.b.Next(over + tailSize)
	}
	return len(p), nil
}

func (l *tail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.b.Bytes()
	return string(b[max(0, len(b)-tailSize):])
}

// waitFor waits on a condition; why tells what is amiss.
func waitFor(t *testing.T, most time.Duration, what string, ok func() bool, why ...func() string) {
	t.Helper()
	deadline := time.NewTimer(most)
	defer deadline.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			reason := ""
			for _, w := range why {
				reason += "; " + w()
			}
			t.Fatalf("not within %v: %s%s", most, what, reason)
		case <-tick.C:
		}
	}
}
