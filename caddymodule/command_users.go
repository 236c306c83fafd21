package caddymodule

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
)

func usersCommand() *cobra.Command {
	users := &cobra.Command{Use: "users", Short: "Looks into the directory"}
	list := &cobra.Command{
		Use:   "list [--config <path> [--adapter <name>]] [--q <text>] [--limit <n>] [--json]",
		Short: "Lists the accounts that the directory's sources know",
		Long: `
Reads the sources of the configuration's directory, joins them as the gateway does, and lists the accounts; with --q those
that have, for each word of it, a word in their name, username or email that begins with it.

Nothing is changed, and the running server is not asked: who has logged in (directory seen) is not in the list.`,
		RunE: run(listUsers),
	}
	configFlags(list)
	list.Flags().StringP("q", "q", "", "Words to search for")
	list.Flags().IntP("limit", "n", 1000, "How many to list at most")
	list.Flags().Bool("json", false, "Print one JSON object a line, for programs")
	show := &cobra.Command{
		Use:   "show <username> [--config <path> [--adapter <name>]] [--json]",
		Short: "Shows an account: its facts, its roles, the policies that name it",
		Args:  named("the username"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return run(func(cmd *cobra.Command) (int, error) { return showUser(cmd, args[0]) })(cmd, args)
		},
	}
	configFlags(show)
	show.Flags().Bool("json", false, "Print JSON, for programs")
	users.AddCommand(list, show, usersRefreshCommand())
	return users
}

// readWithin bounds how long the sources may take to answer a command.
const readWithin = time.Minute

func listUsers(cmd *cobra.Command) (int, error) {
	q, err := cmd.Flags().GetString("q")
	if err != nil {
		return 0, err
	}
	limit, err := cmd.Flags().GetInt("limit")
	if err != nil {
		return 0, err
	}
	asJSON, err := cmd.Flags().GetBool("json")
	if err != nil {
		return 0, err
	}
	_, d, done, err := loadPeople(cmd)
	if err != nil {
		return 0, err
	}
	defer done()

	write := tableOfUsers(cmd.OutOrStdout())
	if asJSON {
		write = linesOfUsers(cmd.OutOrStdout())
	}
	for cursor := ""; limit > 0; {
		page, err := d.Search(q, limit, cursor)
		if err != nil {
			return 0, err
		}
		limit -= len(page.Users)
		if err := write(page.Users, page.Next == "" || limit <= 0); err != nil {
			return 0, err
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	return exitDone, nil
}

// loadPeople provisions the app of a configuration and reads its directory; what can't be read here is said. The caller
// calls done.
func loadPeople(cmd *cobra.Command) (app *App, d *directory.Directory, done func(), err error) {
	app, cleanup, err := loadApp(cmd)
	if err != nil {
		return nil, nil, nil, err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), readWithin)
	closers := []func(){cleanup, cancel}
	done = func() {
		for _, f := range slices.Backward(closers) {
			f()
		}
	}
	var sources []Source
	for _, opener := range app.directories {
		s, err := opener.OpenSource(ctx, Env{Log: slog.New(slog.DiscardHandler), Clock: app.clock})
		if err != nil {
			cmd.PrintErrln("Left out:", err)
			continue
		}
		if c, ok := s.(io.Closer); ok {
			closers = append(closers, func() { _ = c.Close() }) // it was only read
		}
		sources = append(sources, s)
	}
	d = directory.New(directory.Options{Clock: app.clock, Sources: sources})
	if err := d.Refresh(ctx); err != nil {
		done()
		return nil, nil, nil, fmt.Errorf("reading the directory: %w", err)
	}
	return app, d, done, nil
}

// tableOfUsers writes for people.
func tableOfUsers(to io.Writer) func(users []*User, last bool) error {
	t := &table{head: []string{"USERNAME", "NAME", "EMAIL", "ACTIVE", "GROUPS", "SOURCE"}, whole: []string{"USERNAME", "ACTIVE"}, below: []string{"EMAIL", "GROUPS", "SOURCE"}}
	return func(users []*User, last bool) error {
		for _, u := range users {
			active := "yes"
			if !u.Active {
				active = "no"
			}
			t.add(u.Username, u.Name, u.Email, active, strings.Join(u.Groups, ","), u.Source)
		}
		if last {
			return t.print(to, widthOf(to))
		}
		return nil
	}
}

// linesOfUsers writes for programs.
func linesOfUsers(to io.Writer) func(users []*User, last bool) error {
	e := json.NewEncoder(to)
	return func(users []*User, _ bool) error {
		for _, u := range users {
			err := e.Encode(struct {
				ID         string            `json:"id"`
				Username   string            `json:"username"`
				Name       string            `json:"name"`
				Email      string            `json:"email"`
				Groups     []string          `json:"groups"`
				Active     bool              `json:"active"`
				Attributes map[string]string `json:"attributes,omitempty"`
				Source     string            `json:"source"`
			}{u.ID, u.Username, u.Name, u.Email, append([]string{}, u.Groups...), u.Active, u.Attributes, u.Source})
			if err != nil {
				return err
			}
		}
		return nil
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
