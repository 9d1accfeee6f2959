// SPDX-License-Identifier: Apache-2.0

package file

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"

	"github.com/millrace-io/millrace/backends/file/internal/table"
	"github.com/millrace-io/millrace/backends/logstore"
	"github.com/millrace-io/millrace/backends/logstore/format"
	"github.com/millrace-io/millrace/backends/logstore/sorted"
)

// tables is the base of a store of this backend.
var tables = logstore.Kind{
	Name:   "tables",
	Create: func(logstore.Env) ([]byte, error) { return (&view{next: 1}).section(), nil },
	Open:   openBase,
	Unborn: func(name string) (int64, bool) {
		_, ok := parseTableName(name)
		return 0, ok // An empty one does no harm.
	},
}

func tableName(number uint64) string { return fmt.Sprintf("table-%012d", number) }

func parseTableName(name string) (number uint64, ok bool) {
	digits, ok := strings.CutPrefix(name, "table-")
	number, err := strconv.ParseUint(digits, 10, 64)
	return number, ok && err == nil && tableName(number) == name
}

// view is the tables that a manifest names, the newest first. Each table counts the views that it is in.
type view struct {
	tables []*table.Table
	next   uint64 // No table that a manifest has named had this number, or a greater one.
	known  uint64 // A record of the log that was committed, or 0.
}

// section is what the manifest says of the tables: the next number, number and length of each, and, if there is one, the
// record that is known.
func (v *view) section() []byte {
	dst := binary.AppendUvarint(nil, v.next)
	dst = binary.AppendUvarint(dst, uint64(len(v.tables)))
	for _, t := range v.tables {
		dst = binary.AppendUvarint(dst, t.Number)
		dst = binary.AppendUvarint(dst, uint64(t.Bytes))
	}
	if v.known > 0 {
		dst = binary.AppendUvarint(dst, v.known)
	}
	return dst
}

func openBase(env logstore.Env, section []byte) (logstore.Base, logstore.View, error) {
	v := &view{}
	f := format.NewFields(section)
	v.next = f.Uint(math.MaxUint64)
	for range f.Uint(uint64(len(section))) {
		number, bytes := f.Uint(math.MaxUint64), int64(f.Uint(math.MaxInt64))
		t, err := openTable(env, number, bytes)
		if err != nil {
			v.Close()
			return nil, nil, err
		}
		v.tables = append(v.tables, t)
	}
	if f.More() {
		v.known = f.Uint(math.MaxUint64)
	}
	if err := f.Err(); err != nil {
		v.Close()
		return nil, nil, format.Corrupt("manifest", format.HeaderBytes, "tables: %v", err)
	}
	return &base{env, v.known}, v, nil
}

func openTable(env logstore.Env, number uint64, bytes int64) (*table.Table, error) {
	name := tableName(number)
	f, err := env.FS.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, format.Corrupt(name, 0, "missing")
	}
	if err != nil {
		return nil, err
	}
	return table.Open(f, name, env.Store, number, bytes)
}

// Scan implements [logstore.View].
func (v *view) Scan(r backend.KeyGroupRange) (sources []sorted.Source, err error) {
	for _, t := range v.tables {
		s, err := t.Scan(r)
		if err != nil {
			return nil, err
		}
		sources = append(sources, s)
	}
	return sources, nil
}

// Get implements [logstore.View]: two reads in each table until the key is found.
func (v *view) Get(group statefun.KeyGroup, key []byte) (c backend.Change, ok bool, err error) {
	for i := 0; i < len(v.tables) && !ok && err == nil; i++ {
		c, ok, err = v.tables[i].Get(group, key)
	}
	return c, ok, err
}

// Stray implements [logstore.View].
func (v *view) Stray(name string) bool {
	n, ok := parseTableName(name)
	return ok && !slices.ContainsFunc(v.tables, func(t *table.Table) bool { return t.Number == n })
}

// Close implements [logstore.View].
func (v *view) Close() {
	for _, t := range v.tables {
		t.Release()
	}
}
