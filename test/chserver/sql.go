package main

import (
	"regexp"
	"strings"
)

// insertRe matches an INSERT whose data follow in packets: INSERT INTO table (columns) SETTINGS … FORMAT Native.
// The last part is FORMAT and a name, or VALUES with nothing behind it, or missing.
var insertRe = regexp.MustCompile(`(?is)^\s*INSERT\s+INTO\s+(?:TABLE\s+)?` +
	"((?:`[^`]+`|[\\w]+)(?:\\.(?:`[^`]+`|[\\w]+))?)" + // table
	`\s*(\([^()]*\))?` + // columns
	`\s*(SETTINGS\s+` + settingRe + `(?:\s*,\s*` + settingRe + `)*)?` +
	`\s*(?:FORMAT\s+\w+|VALUES)?\s*;?\s*$`)

// dataInsert recognises an INSERT whose data follow; sql is it without FORMAT or VALUES.
func dataInsert(body string) (sql, table, columns string, ok bool) {
	m := insertRe.FindStringSubmatch(body)
	if m == nil {
		return "", "", "", false
	}
	table, columns = m[1], strings.TrimSpace(strings.Trim(m[2], "()"))
	sql = strings.TrimSpace("INSERT INTO " + table + " " + m[2] + " " + m[3])
	if columns == "" {
		columns = "*"
	}
	return sql, table, columns, true
}

// clusterRe finds the ON CLUSTER of a statement that defines something, which stands behind the first name.
var clusterRe = regexp.MustCompile(`(?is)^(\s*(?:CREATE|ALTER|DROP|RENAME|TRUNCATE|OPTIMIZE)\s[^('";]*?)\sON\s+CLUSTER\s+(?:` + "`([^`]+)`" + `|'([^']+)'|(\w+))`)

// onCluster takes the cluster out of a statement.
func onCluster(sql string) (alone, cluster string, ok bool) {
	m := clusterRe.FindStringSubmatch(sql)
	if m == nil {
		return sql, "", false
	}
	return m[1] + sql[len(m[0]):], m[2] + m[3] + m[4], true
}

const settingRe = `\w+\s*=\s*(?:'(?:[^'\\]|\\.)*'|[\w.+-]+)`

var identifierRe = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]*$`)

func identifier(s string) bool { return identifierRe.MatchString(s) }

func unescapeTSV(s string) string {
	return strings.NewReplacer(`\\`, `\`, `\'`, `'`, `\t`, "\t", `\n`, "\n").Replace(s)
}
