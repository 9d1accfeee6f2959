// SPDX-License-Identifier: Apache-2.0

package backendtest

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"
)

// The faults of Latest, Get and Scan.
var readMutants = []mutant{
	{"forgets the sources", breaking(func(b *broken) {
		b.latest = func(cp backend.Checkpoint) backend.Checkpoint {
			cp.Sources = nil
			return cp
		}
	}), []string{"latest describes the newest commit", historyName}},
	{"ignores the key group", breaking(func(b *broken) {
		b.get = func(_ statefun.KeyGroup, key, dst []byte) ([]byte, bool, error) {
			for k, v := range b.store.entries {
				if k.key == string(key) {
					return append(dst, v.value...), true, nil
				}
			}
			return dst, false, nil
		}
	}), []string{"a key belongs to its group", historyName}},
	{"overwrites dst", breaking(func(b *broken) {
		b.get = func(group statefun.KeyGroup, key, dst []byte) ([]byte, bool, error) {
			return b.Model.Get(context.Background(), group, key, dst[:0])
		}
	}), []string{"get appends"}},
	{"drops dst of an absent key", breaking(func(b *broken) {
		b.get = func(group statefun.KeyGroup, key, dst []byte) ([]byte, bool, error) {
			value, ok, err := b.Model.Get(context.Background(), group, key, dst)
			if !ok {
				value = nil
			}
			return value, ok, err
		}
	}), []string{"get appends"}},
	{"hands out its own memory", breaking(func(b *broken) {
		own := map[string][]byte{}
		b.get = func(group statefun.KeyGroup, key, dst []byte) ([]byte, bool, error) {
			value, ok, err := b.Model.Get(context.Background(), group, key, nil)
			if len(dst) > 0 || !ok {
				return append(dst, value...), ok, err
			}
			if own[string(key)] == nil {
				own[string(key)] = value
			}
			return own[string(key)], ok, err
		}
	}), []string{"get appends", historyName}},
	{"scans the end of the range too", breaking(func(b *broken) {
		b.scan = func(r backend.KeyGroupRange) iter.Seq2[backend.Entry, error] {
			r.End++
			return b.Model.Scan(context.Background(), r)
		}
	}), []string{"scan yields a range in order", historyName}},
	{"scans in no order", breaking(func(b *broken) {
		b.scan = func(r backend.KeyGroupRange) iter.Seq2[backend.Entry, error] {
			return func(yield func(backend.Entry, error) bool) {
				entries, err := b.sorted(r)
				if err != nil {
					yield(backend.Entry{}, err)
				}
				for _, e := range slices.Backward(entries) {
					if !yield(e, nil) {
						return
					}
				}
			}
		}
	}), []string{"scan yields a range in order", historyName}},
	{"scans an entry twice", breaking(func(b *broken) {
		b.scan = func(r backend.KeyGroupRange) iter.Seq2[backend.Entry, error] {
			return func(yield func(backend.Entry, error) bool) {
				for e, err := range b.Model.Scan(context.Background(), r) {
					for range 2 {
						if !yield(e, err) {
							return
						}
					}
				}
			}
		}
	}), []string{"scan yields a range in order", historyName}},
	{"leaves a scan open", breaking(func(b *broken) {
		open := 0
		b.scan = func(r backend.KeyGroupRange) iter.Seq2[backend.Entry, error] {
			return func(yield func(backend.Entry, error) bool) {
				open++
				for e, err := range b.Model.Scan(context.Background(), r) {
					if !yield(e, err) {
						return
					}
				}
				open--
			}
		}
		b.commit = func(ctx context.Context, cp backend.Checkpoint, parts []backend.Part) error {
			if open > 0 {
				return fmt.Errorf("%d scans are open", open)
			}
			return b.Model.Commit(ctx, cp, parts)
		}
	}), []string{"scan may be left early", "scan sees one commit"}},
	{"scans what is there at the time", breaking(func(b *broken) {
		b.scan = func(r backend.KeyGroupRange) iter.Seq2[backend.Entry, error] {
			return func(yield func(backend.Entry, error) bool) {
				for e, err := range b.Model.Scan(context.Background(), r) {
					if value, ok := b.store.entries[modelKey{e.Group, string(e.Key)}]; ok {
						e.Value = []byte(value.value)
					}
					if !yield(e, err) {
						return
					}
				}
			}
		}
	}), []string{"scan sees one commit"}},
}
