package faultfs

import (
	"errors"
	"io/fs"
	"os"
)

// restore undoes writes, newest first, in those sectors that lose says are lost.
func restore(name string, list []undo, lose func() bool) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	lost := map[int64]bool{}
	for i := len(list) - 1; i >= 0; i-- {
		for from := int64(0); from < int64(len(list[i].old)); {
			at := list[i].at + from
			to := min(from+sector-at%sector, int64(len(list[i].old)))
			s := at / sector
			if _, decided := lost[s]; !decided {
				lost[s] = lose()
			}
			if lost[s] {
				if _, err := f.WriteAt(list[i].old[from:to], at); err != nil {
					return err
				}
			}
			from = to
		}
	}
	return nil
}
