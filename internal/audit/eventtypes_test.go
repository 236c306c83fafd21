package audit

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestEventTypes: none that the package declares or the documentation names is missing from the list, where auditors choose.
func TestEventTypes(t *testing.T) {
	source, err := os.ReadFile("audit.go")
	if err != nil {
		t.Fatal(err)
	}
	var declared []string
	for _, m := range regexp.MustCompile(`(?m)^\tEvent\w+ += "(\w+)"`).FindAllStringSubmatch(string(source), -1) {
		declared = append(declared, m[1])
	}
	slices.Sort(declared)
	if diff := cmp.Diff(declared, slices.Sorted(slices.Values(EventTypes()))); diff != "" || len(declared) == 0 {
		t.Errorf("types (-declared +listed):\n%s", diff)
	}
	doc, err := os.ReadFile("../../docs/auditing.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range EventTypes() {
		if !strings.Contains(string(doc), "`"+kind+"`") {
			t.Errorf("docs/auditing.md does not tell of %s", kind)
		}
	}
	_, rest, _ := strings.Cut(string(doc), "\n`cause`: ")
	causes, _, _ := strings.Cut(rest, "\n\n")
	documented := regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(causes, -1)
	var names []string
	for _, m := range documented {
		names = append(names, m[1])
	}
	slices.Sort(names)
	if diff := cmp.Diff(names, slices.Sorted(slices.Values(EndCauses()))); diff != "" || len(names) == 0 {
		t.Errorf("causes (-documented +listed):\n%s", diff)
	}
}
