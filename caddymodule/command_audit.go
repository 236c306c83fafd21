package caddymodule

import "github.com/spf13/cobra"

// auditCommand is the parent of what reads and proves the audit. Each of them is in a file of its own.
func auditCommand() *cobra.Command {
	audit := &cobra.Command{
		Use:   "audit",
		Short: "Reads, exports and proves the audit",
	}
	audit.AddCommand(auditRotateCommand(), auditVerifyCommand(), auditRefusedCommand(), auditPruneCommand())
	audit.AddCommand(auditReadCommands()...)
	return audit
}
