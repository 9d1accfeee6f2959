// SPDX-License-Identifier: Apache-2.0

package table

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime/metrics"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"

	"github.com/millrace-io/millrace/backends/logstore/disktest"
	"github.com/millrace-io/millrace/backends/logstore/format"
	"github.com/millrace-io/millrace/backends/logstore/sorted"
)

var storeID = format.StoreID{1, 2, 3}

// tableOf writes changes, which are in order, into a table and opens it.
func tableOf(t interface{ Fatal(...any) }, changes []backend.Change) *Table {
	f, err := disktest.NewDisk().Process().Create("t")
	if err != nil {
		t.Fatal(err)
	}
	w := NewWriter(f, storeID, 7)
	for i := range changes {
		if err := w.Add(&changes[i]); err != nil {
			t.Fatal(err)
		}
	}
	n, err := w.Finish()
	if err != nil {
		t.Fatal(err)
	}
	table, err := Open(f, "t", storeID, 7, n)
	if err != nil {
		t.Fatal(err)
	}
	deletes := 0
	for _, c := range changes {
		if c.Delete {
			deletes++
		}
	}
	if table.Entries != uint64(len(changes)) || table.Deletes != uint64(deletes) {
		t.Fatal("entries and deletes:", table.Entries, table.Deletes)
	}
	return table
}

func someChanges(n, keyBytes, valueBytes int) (changes []backend.Change) {
	for i := range n {
		c := backend.Change{Delete: i%5 == 0}
		c.Group = statefun.KeyGroup(i * 16 / n)
		c.Key = fmt.Appendf(nil, "%0*d", keyBytes, 2*i)
		if !c.Delete {
			c.Value = bytes.Repeat([]byte{byte(i)}, valueBytes)
		}
		changes = append(changes, c)
	}
	return changes
}

// in returns the changes of the key groups in r.
func in(changes []backend.Change, r backend.KeyGroupRange) (some []backend.Change) {
	for _, c := range changes {
		if r.Contains(c.Group) {
			some = append(some, c)
		}
	}
	return some
}

func same(a, b backend.Change) bool {
	return a.Group == b.Group && a.Delete == b.Delete && bytes.Equal(a.Key, b.Key) && bytes.Equal(a.Value, b.Value)
}

// drained returns what a source yields, as copies.
func drained(t interface{ Fatal(...any) }, s sorted.Source) (changes []backend.Change) {
	for s.Head() != nil {
		c := *s.Head()
		c.Key, c.Value = bytes.Clone(c.Key), bytes.Clone(c.Value)
		changes = append(changes, c)
		if err := s.Advance(); err != nil {
			t.Fatal(err)
		}
	}
	return changes
}

// What is written is found, by Get and by Scan of any range, whether it fits into one block or takes several
// index blocks.
func TestTable(t *testing.T) {
	for name, changes := range map[string][]backend.Change{
		"empty":         nil,
		"one":           someChanges(1, 3, 4),
		"one block":     someChanges(100, 8, 10),
		"many blocks":   someChanges(5000, 12, 20),
		"many indexes":  someChanges(800, 5000, 100),
		"long values":   someChanges(50, 8, 100_000),
		"empty strings": {{}, {Entry: backend.Entry{Group: 1}, Delete: true}},
	} {
		t.Run(name, func(t *testing.T) {
			table := tableOf(t, changes)
			for _, c := range changes {
				got, ok, err := table.Get(c.Group, c.Key)
				if err != nil || !ok || !same(got, c) {
					t.Fatalf("get of %d %.20q yields %+v, %v, %v", c.Group, c.Key, got, ok, err)
				}
				for _, absent := range [][]byte{append(bytes.Clone(c.Key), 0), c.Key[:max(0, len(c.Key)-1)]} {
					if _, ok, err := table.Get(c.Group, absent); (ok && len(c.Key) > 0) || err != nil {
						t.Fatalf("get of the absent %d %.20q: %v, %v", c.Group, absent, ok, err)
					}
				}
			}
			if _, ok, err := table.Get(500, []byte("k")); ok || err != nil {
				t.Errorf("get behind the end: %v, %v", ok, err)
			}
			for _, r := range []backend.KeyGroupRange{
				{End: 16}, {End: 1}, {First: 3, End: 9}, {First: 15, End: 16}, {First: 15, End: 500}, {First: 4, End: 4}, {First: 9, End: 3}, {First: 17, End: 20},
			} {
				s, err := table.Scan(r)
				if err != nil {
					t.Fatal(err)
				}
				if got, want := drained(t, s), in(changes, r); !slices.EqualFunc(got, want, same) {
					t.Errorf("scan of %v yields %d changes, want %d", r, len(got), len(want))
				}
			}
			table.Release()
		})
	}
}

// Whatever the payload of a block is, if its checksum is right: it is read without a panic, with memory in
// proportion, to the end or to ErrCorrupt.
func FuzzTable(f *testing.F) {
	put := func(key string, value []byte) []byte { return backend.AppendPut(nil, 1, []byte(key), value) }
	f.Add(uint8(0), put("k", []byte("v")))
	f.Add(uint8(0), []byte("\x02\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01k"))
	f.Add(uint8(1), put("k", appendPlace(nil, place{at: 64, bytes: 20})))
	f.Add(uint8(1), put("k", appendPlace(nil, place{at: 64, bytes: 1 << 40})))
	f.Add(uint8(2), put("k", appendPlace(nil, place{at: 1 << 62, bytes: 1 << 62})))
	f.Add(uint8(2), put("", appendPlace(nil, place{at: 64, bytes: 0})))
	f.Add(uint8(2), []byte{})
	f.Fuzz(func(t *testing.T, which uint8, payload []byte) {
		blocks := [][]byte{put("k", []byte("v")), nil, nil}
		file := format.AppendHeader(nil, format.Header{Kind: format.KindTable, Store: storeID, Number: 7})
		var at place
		for i := range blocks {
			if i > 0 {
				blocks[i] = put("k", appendPlace(nil, at))
			}
			if int(which%3) == i {
				blocks[i] = payload
			}
			at = place{at: int64(len(file)), bytes: int64(frameBytes + len(blocks[i]))}
			file = append(appendFrame(file, 7, at.at, uint32(kindData+i), blocks[i]), blocks[i]...)
		}
		foot := len(file)
		for _, v := range []uint64{uint64(at.at), uint64(at.bytes), 1, 0, 7} {
			file = binary.LittleEndian.AppendUint64(file, v)
		}
		file = append(file, footerMagic...)
		file = binary.LittleEndian.AppendUint32(file, format.Checksum(file[foot:]))
		readAnyhow(t, file)
	})
}

// readAnyhow reads a file that may not be a table.
func readAnyhow(t *testing.T, file []byte) {
	t.Helper()
	check := func(err error) bool {
		if err != nil && !errors.Is(err, backend.ErrCorrupt) {
			t.Fatalf("error %v; want ErrCorrupt", err)
		}
		return err == nil
	}
	f, err := disktest.DiskOf(map[string][]byte{"t": file}).Process().Open("t")
	if err != nil {
		t.Fatal(err)
	}
	before := allocated()
	defer func() { // Lengths are claims: memory is taken for what is there. A change in memory takes 56 bytes.
		if n := allocated() - before; n > uint64(1<<20+64*len(file)) {
			t.Errorf("%d bytes allocated for %d", n, len(file))
		}
	}()
	table, err := Open(f, "t", storeID, 7, int64(len(file)))
	if !check(err) {
		return
	}
	_, _, err = table.Get(1, []byte("k"))
	check(err)
	s, err := table.Scan(backend.KeyGroupRange{End: 1 << 15})
	if !check(err) {
		return
	}
	for bytes := 0; s.Head() != nil; {
		if bytes += len(s.Head().Key) + len(s.Head().Value); bytes > len(file) {
			t.Fatalf("%d bytes of keys and values in a file of %d", bytes, len(file))
		}
		if !check(s.Advance()) {
			return
		}
	}
}

// allocated returns how many bytes have ever been allocated.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// A table whose file is not the one that was meant is refused, and every byte of it counts.
func TestTableDamage(t *testing.T) {
	changes := someChanges(400, 40, 30)
	table := tableOf(t, changes)
	file := make([]byte, table.Bytes)
	if _, err := table.ReadAt(file, 0); err != nil {
		t.Fatal(err)
	}
	try := func(file []byte) error {
		f, err := disktest.DiskOf(map[string][]byte{"t": file}).Process().Open("t")
		if err != nil {
			t.Fatal(err)
		}
		table, err := Open(f, "t", storeID, 7, int64(len(file)))
		if err != nil {
			return err
		}
		s, err := table.Scan(backend.KeyGroupRange{End: 16})
		for err == nil && s.Head() != nil {
			err = s.Advance()
		}
		return err
	}
	if err := try(file); err != nil {
		t.Fatal(err)
	}
	for at := range file {
		file[at] ^= 4
		if err := try(file); !errors.Is(err, backend.ErrCorrupt) || !strings.Contains(err.Error(), "t at offset ") {
			t.Fatalf("byte %d: error %v; want ErrCorrupt and the place", at, err)
		}
		file[at] ^= 4
	}
	for name, tt := range map[string]struct {
		id     format.StoreID
		number uint64
		bytes  int64
	}{
		"another store":  {format.StoreID{9}, 7, table.Bytes},
		"another number": {storeID, 8, table.Bytes},
		"another length": {storeID, 7, table.Bytes - 1},
	} {
		f, err := disktest.DiskOf(map[string][]byte{"t": file}).Process().Open("t")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Open(f, "t", tt.id, tt.number, tt.bytes); !errors.Is(err, backend.ErrCorrupt) {
			t.Errorf("%s: error %v; want ErrCorrupt", name, err)
		}
	}
}
