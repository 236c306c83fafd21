package main

import (
	"errors"
	"fmt"
	"syscall"
)

// insert serves an INSERT whose data follow: header out, blocks in, commit at the empty block.
func (s *session) insert(sql, table, columns string, p params) error {
	header, err := s.header(fmt.Sprintf("SELECT %s FROM %s", columns, table), nil)
	if err != nil {
		return s.exception(err)
	}
	in, err := s.engine.insert(sql, "Native", p)
	if err != nil {
		return s.exception(err)
	}
	if err := s.sendBlock(header); err != nil {
		in.cancel()
		return err
	}
	var refused error
	for {
		block, cols, rows, err := s.readData()
		switch {
		case errors.Is(err, errCancelled):
			in.cancel()
			return s.endOfStream()
		case err != nil: // the client went away in the middle: nothing more is inserted
			in.cancel()
			return err
		}
		if cols == 0 {
			break
		}
		if rows > 0 && refused == nil {
			refused = in.append(block)
		}
	}
	if refused != nil {
		in.cancel()
		return s.exception(refused)
	}
	if err := in.done(); err != nil {
		return s.exception(err)
	}
	if s.server.dieAfterCommit.Load() {
		if err := syscall.Kill(syscall.Getpid(), syscall.SIGKILL); err != nil {
			return err
		}
		select {}
	}
	return s.endOfStream()
}
