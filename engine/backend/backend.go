// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"context"
	"iter"

	"github.com/millrace-io/millrace/engine/statefun"
)

// Backend keeps the committed checkpoints of one application.
//
// A backend's own Open takes [Options] and, before it reads anything, the next generation, durably and
// exclusively. Commit is called by the coordinator alone, one epoch at a time, in ascending order. Get
// and Scan may run on any goroutine meanwhile and see the last commit, whole. Byte slices passed in
// are borrowed for the call. Errors matching [ErrFenced], [ErrCorrupt] or [ErrSync] stop the process:
// it recovers from the last commit. Any other error leaves the epoch uncommitted, and the engine tries
// again, with the same bytes and with back-off.
//
// Implementations are tested with backendtest.Run.
type Backend interface {
	// Generation returns the generation that Open took.
	Generation() statefun.Generation

	// Durable reports whether what is committed survives the process.
	Durable() bool

	// Latest describes the newest committed checkpoint. It reports ok == false only for a store that
	// never had one; a missing or damaged one is ErrCorrupt.
	Latest(ctx context.Context) (cp Checkpoint, ok bool, err error)

	// Scan yields every entry of the key groups in r as of the last commit, grouped by key group in
	// ascending order, in no other order. An entry's slices are valid until the next one is yielded.
	Scan(ctx context.Context, r KeyGroupRange) iter.Seq2[Entry, error]

	// Get appends the value stored under the key in its key group to dst and returns the extended
	// slice; ok == false, with dst unchanged, when there is none.
	Get(ctx context.Context, group statefun.KeyGroup, key, dst []byte) (value []byte, ok bool, err error)

	// LapBytes is for a store that keeps commits in the order in which they came, and would have to read and
	// write its older ones again so as not to grow for ever: within about so many committed bytes the engine puts
	// every entry again, so that the store may forget them unread ([Checkpoint].Since). 0: it gains nothing by
	// that. It never changes.
	LapBytes() int64

	// Commit makes cp and all parts durable in one step: after a crash at any instruction either all
	// of it is there or none. On return it is durable and visible. An epoch that is not greater than
	// the latest is ErrEpochOrder; a part that does not decode, or that names a key group which the
	// application has not, is ErrCorrupt; and nothing is changed.
	Commit(ctx context.Context, cp Checkpoint, parts []Part) error

	// Close releases the store's lock. It commits nothing.
	Close() error
}

// Options are what every backend's Open needs to know.
type Options struct {
	// Application names the application. A store of another application is refused.
	Application string
	// KeyGroups is the application's number of key groups, fixed for its life: a store with another
	// number is refused.
	KeyGroups int
}

// KeyGroupRange is the key groups from First up to, not including, End.
type KeyGroupRange struct {
	First, End statefun.KeyGroup
}

// Contains reports whether g lies in r.
func (r KeyGroupRange) Contains(g statefun.KeyGroup) bool { return r.First <= g && g < r.End }

// Entry is one stored key and its value.
type Entry struct {
	Group statefun.KeyGroup
	Key   []byte
	Value []byte
}
