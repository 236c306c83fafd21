package audit

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// RefusedBatch is a batch that a sink refused for good, in a file beside the journal, where it waits for an operator.
type RefusedBatch struct {
	File     string
	From, To uint64 // places in the log
	Since    time.Time
	sink     string // as [fileName] makes it
}

const sentSuffix = ".sent"

var refusedName = regexp.MustCompile(`^refused-(.+)-(\d+)-(\d+)(?:\.\d+)?\.jsonl$`)

// RefusedBatches lists those in a journal's directory, in the order of the log. The gateway may run meanwhile.
func RefusedBatches(dir string) ([]RefusedBatch, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("reading the journal's directory: %w", err)
	}
	var list []RefusedBatch
	for _, e := range entries {
		m := refusedName.FindStringSubmatch(e.Name())
		if m == nil {
			continue
		}
		b := RefusedBatch{File: filepath.Join(dir, e.Name()), sink: m[1]}
		b.From, _ = strconv.ParseUint(m[2], 10, 64)
		b.To, _ = strconv.ParseUint(m[3], 10, 64)
		if info, err := e.Info(); err == nil {
			b.Since = info.ModTime()
		}
		list = append(list, b)
	}
	slices.SortFunc(list, func(a, b RefusedBatch) int { return cmp.Compare(a.From, b.From) })
	return list, nil
}

// RefusedBatches lists those that sinks have refused, in this run or an earlier one, and that are not sent since.
func (r *Recorder) RefusedBatches() ([]RefusedBatch, error) { return RefusedBatches(r.dir) }

// Of tells whether it was a sink of this name that refused it.
func (b RefusedBatch) Of(sink string) bool { return b.sink == fileName(sink) }

// Read makes the batch of the file again. A row that is not as it was recorded is an error.
func (b RefusedBatch) Read() (*Batch, error) {
	data, err := os.ReadFile(b.File)
	if err != nil {
		return nil, fmt.Errorf("reading a refused batch: %w", err)
	}
	batch := &Batch{From: b.From, To: b.To}
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		if err := batch.addLine(lines.Bytes()); err != nil {
			return nil, fmt.Errorf("reading a refused batch: %s, line %d: %w", b.File, n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading a refused batch: %s: %w", b.File, err)
	}
	batch.Token = token(batch)
	return batch, nil
}

// Sent puts the file out of the way once the sink has it.
func (b RefusedBatch) Sent() error {
	if err := os.Rename(b.File, b.File+sentSuffix); err != nil {
		return fmt.Errorf("noting that a refused batch is sent: %w", err)
	}
	return nil
}

// addLine adds the row of a line that setAside wrote.
func (b *Batch) addLine(line []byte) error {
	var fields map[string]any
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	if err := d.Decode(&fields); err != nil {
		return err
	}
	text := func(name string) string {
		if fields[name] == nil {
			return ""
		}
		return fmt.Sprint(fields[name])
	}
	var leaf [32]byte
	switch table := text("table"); table {
	case TableRequests:
		r, err := DecodeRequest(encode(requestEncoding, RequestColumns(), text))
		if err != nil {
			return err
		}
		b.LogID, leaf = r.LogID, r.LeafHash
		b.Requests = append(b.Requests, r)
	case TableEvents:
		e, err := DecodeEvent(encode(eventEncoding, EventColumns(), text))
		if err != nil {
			return err
		}
		b.LogID, leaf = e.LogID, e.LeafHash
		b.Events = append(b.Events, e)
	case TableCheckpoints:
		c, _, err := ParseCheckpoint(text("note"))
		if err != nil {
			return err
		}
		b.LogID = c.LogID
		b.Checkpoints = append(b.Checkpoints, c)
		return nil
	default:
		return fmt.Errorf("there is no table %.40q", table)
	}
	if text("leaf_hash") != hex.EncodeToString(leaf[:]) {
		return errors.New("the row is not as it was recorded: its leaf hash differs")
	}
	return nil
}

// encode makes a row's canonical encoding of the texts of its columns.
func encode(name string, columns []Column, text func(string) string) []byte {
	b := append([]byte{byte(len(name))}, name...)
	for _, c := range columns {
		v := text(c.Name)
		if v == "" || c.Kind == KindNumber && v == "0" {
			continue
		}
		b = append(b, byte(c.Number))
		b = binary.AppendUvarint(b, uint64(len(v)))
		b = append(b, v...)
	}
	return b
}
