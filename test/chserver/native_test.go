package main

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

func TestParseType(t *testing.T) {
	for s, size := range map[string]int{
		"UInt64": 8, "DateTime64(6, 'UTC')": 8, "Enum8('a,(' = 1, 'b\\'' = 2)": 1, "FixedString(32)": 32, "Decimal(18, 4)": 8,
		"Decimal(38, 2)": 16, "IntervalDay": 8, "UUID": 16, "SimpleAggregateFunction(max, UInt32)": 4,
	} {
		got, err := parseType(s)
		if err != nil || got.kind != kindFixed || got.size != size {
			t.Errorf("%s: %+v, %v", s, got, err)
		}
	}
	for s, kind := range map[string]kind{
		"Array(LowCardinality(Nullable(String)))": kindArray, "Map(String, Array(UInt8))": kindArray, "Tuple(a UInt8, `b c` String)": kindTuple,
		"Nested(a UInt8, b String)": kindArray, "Nullable(DateTime)": kindNullable, "LowCardinality(String)": kindLowCardinality,
	} {
		if got, err := parseType(s); err != nil || got.kind != kind {
			t.Errorf("%s: %+v, %v", s, got, err)
		}
	}
	deep := ""
	for range 100 {
		deep += "Array("
	}
	for _, s := range []string{"", "Nonsense", "FixedString(0)", "FixedString(x)", "Array()", "Dynamic", "JSON", deep} {
		if got, err := parseType(s); err == nil {
			t.Errorf("%s: %+v", s, got)
		}
	}
}

func TestBlockLimits(t *testing.T) {
	// One column of strings, of which the first claims to be 2^62 bytes long.
	block := append(bytes.Clone(blockInfo), 1, 1, 1, 'a', 6, 'S', 't', 'r', 'i', 'n', 'g', 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40)
	if _, _, _, err := toNative(bytes.NewReader(block)); err == nil {
		t.Error("a string of 2^62 bytes was accepted")
	}
	if _, _, _, err := toNative(bytes.NewReader(block[:14])); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a block that breaks off: %v", err)
	}
}

// FuzzBlock: whatever a client sends costs no more than a refusal, and what is accepted goes out as it came in.
func FuzzBlock(f *testing.F) {
	f.Add(append(bytes.Clone(blockInfo), 1, 2, 1, 'a', 5, 'U', 'I', 'n', 't', '8', 0, 1, 2))
	f.Add(append(bytes.Clone(blockInfo), 0, 0))
	f.Fuzz(func(t *testing.T, in []byte) {
		native, cols, _, err := toNative(bytes.NewReader(in))
		if err != nil || cols == 0 {
			return
		}
		wire, err := toWire(nil, bytes.NewReader(native))
		if err != nil {
			t.Fatalf("what was accepted can't be sent: %v", err)
		}
		again, _, _, err := toNative(bytes.NewReader(wire))
		if err != nil || !bytes.Equal(again, native) {
			t.Fatalf("%x became %x: %v", native, again, err)
		}
	})
}
