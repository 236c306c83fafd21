package caddymodule

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// group is the commands below those of Caddy.
func group() *cobra.Command {
	impersonate := &cobra.Command{Use: "impersonate"}
	impersonate.AddCommand(commands()...)
	tidy(impersonate)
	root := &cobra.Command{Use: "caddy", SilenceUsage: true}
	root.AddCommand(impersonate)
	return root
}

// TestTypingErrors: a command or an argument that is none is refused, with what would be right, and never passed over.
func TestTypingErrors(t *testing.T) {
	for line, want := range map[string]string{
		"audit verifi":          `impersonate audit has no command "verifi"; did you mean verify?`,
		"audit zzzzzzzz":        "--help lists those it has",
		"audits":                "did you mean audit?",
		"users lst":             "did you mean list?",
		"audit requests alice":  `"alice": it takes no arguments, only flags`,
		"audit verify audit.db": "it takes no arguments, only flags",
		"audit show":            "give one argument, the impersonation's id: caddy impersonate audit show <id>",
		"users show":            "give one argument, the username",
		"users show a b":        "give one argument, the username",
		"policy check":          "give one argument, the file",
		"audit events --typ x":  "unknown flag: --typ",
	} {
		root := group()
		var out, errs bytes.Buffer
		root.SetOut(&out)
		root.SetErr(&errs)
		root.SetArgs(append([]string{"impersonate"}, strings.Fields(line)...))
		if err := root.ExecuteContext(t.Context()); err == nil || !strings.Contains(errs.String(), want) {
			t.Errorf("%s: %v: %s", line, err, errs.String())
		}
	}
	root := group()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetArgs([]string{"impersonate", "audit"})
	if err := root.ExecuteContext(t.Context()); err != nil || !strings.Contains(out.String(), "verify") {
		t.Errorf("a group alone: %v: %s", err, out.String())
	}
}
