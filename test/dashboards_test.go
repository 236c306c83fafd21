package test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// dashboard is of Grafana's JSON what the tests look at.
type dashboard struct {
	UID, Title    string
	SchemaVersion int
	Templating    struct{ List []variable }
	Panels        []panel
}

type variable struct {
	Name, Type string
	Query      string
}

type panel struct {
	ID                       int
	Type, Title, Description string
	GridPos                  struct{ X, Y, W, H int }
	Datasource               struct{ Type, UID string }
	Targets                  []struct {
		Datasource   struct{ Type, UID string }
		RawSQL, Expr string
	}
}

const clickhouseUID = "impersonate-clickhouse"

func dashboards(t *testing.T) map[string]*dashboard {
	t.Helper()
	files, err := filepath.Glob("../deploy/grafana/dashboards/*.json")
	if err != nil || len(files) < 4 {
		t.Fatalf("%d dashboards: %v", len(files), err)
	}
	all := map[string]*dashboard{}
	for _, file := range files {
		d := new(dashboard)
		if err := json.Unmarshal([]byte(read(t, file)), d); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all[filepath.Base(file)] = d
	}
	return all
}

// macros does what the data source and Grafana do with a query before it is sent: all actors and targets are chosen, or some.
func macros(query string, some bool) string {
	const from, to = "toDateTime(1769904000)", "toDateTime(1775001600)" // February and March 2026
	query = regexp.MustCompile(`\$__timeFilter\(([\w.]+)\)`).ReplaceAllString(query, "$1 >= "+from+" AND $1 <= "+to)
	query = regexp.MustCompile(`\$__timeInterval\(([\w.]+)\)`).ReplaceAllString(query, "toStartOfInterval(toDateTime($1), INTERVAL 3600 second)")
	conditional := regexp.MustCompile(`\$__conditionalAll\((.+ IN \(\$\{\w+:singlequote\}\)), \$\w+\)`)
	if some {
		query = conditional.ReplaceAllString(query, "$1")
	}
	query = conditional.ReplaceAllString(query, "1=1")
	return strings.NewReplacer("${actor:singlequote}", "'alice','bob','mallory'", "${target:singlequote}", "'sam','it''s','kim','olivia'",
		"${zone}", "UTC").Replace(query)
}

// TestDashboards runs every query of every dashboard on the engine, and each panel but those that have nothing to show in
// the story shows something.
func TestDashboards(t *testing.T) {
	house, _ := storyDatabases(t)
	quiet := map[string]bool{"Many accounts in a day": true, "Refused again and again": true, "Very long": true}
	uids := map[string]bool{}
	for file, d := range dashboards(t) {
		if d.UID == "" || uids[d.UID] || d.Title == "" || d.SchemaVersion < 36 {
			t.Errorf("%s: uid %q, title %q, schema version %d", file, d.UID, d.Title, d.SchemaVersion)
		}
		uids[d.UID] = true
		for _, v := range d.Templating.List {
			if v.Type != "query" {
				continue
			}
			if got, err := answer(t.Context(), house, v.Query); err != nil || got == "" {
				t.Errorf("%s: variable %s: %q, %v", file, v.Name, got, err)
			}
		}
		for _, p := range d.Panels {
			if p.Title == "" || p.Description == "" || len(p.Targets) == 0 {
				t.Errorf("%s: panel %d has no title, description or query", file, p.ID)
			}
			for _, target := range p.Targets {
				if target.Expr != "" {
					continue
				}
				if p.Datasource.UID != clickhouseUID || target.Datasource.UID != clickhouseUID {
					t.Errorf("%s: %s asks another data source", file, p.Title)
				}
				for _, some := range []bool{false, true} {
					query := macros(target.RawSQL, some)
					if strings.Contains(query, "$") {
						t.Errorf("%s: %s: what is replaced here by nobody: %s", file, p.Title, query)
					}
					got, err := answer(t.Context(), house, query)
					if err != nil {
						t.Errorf("%s: %s: %v\n%s", file, p.Title, err, query)
					} else if got == "" && !quiet[p.Title] {
						t.Errorf("%s: %s: shows nothing\n%s", file, p.Title, query)
					}
				}
			}
		}
	}
}

// TestDashboardsFit: panels lie on Grafana's 24 columns, beside each other.
func TestDashboardsFit(t *testing.T) {
	for file, d := range dashboards(t) {
		taken, ids := map[[2]int]string{}, map[int]bool{}
		for _, p := range d.Panels {
			if ids[p.ID] {
				t.Errorf("%s: two panels have id %d", file, p.ID)
			}
			ids[p.ID] = true
			if p.GridPos.X+p.GridPos.W > 24 || p.GridPos.W < 1 || p.GridPos.H < 1 {
				t.Errorf("%s: %s does not fit", file, p.Title)
			}
			for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
				for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
					if other := taken[[2]int{x, y}]; other != "" {
						t.Fatalf("%s: %s lies over %s", file, p.Title, other)
					}
					taken[[2]int{x, y}] = p.Title
				}
			}
		}
	}
}

// TestDashboardMetrics: the metrics that the dashboards ask for are there.
func TestDashboardMetrics(t *testing.T) {
	known := read(t, "../caddymodule/metrics.go")
	asked := 0
	for file, d := range dashboards(t) {
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				for _, m := range regexp.MustCompile(`caddy_impersonate_(\w+)`).FindAllStringSubmatch(target.Expr, -1) {
					asked++
					if !strings.Contains(known, `describe("`+m[1]+`"`) {
						t.Errorf("%s: %s asks for the metric %s, which is not there", file, p.Title, m[0])
					}
				}
			}
		}
	}
	if asked < 7 {
		t.Errorf("%d metrics are asked for", asked)
	}
}

// TestGrafanaProvisioning: the data source is the one that the dashboards name, and they lie where Grafana is to look.
func TestGrafanaProvisioning(t *testing.T) {
	var sources struct {
		Datasources []struct{ Type, UID string }
	}
	var providers struct {
		Providers []struct {
			Options struct{ Path string }
		}
	}
	var compose struct {
		Services map[string]struct{ Volumes []string }
	}
	for file, to := range map[string]any{"provisioning/datasources/clickhouse.yaml": &sources, "provisioning/dashboards/impersonate.yaml": &providers, "compose.yml": &compose} {
		b, err := os.ReadFile(filepath.Join("../deploy/grafana", file))
		if err == nil {
			err = yaml.Unmarshal(b, to)
		}
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
	}
	if len(sources.Datasources) != 1 || sources.Datasources[0].UID != clickhouseUID || sources.Datasources[0].Type != "grafana-clickhouse-datasource" {
		t.Errorf("data sources: %+v", sources.Datasources)
	}
	mounted := map[string]string{}
	for _, v := range compose.Services["grafana"].Volumes {
		parts := strings.Split(v, ":")
		if len(parts) != 3 || parts[2] != "ro" {
			t.Errorf("mounted to be written: %s", v)
			continue
		}
		mounted[parts[1]] = parts[0]
		if _, err := os.Stat(filepath.Join("..", parts[0])); err != nil {
			t.Error(err)
		}
	}
	if len(providers.Providers) != 1 || mounted[providers.Providers[0].Options.Path] != "./deploy/grafana/dashboards" || mounted["/etc/grafana/provisioning"] != "./deploy/grafana/provisioning" {
		t.Errorf("dashboards are sought in %+v; mounted are %v", providers.Providers, mounted)
	}
}
