// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"fmt"
	"hash/maphash"
	"maps"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// A table does what a map does, with a good hash and with hashes that collide in the slot, in the bits
// beside the place, and in all.
func TestTable(t *testing.T) {
	seed := maphash.MakeSeed()
	good := func(key []byte) uint64 { return maphash.Bytes(seed, key) }
	for name, hash := range map[string]func(key []byte) uint64{
		"good":      good,
		"one slot":  func(key []byte) uint64 { return good(key) &^ 0xffff },
		"one tag":   func(key []byte) uint64 { return good(key) << 24 >> 24 },
		"all zeros": func([]byte) uint64 { return 0 },
		"all ones":  func([]byte) uint64 { return 1<<64 - 1 },
	} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) { tableAgainstMap(t, hash) })
		})
	}
}

func tableAgainstMap(t *rapid.T, hash func(key []byte) uint64) {
	table, model := newTable(hash), map[string]string{}
	var cloned *twin
	key := rapid.Custom(func(t *rapid.T) string { return strings.Repeat("k", rapid.IntRange(0, 40).Draw(t, "key")) })
	value := rapid.Custom(func(t *rapid.T) string {
		return strings.Repeat(rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "letter"), rapid.IntRange(0, 300).Draw(t, "length"))
	})
	t.Repeat(map[string]func(*rapid.T){
		"put": func(t *rapid.T) {
			k, v := key.Draw(t, "key"), value.Draw(t, "value")
			table.put(hash([]byte(k)), []byte(k), []byte(v))
			model[k] = v
		},
		"delete": func(t *rapid.T) {
			k := key.Draw(t, "key")
			table.delete(hash([]byte(k)), []byte(k))
			delete(model, k)
		},
		"clone": func(*rapid.T) {
			cloned = &twin{table.clone(), maps.Clone(model)}
		},
		"": func(t *rapid.T) {
			same(t, table, model)
			if cloned != nil {
				same(t, cloned.table, cloned.model)
			}
		},
	})
}

// twin is a table and the map that it equals.
type twin struct {
	table *table
	model map[string]string
}

func same(t *rapid.T, table *table, model map[string]string) {
	got := map[string]string{}
	for at := table.first(); at != 0; at = table.next(at) {
		k := string(table.key(at))
		if _, twice := got[k]; twice {
			t.Fatalf("key %q is there twice", k)
		}
		got[k] = string(table.value(at))
	}
	if !maps.Equal(got, model) {
		t.Fatalf("table holds %q; want %q", got, model)
	}
	if table.live != len(model) || table.live > table.used || table.used*4 > len(table.slots)*3 {
		t.Fatalf("%d live and %d used of %d slots; want %d live", table.live, table.used, len(table.slots), len(model))
	}
	for n := range 41 {
		k := strings.Repeat("k", n)
		_, at := table.find(table.hash([]byte(k)), []byte(k))
		v, ok := model[k]
		if (at != 0) != ok || (ok && string(table.value(at)) != v) {
			t.Fatalf("key %q is at %d; want it there: %v", k, at, ok)
		}
		if probable := table.probable(table.hash([]byte(k))); probable >= uint64(len(table.arena)) {
			t.Fatalf("key %q is probably at %d, outside of %d bytes", k, probable, len(table.arena))
		}
	}
}

// Whatever is written and deleted, a table takes memory in proportion to what lives in it.
func TestTableReusesMemory(t *testing.T) {
	seed := maphash.MakeSeed()
	hash := func(key []byte) uint64 { return maphash.Bytes(seed, key) }
	const keys, valueBytes = 1000, 20
	tests := []struct {
		name  string
		round func(table *table, i int)
	}{
		{"same keys", func(table *table, i int) {
			for k := range keys {
				key := fmt.Append(nil, k)
				table.put(hash(key), key, make([]byte, valueBytes))
			}
		}},
		{"other keys each time", func(table *table, i int) {
			for k := range keys {
				key := fmt.Append(nil, i*keys+k)
				table.put(hash(key), key, make([]byte, valueBytes))
				key = fmt.Append(nil, (i-1)*keys+k)
				table.delete(hash(key), key)
			}
		}},
		{"lengths that change", func(table *table, i int) {
			for k := range keys {
				key := fmt.Append(nil, k)
				table.put(hash(key), key, make([]byte, (i*7+k)%(2*valueBytes)))
			}
		}},
		{"long once, short for ever", func(table *table, i int) {
			for k := range keys {
				key := fmt.Append(nil, k)
				n := valueBytes
				if i == 0 {
					n = 10000
				}
				table.put(hash(key), key, make([]byte, n))
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			table := newTable(hash)
			for i := range 50 {
				tt.round(table, i)
			}
			// Half may be dead, and append grows by a quarter; a value may have thrice its room.
			most := 3 * keys * (headerBytes + 8 + 3*valueBytes)
			if cap(table.arena) > most || len(table.slots) > 4*keys || table.live != keys {
				t.Errorf("%d bytes, %d slots for %d keys; want at most %d bytes", cap(table.arena), len(table.slots), table.live, most)
			}
			for k := range keys {
				key := fmt.Append(nil, k)
				table.delete(hash(key), key)
				key = fmt.Append(nil, 49*keys+k)
				table.delete(hash(key), key)
			}
			if cap(table.arena) > 8<<10 || len(table.slots) > 16*slotsMin || table.live != 0 {
				t.Errorf("%d bytes, %d slots when it is empty", cap(table.arena), len(table.slots))
			}
		})
	}
}
