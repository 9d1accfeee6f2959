// SPDX-License-Identifier: Apache-2.0

package logstore

import (
	"context"
	"sync/atomic"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"

	"github.com/millrace-io/millrace/backends/logstore/disk"
	"github.com/millrace-io/millrace/backends/logstore/format"
	"github.com/millrace-io/millrace/backends/logstore/sorted"
)

// Kind is a kind of base: what a backend adds to the log.
type Kind struct {
	// Name is in the manifest. A store with another kind of base is refused.
	Name string
	// Create makes an empty base where there is no store, durable but for the names of its files. It removes
	// what a crash in an earlier Create has left. section is for the manifest.
	Create func(env Env) (section []byte, err error)
	// Open reads the base that a manifest speaks of and changes nothing.
	Open func(env Env, section []byte) (Base, View, error)
	// Unborn returns for a file of the base how long it may be where there is no store: Create does not make it
	// longer. ok == false says that the file is not of the base, or may be there anyway.
	Unborn func(name string) (most int64, ok bool)
}

// Env is where a base is.
type Env struct {
	FS        disk.FS
	Store     format.StoreID
	KeyGroups int
	Inline    bool // Nothing may happen beside the calls.
	// Fail says that no commit may succeed any more. Any goroutine may call it.
	Fail func(error)
}

// Base holds what has been folded out of the log. It is called by one goroutine at a time.
type Base interface {
	// Sequence returns a record of the log, of which the base is sure that it was committed: its changes, or
	// some of them, are in the base, or [Emptier] was told of it. 0 when the base is not sure of any.
	Sequence() uint64
	// Fold begins to take in what the log says on top of a view, the newest.
	Fold(ctx context.Context, on View) (Fold, error)
	// Close gives up what the base holds. All views have been closed.
	Close() error
}

// Emptier is a base that can begin again with nothing in it, as the log from some record on has all that the store
// holds.
type Emptier interface {
	// Empty begins again on top of a view, the newest. Known is a record that was committed, behind the log's new
	// beginning: a log that ends before it may have nothing of what was there before, and [Base.Sequence] returns
	// it from the next start on. What Empty returns becomes the store's with the manifest that has the section in it.
	Empty(on View, known uint64) (empty View, section []byte)
}

// Fold takes changes into a base.
type Fold interface {
	// Add takes changes that are newer than all that were added before. They are of records up to a sequence. The
	// last call says so.
	Add(changes *sorted.Memtable, sequence uint64, last bool) error
	// Done makes what was added durable. What it returns becomes the store's with the manifest that has the
	// section in it.
	Done() (on View, section []byte, err error)
	// Discard gives up what is not in a view. It may be called after Done.
	Discard()
	// Bytes returns how much has been written.
	Bytes() int64
}

// View is what a base holds at one moment. Many goroutines may read it at once.
type View interface {
	// Scan returns the changes of some key groups, the newest source first.
	Scan(r backend.KeyGroupRange) ([]sorted.Source, error)
	// Get returns the change of a key. It owns its bytes.
	Get(group statefun.KeyGroup, key []byte) (c backend.Change, ok bool, err error)
	// Stray reports whether a file is of this kind of base and not in use, when this is the newest view.
	Stray(name string) bool
	// Close is called when nobody reads it any more.
	Close()
}

// held is a view that several hold: the store, and those who read it.
type held struct {
	View
	holders atomic.Int64
}

func hold(v View) *held {
	h := &held{View: v}
	h.holders.Store(1)
	return h
}

func (h *held) retain() { h.holders.Add(1) }

func (h *held) release() {
	if h.holders.Add(-1) == 0 {
		h.Close()
	}
}
