package sinktest

import "strings"

func checkReady(s *suite) {
	sink := s.open()
	if err := sink.Check(s.ctx); err != nil {
		s.Errorf("a fresh database with its schema is not ready: %v", err)
	}
	if sink.Name() == "" {
		s.Error("the sink has no name")
	}
}

// checkMissingTable: somebody dropped a table; the error names it.
func checkMissingTable(s *suite) {
	sink := s.open()
	if err := s.Exec(s.ctx, "DROP TABLE events"); err != nil {
		s.Fatal(err)
	}
	s.refused(sink.Check(s.ctx), "events")
}

// checkNewerSchema: a later version of the gateway has been here; this one must not write rows it would get wrong.
func checkNewerSchema(s *suite) {
	version, err := s.SchemaVersion(s.ctx)
	if err != nil {
		s.Fatal(err)
	}
	if err := s.SetSchemaVersion(s.ctx, version+1); err != nil {
		s.Fatal(err)
	}
	s.refused(s.openAndCheck(), "newer")
}

func checkOlderSchema(s *suite) {
	if s.MigratesItself {
		return
	}
	version, err := s.SchemaVersion(s.ctx)
	if err != nil {
		s.Fatal(err)
	}
	if err := s.SetSchemaVersion(s.ctx, version-1); err != nil {
		s.Fatal(err)
	}
	// The error says what to run.
	s.refused(s.openAndCheck(), "schema apply")
}

func (s *suite) openAndCheck() error {
	sink, err := s.Open(s.ctx)
	if err != nil {
		return err
	}
	defer sink.Close()
	return sink.Check(s.ctx)
}

func (s *suite) refused(err error, word string) {
	s.Helper()
	if err == nil {
		s.Errorf("no error, want one that says %q", word)
	} else if !strings.Contains(err.Error(), word) {
		s.Errorf("error %q does not say %q", err, word)
	}
}
