package caddymodule

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// healthWithin bounds a health check.
const healthWithin = 5 * time.Second

func healthCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "health --url <origin>",
		Short: "Asks a running gateway whether it is ready",
		Long: `
Asks /.impersonate/readyz of a protected site and exits with 0 when the gateway is ready, else with 1. For container health
checks, where there is no other program to ask with.`,
		RunE: run(runHealth),
	}
	cmd.Flags().String("url", "http://localhost", "Origin of a protected site")
	return cmd
}

func runHealth(cmd *cobra.Command) (int, error) {
	origin, err := cmd.Flags().GetString("url")
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), healthWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(origin, "/")+"/.impersonate/readyz", nil)
	if err != nil {
		return 0, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if err != nil {
		return 0, err
	}
	if res.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("not ready (%s): %s", res.Status, strings.TrimSpace(string(body)))
	}
	cmd.Println(strings.TrimSpace(string(body)))
	return exitDone, nil
}
