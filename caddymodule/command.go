package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

// Exit codes of the commands, besides 1 for what could not be done.
const (
	exitDone    = 0
	exitPending = 3 // schema plan: something is to be applied
	exitRefused = 4 // policy test: refused
	exitUnmet   = 5 // policy check: not all as expected
	exitFound   = 6 // audit verify: something is not as it was recorded
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "impersonate",
		Short: "The impersonation gateway: demo, health, audit, schema, users",
		Long: `
Works with what the app impersonate keeps and knows: the tables of its audit in ClickHouse, the users of its
directory.

Exit codes: 0 done; 1 it could not be done, and the message says why; 3 (schema plan) something is to be applied; 4
(policy test) refused; 5 (policy check) not all is as expected; 6
(audit verify) something is not as it was recorded.`,
		CobraFunc: func(cmd *cobra.Command) {
			cmd.AddCommand(commands()...)
			tidy(cmd)
		},
	})
}

// commands are those of the group.
func commands() []*cobra.Command {
	return []*cobra.Command{auditCommand(), demoCommand(), healthCommand(), schemaCommand(), usersCommand(), policyCommand()}
}

// tidy makes the help of a command and those below it fit a terminal, and groups of commands refuse what is none of theirs: a
// script with a typing error must not go on as if it had been done.
func tidy(cmd *cobra.Command) {
	cmd.Long = reflow(cmd.Long)
	cmd.SetUsageTemplate(strings.ReplaceAll(cmd.UsageTemplate(), ".FlagUsages |", fmt.Sprintf(".FlagUsagesWrapped %d |", helpWidth)))
	switch {
	case cmd.HasSubCommands():
		cmd.DisableFlagsInUseLine = true
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return run(func(*cobra.Command) (int, error) { return 0, noCommand(cmd, args[0]) })(cmd, nil)
		}
	case cmd.Args == nil:
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("%.40q: it takes no arguments, only flags", args[0])
			}
			return nil
		}
	}
	for _, c := range cmd.Commands() {
		tidy(c)
	}
}

func noCommand(group *cobra.Command, name string) error {
	group.SuggestionsMinimumDistance = 2
	if near := group.SuggestionsFor(name); len(near) > 0 {
		return fmt.Errorf("%s has no command %.40q; did you mean %s?", group.CommandPath(), name, strings.Join(near, " or "))
	}
	return fmt.Errorf("%s has no command %.40q; --help lists those it has", group.CommandPath(), name)
}

// named takes one argument, and says what it is when it is not there.
func named(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return fmt.Errorf("give one argument, %s: %s", what, cmd.UseLine())
		}
		return nil
	}
}

// run makes f a command's function: its errors are printed as they are, without the usage, and become the exit code.
func run(f func(cmd *cobra.Command) (int, error)) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		cmd.SilenceUsage, cmd.SilenceErrors = true, true
		code, err := f(cmd)
		if err != nil {
			cmd.PrintErrln("Error:", err)
			return err // the program exits with 1
		}
		// Caddy keeps its type of an exit code to itself; this is the way to one.
		return caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) { return code, nil })(cmd, nil)
	}
}

func configFlags(cmd *cobra.Command) {
	cmd.Flags().StringP("config", "c", "", "Configuration file (default: Caddyfile in this directory)")
	cmd.Flags().StringP("adapter", "a", "", "Name of config adapter to apply")
}

// configuration is what commands use of a configuration file.
type configuration struct {
	Admin *caddy.AdminConfig `json:"admin"`
	Apps  struct {
		Impersonate json.RawMessage `json:"impersonate"`
	} `json:"apps"`
}

func readConfiguration(cmd *cobra.Command) (*configuration, error) {
	file, err := cmd.Flags().GetString("config")
	if err != nil {
		return nil, err
	}
	adapter, err := cmd.Flags().GetString("adapter")
	if err != nil {
		return nil, err
	}
	raw, _, _, err := caddycmd.LoadConfig(file, adapter)
	if err != nil {
		return nil, err
	}
	if len(raw) == 0 {
		return nil, errors.New("no configuration: name one with --config")
	}
	c := &configuration{}
	if err := json.Unmarshal(caddy.RemoveMetaFields(raw), c); err != nil {
		return nil, fmt.Errorf("reading configuration: %w", err)
	}
	if c.Apps.Impersonate == nil {
		return nil, errors.New("the configuration has no app impersonate")
	}
	return c, nil
}

// app provisions the app impersonate, and nothing else of the configuration. The caller calls done.
func (c *configuration) app() (app *App, done func(), err error) {
	ctx, err := caddy.ProvisionContext(&caddy.Config{
		Admin:   &caddy.AdminConfig{Disabled: true},
		AppsRaw: caddy.ModuleMap{appID: c.Apps.Impersonate},
	})
	if err != nil {
		return nil, nil, err
	}
	module, err := ctx.App(appID)
	if err != nil {
		return nil, nil, err
	}
	app, ok := module.(*App)
	if !ok {
		return nil, nil, notA(module, appID, "App")
	}
	return app, func() { _ = app.Cleanup() }, nil
}

// journal is the directory of the configuration's journal.
func (c *configuration) journal() (string, error) {
	app, done, err := c.app()
	if err != nil {
		return "", err
	}
	defer done()
	return app.Audit.Journal, nil
}

// loadApp provisions the app impersonate of a command's configuration. The caller calls done.
func loadApp(cmd *cobra.Command) (app *App, done func(), err error) {
	c, err := readConfiguration(cmd)
	if err != nil {
		return nil, nil, err
	}
	return c.app()
}
