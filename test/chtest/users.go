package chtest

import (
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

var (
	sqlComment = regexp.MustCompile(`(?m)^--.*$`)
	sqlGrant   = regexp.MustCompile(`(?s)^(GRANT .* ON .*) TO impersonate_(\w+)$`)
)

// UserStatements are those of deploy/clickhouse/users.sql.
func UserStatements(t testing.TB) (statements []string) {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	file, err := os.ReadFile(filepath.Join(filepath.Dir(here), "../../deploy/clickhouse/users.sql"))
	if err != nil {
		t.Fatalf("chtest: %v", err)
	}
	for st := range strings.SplitSeq(sqlComment.ReplaceAllString(string(file), ""), ";") {
		if st = strings.TrimSpace(st); st != "" {
			statements = append(statements, st)
		}
	}
	return statements
}

// UsersConfig writes a configuration of the engine with the users writer, auditor and maintainer, who have the grants
// that statements give their roles, and may read the database probe. The engine knows no users at its connections, but
// runs a view with the rights of its definer.
func UsersConfig(t testing.TB, statements []string) string {
	t.Helper()
	dir := t.TempDir()
	user := func(name, rights string) string {
		return fmt.Sprintf("<%[1]s><no_password/><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>%[2]s</%[1]s>", name, rights)
	}
	users := "<clickhouse><profiles><default/></profiles><quotas><default/></quotas><users>" +
		user("default", "<access_management>1</access_management>")
	for _, name := range []string{"writer", "auditor", "maintainer"} {
		var b strings.Builder
		grants := []string{"GRANT SELECT ON probe.*"}
		for _, st := range statements {
			if m := sqlGrant.FindStringSubmatch(st); m != nil && m[2] == name {
				grants = append(grants, m[1])
			}
		}
		for _, g := range grants {
			b.WriteString("<query>")
			if err := xml.EscapeText(&b, []byte(g)); err != nil {
				t.Fatalf("chtest: %v", err)
			}
			b.WriteString("</query>")
		}
		users += user(name, "<grants>"+b.String()+"</grants>")
	}
	path := filepath.Join(dir, "users.xml")
	config := filepath.Join(dir, "config.xml")
	for name, text := range map[string]string{
		path:   users + "</users></clickhouse>",
		config: "<clickhouse><user_directories><users_xml><path>" + path + "</path></users_xml></user_directories></clickhouse>",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatalf("chtest: %v", err)
		}
	}
	return config
}
