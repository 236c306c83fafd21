package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// cpuTime is the CPU time, user and system, that a process has had in all its threads; in steps of 10 ms.
func cpuTime(pid int) (time.Duration, error) {
	if runtime.GOOS == "linux" {
		return procTime(pid)
	}
	out, err := exec.Command("ps", "-o", "time=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return 0, fmt.Errorf("asking ps for CPU time: %w", err)
	}
	return parseTime(strings.TrimSpace(string(out)))
}

// procTime reads fields 14 and 15 of proc(5)'s stat: clock ticks, of which Linux always tells 100 a second.
func procTime(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:]) // the name before may hold anything
	if len(fields) < 13 {
		return 0, errors.New("/proc has a stat of another form")
	}
	var ticks int
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(string(f))
		if err != nil {
			return 0, fmt.Errorf("reading CPU time: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

// parseTime reads ps's [[hours:]minutes:]seconds.
func parseTime(s string) (time.Duration, error) {
	var total float64
	for part := range strings.SplitSeq(s, ":") {
		n, err := strconv.ParseFloat(part, 64)
		if err != nil {
			return 0, fmt.Errorf("reading CPU time %q: %w", s, err)
		}
		total = total*60 + n
	}
	return time.Duration(total * float64(time.Second)), nil
}
