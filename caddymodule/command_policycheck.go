package caddymodule

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
)

const (
	maxExpectations = 4 << 20 // bytes
	allowed         = "allowed"
)

// expectation is a row of the table.
type expectation struct {
	question `yaml:",inline"`
	// Name says what it is about; may be empty.
	Name string `yaml:"name"`
	// Result is allowed, or the code of a refusal.
	Result string `yaml:"result"`
	// What else is expected of one that is allowed; empty: anything.
	Policy   string   `yaml:"policy"`
	Mode     string   `yaml:"mode"` // is offered
	Requires []string `yaml:"requires"`

	line int
}

// readExpectations reads the table; the errors name file and line.
func readExpectations(path string) ([]expectation, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxExpectations+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxExpectations {
		return nil, fmt.Errorf("%s: it is larger than %d MiB; split it", path, maxExpectations>>20)
	}
	var table struct {
		Expect []expectation `yaml:"expect"`
	}
	dec := yaml.NewDecoder(bytes.NewReader(b))
	dec.KnownFields(true)
	if err := dec.Decode(&table); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var lines struct {
		Expect []yaml.Node `yaml:"expect"`
	}
	if err := yaml.Unmarshal(b, &lines); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(table.Expect) == 0 {
		return nil, fmt.Errorf("%s: it expects nothing; write a list named expect", path)
	}
	var errs []error
	for i := range table.Expect {
		e := &table.Expect[i]
		e.line = lines.Expect[i].Line
		add := func(format string, args ...any) {
			errs = append(errs, fmt.Errorf("%s:%d: %w", path, e.line, fmt.Errorf(format, args...)))
		}
		switch {
		case e.Actor == "" || e.Target == "":
			add("actor and target: both are needed; write their usernames")
		case e.Result == "":
			add("result: it is missing; write %s, or the code of a refusal", allowed)
		case e.Result != allowed && !policy.IsRefusal(e.Result):
			add("result %q: no such refusal; write %s, or one of those in the documentation", e.Result, allowed)
		case e.Result != allowed && (e.Policy != "" || e.Mode != "" || len(e.Requires) > 0):
			add("policy, mode and requires: only what is allowed has them")
		}
	}
	return table.Expect, errors.Join(errs...)
}

// outcomeOf is what was decided of a row, and whether it is as expected; but says what is not.
type outcomeOf struct {
	Line   int    `json:"line"`
	Name   string `json:"name,omitempty"`
	Actor  string `json:"actor"`
	Target string `json:"target"`
	Want   string `json:"want"`
	Got    string `json:"got"`
	OK     bool   `json:"ok"`
}

func (e *expectation) against(d policy.Decision) outcomeOf {
	o := outcomeOf{Line: e.line, Name: e.Name, Actor: e.Actor, Target: e.Target, Want: e.Result, Got: allowed}
	if d.Refusal != nil {
		o.Got = d.Refusal.Code
	} else {
		if e.Policy != "" {
			o.Want, o.Got = o.Want+" by "+e.Policy, o.Got+" by "+d.Policy
		}
		if e.Mode != "" {
			o.Want += ", " + e.Mode
			if slices.Contains(d.Modes, e.Mode) {
				o.Got += ", " + e.Mode
			} else {
				o.Got += fmt.Sprint(", ", d.Modes)
			}
		}
		if e.Requires != nil {
			want, got := slices.Clone(e.Requires), requires(&d)
			slices.Sort(want)
			slices.Sort(got)
			o.Want, o.Got = fmt.Sprint(o.Want, ", requires ", want), fmt.Sprint(o.Got, ", requires ", got)
		}
	}
	o.OK = o.Want == o.Got
	return o
}

func checkPolicy(cmd *cobra.Command, path string) (int, error) {
	asJSON, err := cmd.Flags().GetBool("json")
	if err != nil {
		return 0, err
	}
	table, err := readExpectations(path)
	if err != nil {
		return 0, err
	}
	app, d, done, err := loadPeople(cmd)
	if err != nil {
		return 0, err
	}
	defer done()
	now := app.clock.Now()
	rows := make([]outcomeOf, 0, len(table))
	failed := 0
	for i := range table {
		e := &table[i]
		in, err := e.input(d, now)
		if err != nil {
			return 0, fmt.Errorf("%s:%d: %w", path, e.line, err)
		}
		o := e.against(app.policy.Decide(in))
		if !o.OK {
			failed++
		}
		rows = append(rows, o)
	}
	if asJSON {
		enc := json.NewEncoder(cmd.OutOrStdout())
		enc.SetIndent("", "  ")
		err = enc.Encode(struct {
			Rows   int         `json:"rows"`
			Failed int         `json:"failed"`
			Checks []outcomeOf `json:"checks"`
		}{len(rows), failed, rows})
	} else {
		err = printOutcomes(cmd.OutOrStdout(), path, rows, failed)
	}
	switch {
	case err != nil:
		return 0, err
	case failed > 0:
		return exitUnmet, nil
	}
	return exitDone, nil
}

func printOutcomes(to io.Writer, path string, rows []outcomeOf, failed int) error {
	if failed == 0 {
		fmt.Fprintf(to, "All %d as expected.\n", len(rows))
		return nil
	}
	t := &table{head: []string{"WHERE", "ACTOR", "TARGET", "EXPECTED", "IS", "ABOUT"}, whole: []string{"WHERE", "EXPECTED", "IS"}, below: []string{"ABOUT"}}
	for _, o := range rows {
		if !o.OK {
			t.add(fmt.Sprintf("%s:%d", path, o.Line), o.Actor, o.Target, o.Want, o.Got, o.Name)
		}
	}
	if err := t.print(to, widthOf(to)); err != nil {
		return err
	}
	fmt.Fprintf(to, "%d of %d are not as expected.\n", failed, len(rows))
	return nil
}
