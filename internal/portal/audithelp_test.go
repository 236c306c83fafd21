package portal_test

import (
	"database/sql"
	"encoding/binary"
	"errors"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

// canonical is the row's encoding made from text alone, as docs/audit-format.md has it.
func canonical(table string, columns []audit.Column, values []string) []byte {
	prefixed := func(b []byte, s string) []byte { return append(binary.AppendUvarint(b, uint64(len(s))), s...) }
	b := prefixed(nil, table+"/1")
	for i, c := range columns {
		if values[i] == "" || c.Kind == audit.KindNumber && values[i] == "0" {
			continue
		}
		b = prefixed(binary.AppendUvarint(b, uint64(c.Number)), values[i])
	}
	return b
}

// execSQLite runs a statement behind everybody's back.
func execSQLite(path, statement string) error {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)")
	if err != nil {
		return err
	}
	_, err = db.Exec(statement)
	return errors.Join(err, db.Close())
}
