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

func TestOnCluster(t *testing.T) {
	for sql, want := range map[string][2]string{
		"ALTER TABLE `d`.t ON CLUSTER `main` DELETE WHERE a = 'x'": {"ALTER TABLE `d`.t DELETE WHERE a = 'x'", "main"},
		"create table d.t on cluster main (n UInt8)":               {"create table d.t (n UInt8)", "main"},
		"CREATE OR REPLACE VIEW d.v\nON CLUSTER '{c}' AS SELECT 1": {"CREATE OR REPLACE VIEW d.v AS SELECT 1", "{c}"},
		"ALTER TABLE d.t DELETE WHERE a = ' ON CLUSTER main'":      {"ALTER TABLE d.t DELETE WHERE a = ' ON CLUSTER main'", ""},
		"INSERT INTO d.t SELECT 1 AS n ON CLUSTER main":            {"INSERT INTO d.t SELECT 1 AS n ON CLUSTER main", ""},
	} {
		alone, cluster, ok := onCluster(sql)
		if got := [2]string{alone, cluster}; got != want || ok != (cluster != "") {
			t.Errorf("%q: %q, %v", sql, got, ok)
		}
	}
}
