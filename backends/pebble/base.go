// SPDX-License-Identifier: Apache-2.0

package pebble

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"path"
	"strings"
	"sync/atomic"

	pebbledb "github.com/cockroachdb/pebble/v2"

	"github.com/millrace-io/millrace/engine/backend"

	"github.com/millrace-io/millrace/backends/logstore"
	"github.com/millrace-io/millrace/backends/logstore/format"
)

// kind is the base of a store of this backend.
func kind(cacheBytes int64) logstore.Kind {
	return logstore.Kind{
		Name: "pebble",
		Create: func(env logstore.Env) ([]byte, error) {
			return (&base{env: env, cacheBytes: cacheBytes}).create()
		},
		Open: func(env logstore.Env, section []byte) (logstore.Base, logstore.View, error) {
			b := &base{env: env, cacheBytes: cacheBytes}
			v, err := b.openExisting(section)
			return b, v, err
		},
		Unborn: func(name string) (int64, bool) { return -1, path.Ext(name) == ".sst" },
	}
}

// base is a Pebble database. Its methods, but for readElsewhere, are called by one goroutine at a time.
type base struct {
	env        logstore.Env
	cacheBytes int64
	now        *instance
	instances  atomic.Int64 // Now, and those that somebody still reads.
	sequence   uint64       // Of the newest record of which something is in it.
}

// appliedKey is behind all keys of entries, whose first byte is at most 0x7f. Its value is the number of the store,
// and the sequence of the newest record of which there is something in the base. It is taken in together with that.
var appliedKey = []byte("\xffapplied")

func (b *base) create() ([]byte, error) {
	names, err := b.env.FS.List()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if left(name) {
			if err := b.env.FS.Remove(name); err != nil {
				return nil, err
			}
		}
	}
	i, err := b.open(false, false)
	if err != nil {
		return nil, err
	}
	b.retire(i)
	if why := i.files.change(); errors.Is(why, backend.ErrSync) { // Of a directory: Pebble does not look.
		return nil, explain(why)
	}
	return b.section(), nil
}

// left reports whether a crash while a store was made can have left the file.
func left(name string) bool {
	for _, start := range []string{"MANIFEST-", "OPTIONS-", "marker.", "temporary."} {
		if strings.HasPrefix(name, start) {
			return true
		}
	}
	return false
}

func (b *base) section() []byte { return binary.AppendUvarint(nil, b.sequence) }

// openExisting opens the database to be read, and checks that it is the one that the manifest speaks of, and not an
// older state of it.
func (b *base) openExisting(section []byte) (v logstore.View, err error) {
	f := format.NewFields(section)
	least := f.Uint(math.MaxUint64)
	if err := f.Err(); err != nil {
		return nil, format.Corrupt("manifest", format.HeaderBytes, "pebble: %v", err)
	}
	if b.now, err = b.open(true, true); err != nil {
		return nil, err
	}
	if b.sequence, err = b.applied(b.now, least); err != nil {
		b.retire(b.now)
		return nil, err
	}
	return newView(b.now), nil
}

// applied returns what the database says of itself: it must be the store's, and have at least what is known to be in
// it.
func (b *base) applied(i *instance, least uint64) (sequence uint64, err error) {
	value, closer, err := i.db.Get(appliedKey)
	switch {
	case errors.Is(err, pebbledb.ErrNotFound):
	case err != nil:
		return 0, explain(err)
	default:
		if id := b.env.Store; len(value) != len(id)+8 || string(value[:len(id)]) != string(id[:]) {
			err = fmt.Errorf("%w: %s: the database belongs to store %x, want %v", backend.ErrCorrupt, i.files.manifest, value[:min(len(value), len(id))], id)
		} else {
			sequence = binary.LittleEndian.Uint64(value[len(id):])
		}
		if err = errors.Join(err, closer.Close()); err != nil {
			return 0, err
		}
	}
	if sequence < least {
		return 0, fmt.Errorf("%w: %s: the database has the log up to record %d, and record %d is known to have been in it",
			backend.ErrCorrupt, i.files.manifest, sequence, least)
	}
	return sequence, nil
}

// Sequence implements [logstore.Base].
func (b *base) Sequence() uint64 { return b.sequence }

// writable returns the database as it can be written to, and opens another instance if need be.
func (b *base) writable() (*instance, error) {
	old := b.now
	why := old.files.change()
	if why == nil {
		return old, nil
	}
	if errors.Is(why, backend.ErrSync) {
		return nil, explain(why)
	}
	i, err := b.open(false, true)
	if err != nil {
		return nil, err
	}
	if b.sequence, err = b.applied(i, b.sequence); err != nil {
		b.retire(i)
		return nil, err
	}
	b.now = i
	b.retire(old)
	return i, nil
}

// readElsewhere reports whether there is an instance beside the newest, whose tables must stay.
func (b *base) readElsewhere() bool { return b.instances.Load() > 1 }

// Fold implements [logstore.Base].
func (b *base) Fold(ctx context.Context, _ logstore.View) (logstore.Fold, error) {
	i, err := b.writable()
	if err != nil {
		return nil, err
	}
	return &fold{base: b, ctx: ctx, into: i}, nil
}

// Close implements [logstore.Base].
func (b *base) Close() error {
	if b.now != nil {
		b.retire(b.now)
		b.now = nil
	}
	return nil
}
