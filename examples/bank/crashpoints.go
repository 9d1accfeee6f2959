// SPDX-License-Identifier: Apache-2.0

//go:build crashpoints

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/millrace-io/millrace/backends/memory"
	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"
)

// watchedStore is a store that says, on file descriptor 3, when a commit begins and when it has ended, and what all
// the money adds up to in each epoch. So whoever reads that knows whether the process died within a commit.
//
// BANK_KILL=N,F has it kill the process in the Nth commit, after F times as long as the one before took, and at the
// latest when the commit is done and the engine does not know yet. With a negative F the store is never told of that
// commit: who is told of it while the process lives for -F seconds is told too soon.
type watchedStore struct {
	backend.Backend
	out      *json.Encoder
	mirror   *memory.Backend
	commits  int
	took     time.Duration
	killAt   int
	fraction float64
}

// watched returns a store of which the crash tests know what it does.
func watched(store backend.Backend) backend.Backend {
	w := &watchedStore{Backend: store, out: json.NewEncoder(os.NewFile(3, "watch"))}
	if _, err := fmt.Sscanf(os.Getenv("BANK_KILL"), "%d,%g", &w.killAt, &w.fraction); err != nil {
		w.killAt = 0
	}
	if err := w.load(); err != nil {
		panic(err)
	}
	return w
}

// load copies what the store holds.
func (w *watchedStore) load() (err error) {
	ctx := context.Background()
	opts := backend.Options{Application: application, KeyGroups: keyGroups}
	if w.mirror, err = memory.Open(ctx, opts); err != nil {
		return err
	}
	cp, ok, err := w.Backend.Latest(ctx)
	if err != nil || !ok {
		return err
	}
	var all backend.Part
	for e, err := range w.Backend.Scan(ctx, backend.KeyGroupRange{End: statefun.KeyGroup(keyGroups)}) {
		if err != nil {
			return err
		}
		all.Changes = backend.AppendPut(all.Changes, e.Group, e.Key, e.Value)
	}
	return w.mirror.Commit(ctx, cp, []backend.Part{all})
}

func (w *watchedStore) Commit(ctx context.Context, cp backend.Checkpoint, parts []backend.Part) error {
	w.commits++
	if err := w.out.Encode(map[string]any{"begin": cp.Epoch}); err != nil {
		return err
	}
	begin := time.Now()
	if w.commits == w.killAt {
		if w.fraction < 0 {
			time.Sleep(time.Duration(-w.fraction * float64(time.Second)))
			die()
		}
		time.AfterFunc(time.Duration(w.fraction*float64(w.took)), die)
	}
	if err := w.Backend.Commit(ctx, cp, parts); err != nil {
		return err
	}
	w.took = time.Since(begin)
	if w.commits == w.killAt {
		die()
	}
	if err := w.out.Encode(map[string]any{"end": cp.Epoch}); err != nil {
		return err
	}
	if err := w.mirror.Commit(ctx, cp, parts); err != nil {
		return err
	}
	books, err := readBooks(ctx, w.mirror)
	if err != nil {
		return err
	}
	return w.out.Encode(books.totals())
}

func die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // Nobody is left to be told of an error.
	select {}
}
