package caddymodule

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

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
	users.AddCommand(list)
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
	app, done, err := loadApp(cmd)
	if err != nil {
		return 0, err
	}
	defer done()
	ctx, cancel := context.WithTimeout(cmd.Context(), readWithin)
	defer cancel()

	var sources []Source
	for _, opener := range app.directories {
		s, err := opener.OpenSource(ctx, Env{Log: slog.New(slog.DiscardHandler), Clock: app.clock})
		if err != nil {
			cmd.PrintErrln("Left out:", err)
			continue
		}
		if c, ok := s.(io.Closer); ok {
			defer c.Close()
		}
		sources = append(sources, s)
	}
	d := directory.New(directory.Options{Clock: app.clock, Sources: sources})
	if err := d.Refresh(ctx); err != nil {
		return 0, fmt.Errorf("reading the directory: %w", err)
	}

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

// tableOfUsers writes for people.
func tableOfUsers(to io.Writer) func(users []*User, last bool) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "USERNAME\tNAME\tEMAIL\tACTIVE\tGROUPS\tSOURCE")
	return func(users []*User, last bool) error {
		for _, u := range users {
			active := "yes"
			if !u.Active {
				active = "no"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", plain(u.Username), plain(u.Name), plain(u.Email), active, plain(strings.Join(u.Groups, ",")), plain(u.Source))
		}
		if last {
			return w.Flush()
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

// plain is s without what could move a terminal's cursor: accounts come from elsewhere.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '\uFFFD'
		}
		return r
	}, s)
}
