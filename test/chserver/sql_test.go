package main

import "testing"

func TestDataInsert(t *testing.T) {
	for body, want := range map[string][3]string{
		"INSERT INTO t":                                         {"INSERT INTO t", "t", "*"},
		"INSERT INTO d.t (a, b) FORMAT Native":                  {"INSERT INTO d.t (a, b)", "d.t", "a, b"},
		"insert into table `my d`.`t` (`a b`) VALUES":           {"INSERT INTO `my d`.`t` (`a b`)", "`my d`.`t`", "`a b`"},
		"INSERT INTO t (a) SETTINGS x = 'it\\'s', y=1 VALUES":   {"INSERT INTO t (a) SETTINGS x = 'it\\'s', y=1", "t", "a"},
		"\n INSERT INTO t\n(a,\nb) FORMAT Native;\n":            {"INSERT INTO t (a,\nb)", "t", "a,\nb"},
		"INSERT INTO t SELECT 1":                                {},
		"INSERT INTO t SETTINGS x = 'y' SELECT 1, 1":            {},
		"INSERT INTO t (a) VALUES (1)":                          {},
		"INSERT INTO t SETTINGS a = 1 SELECT n FROM numbers(3)": {},
		"SELECT 1": {},
		"INSERT INTO FUNCTION file('x') SELECT 1": {},
	} {
		sql, table, columns, ok := dataInsert(body)
		if ok != (want[0] != "") || ok && [3]string{sql, table, columns} != want {
			t.Errorf("%q: got %q %q %q %v, want %q", body, sql, table, columns, ok, want)
		}
	}
}
