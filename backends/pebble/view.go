// SPDX-License-Identifier: Apache-2.0

package pebble

import (
	"bytes"
	"encoding/binary"
	"errors"

	pebbledb "github.com/cockroachdb/pebble/v2"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"

	"github.com/millrace-io/millrace/backends/logstore/sorted"
)

// view is the database after a fold. It holds its instance.
type view struct {
	of       *instance
	snapshot *pebbledb.Snapshot
}

func newView(of *instance) *view {
	of.retain()
	return &view{of: of, snapshot: of.db.NewSnapshot()}
}

// Scan implements [logstore.View].
func (v *view) Scan(r backend.KeyGroupRange) ([]sorted.Source, error) {
	if r.First >= r.End {
		return nil, nil
	}
	it, err := v.snapshot.NewIter(&pebbledb.IterOptions{
		LowerBound: appendKey(nil, r.First, nil), UpperBound: appendKey(nil, r.End, nil),
	})
	if err != nil {
		return nil, explain(err)
	}
	s := &source{it: it}
	it.First()
	if err := s.show(); err != nil {
		s.Close()
		return nil, err
	}
	return []sorted.Source{s}, nil
}

// Get implements [logstore.View].
func (v *view) Get(group statefun.KeyGroup, key []byte) (c backend.Change, ok bool, err error) {
	value, closer, err := v.snapshot.Get(appendKey(nil, group, key))
	if errors.Is(err, pebbledb.ErrNotFound) {
		return backend.Change{}, false, nil
	}
	if err != nil {
		return backend.Change{}, false, explain(err)
	}
	c.Group, c.Key, c.Value = group, key, bytes.Clone(value)
	return c, true, explain(closer.Close())
}

// Stray implements [logstore.View].
func (v *view) Stray(name string) bool { return name == feedName }

// Close implements [logstore.View].
func (v *view) Close() {
	_ = v.snapshot.Close() // It never fails.
	v.of.release()
}

// source walks through a view.
type source struct {
	it    *pebbledb.Iterator
	valid bool
	head  backend.Change
}

// Head implements [sorted.Source].
func (s *source) Head() *backend.Change {
	if !s.valid {
		return nil
	}
	return &s.head
}

// Advance implements [sorted.Source].
func (s *source) Advance() error {
	s.it.Next()
	return s.show()
}

func (s *source) show() (err error) {
	if s.valid = s.it.Valid(); !s.valid {
		return explain(s.it.Error())
	}
	key := s.it.Key()
	s.head.Group, s.head.Key = statefun.KeyGroup(binary.BigEndian.Uint16(key)), key[2:]
	s.head.Value, err = s.it.ValueAndErr()
	return explain(err)
}

// Close implements [sorted.Source].
func (s *source) Close() { _ = s.it.Close() } // Advance has said what it would.
