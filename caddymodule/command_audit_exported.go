package caddymodule

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

// tellWithin bounds what the running gateway may take to record that a command exports.
const tellWithin = 10 * time.Second

// notice has the running gateway record what a command exports. The audit itself is read without it, so where there is none, the
// export is made all the same, and whoever makes it is told that it leaves no event.
type notice struct {
	exported
	cmd     *cobra.Command
	address string // of the administration endpoint; empty: the beginning was not recorded
}

// announce has the beginning recorded, and says if it can't be.
func (r *reading) announce(ctx context.Context, e exported) *notice {
	n := &notice{exported: e, cmd: r.cmd}
	n.State = audit.ExportBegun
	address, journal, err := r.gateway()
	if err != nil {
		n.unrecorded("no gateway was asked: %v", err)
		return n
	}
	n.Journal, n.Source = journal, r.source()
	n.OSUser, n.Sudo = osUser(), firstBytes(os.Getenv("SUDO_USER"))
	var refused *refusedError
	switch err := n.tell(ctx, address); {
	case err == nil:
		n.address = address
	case errors.As(err, &refused):
		n.unrecorded("the gateway at %s did not take it: %v", address, err)
	default:
		n.unrecorded("no gateway was reached at %s: %v", address, err)
	}
	return n
}

func (n *notice) unrecorded(why string, args ...any) {
	n.cmd.PrintErrln(plain("No event was recorded: " + fmt.Sprintf(why, args...)))
}

// end has the end recorded, where the beginning was. about is how much it was.
func (n *notice) end(ctx context.Context, err error, rows map[string]int, size int) {
	if n.address == "" {
		return
	}
	n.State, n.Rows, n.Bytes = audit.ExportEnd(err), rows, size
	if err := n.tell(context.WithoutCancel(ctx), n.address); err != nil {
		n.cmd.PrintErrln(plain(fmt.Sprintf("The gateway at %s recorded the beginning, but not the end: %v", n.address, err)))
		return
	}
	n.cmd.PrintErrf("Recorded by the gateway at %s (event audit_exported).\n", n.address)
}

// refusedError is a gateway's answer that it did not record it.
type refusedError struct{ error }

func (n *notice) tell(ctx context.Context, address string) error {
	body, err := json.Marshal(n.exported)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, tellWithin)
	defer cancel()
	answered := make(chan error, 1)
	go func() { // Caddy's client takes no context
		res, err := caddycmd.AdminAPIRequest(address, http.MethodPost, exportedPath, nil, bytes.NewReader(body))
		if err == nil {
			err = res.Body.Close()
		}
		answered <- answerOf(err)
	}()
	select {
	case err := <-answered:
		return err
	case <-ctx.Done():
		return fmt.Errorf("no answer within %s", tellWithin)
	}
}

// answerOf tells an answer that is a refusal from none, by the text in which Caddy's client has both.
func answerOf(err error) error {
	if err == nil {
		return nil
	}
	_, answer, refused := strings.Cut(err.Error(), "caddy responded with error: ")
	if !refused {
		if _, cause, ok := strings.Cut(err.Error(), exportedPath+"\": "); ok {
			return errors.New(cause)
		}
		return err
	}
	status, body, _ := strings.Cut(answer, ": ")
	var said struct {
		Error string `json:"error"`
	}
	if json.Unmarshal([]byte(body), &said) == nil && said.Error != "" {
		body = said.Error
	}
	return &refusedError{fmt.Errorf("%s: %.300s", status, strings.TrimSpace(body))}
}

// gateway is where the command's configuration has its gateway, and the journal that it records into.
func (r *reading) gateway() (address, journal string, err error) {
	if file, _ := r.cmd.Flags().GetString("config"); file == "" && r.config == nil {
		return "", "", errors.New("name its configuration with --config")
	}
	c, err := r.configuration()
	if err != nil {
		return "", "", err
	}
	if c.Admin != nil && c.Admin.Disabled {
		return "", "", errors.New("the configuration gives it no administration endpoint (admin off)")
	}
	if journal, err = c.journal(); err != nil {
		return "", "", err
	}
	if c.Admin == nil {
		return caddy.DefaultAdminListen, journal, nil
	}
	return cmp.Or(c.Admin.Listen, caddy.DefaultAdminListen), journal, nil
}

// source is what is read, where flags name it: without who reads it, and how they prove that.
func (r *reading) source() string {
	if file, _ := r.cmd.Flags().GetString("sqlite"); file != "" {
		if abs, err := filepath.Abs(file); err == nil {
			file = abs
		}
		return firstBytes("sqlite " + file)
	}
	dsn, _ := r.cmd.Flags().GetString("clickhouse")
	if dsn == "" {
		return ""
	}
	if resolve("--clickhouse", &dsn) != nil {
		return "clickhouse"
	}
	_, where, _ := strings.Cut(dsn, "://")
	where, _, _ = strings.Cut(where, "?")
	return firstBytes("clickhouse " + where[strings.LastIndexByte(where, '@')+1:])
}

// osUser is who runs the command, as the machine knows them.
func osUser() string {
	id := os.Getuid()
	if id < 0 { // there are none on this system
		if u, err := user.Current(); err == nil {
			return firstBytes(u.Username)
		}
		return "unknown"
	}
	if u, err := user.LookupId(strconv.Itoa(id)); err == nil {
		return firstBytes(u.Username)
	}
	return "uid " + strconv.Itoa(id)
}

// firstBytes is as much of a text as the gateway takes, on one line.
func firstBytes(s string) string {
	s = strings.ToValidUTF8(plain(s), "\uFFFD")
	if len(s) <= maxExportedText {
		return s
	}
	return strings.ToValidUTF8(s[:maxExportedText-len("…")], "") + "…"
}
