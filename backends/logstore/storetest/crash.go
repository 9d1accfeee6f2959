// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/millrace-io/millrace/engine/statefun"

	"github.com/millrace-io/millrace/backends/logstore/disktest"
)

// longerThanSegment is longer than a segment of a tiny store.
const longerThanSegment = 13000

// ran is how far a history has come.
type ran struct {
	acked, tried statefun.Epoch // The newest epoch of which Commit has said that it is durable, and that it was asked for.
	generation   statefun.Generation
	folds        uint64
	forgets      int // Processes in which something of the log was forgotten.
}

// run does a history to a store, closing and opening it once on the way, until something fails.
func (s suite) run(t *testing.T, h *history, d *disktest.Disk) (r ran) {
	p := d.Process()
	for {
		b, err := s.Open(t.Context(), tiny(Config{FS: p, Inline: true}), Options)
		if err != nil {
			return r
		}
		r.generation = b.Generation()
		for err == nil && r.tried < h.last() {
			r.tried++
			if err = h.commit(t, b, r.tried); err == nil {
				r.acked = r.tried
			}
			if r.acked == h.last()/2 {
				break
			}
		}
		stats := b.Stats(nil)
		r.folds += stats.Folds
		if stats.Forgotten > 0 {
			r.forgets++
		}
		// A process that is dead has nothing more to say when it is closed.
		if closed := b.Close(); err != nil || closed != nil || r.acked == h.last() {
			return r
		}
	}
}

// ops counts the operations of a history that change the disk, in which all that a store does has happened.
func (s suite) ops(t *testing.T, h *history) (n int) {
	d := disktest.NewDisk()
	d.Inject(func(disktest.Op) error { n++; return nil })
	r := s.run(t, h, d)
	if r.acked != h.last() {
		t.Fatalf("the history ends at %d of %d", r.acked, h.last())
	}
	want := 0
	if s.Forgets {
		want = 2 // Both.
	}
	if r.folds < 2 || r.forgets != want {
		t.Fatalf("%d folds, and %d processes have forgotten something; want %d", r.folds, r.forgets, want)
	}
	return n
}

// dieAfter kills the process before the operation with this number.
func dieAfter(ops int) func(disktest.Op) error {
	return func(disktest.Op) error {
		if ops--; ops < 0 {
			return disktest.ErrDead
		}
		return nil
	}
}

func coin(seed uint64) disktest.Survives {
	rng := rand.New(rand.NewPCG(seed, 1))
	return func() bool { return rng.IntN(2) == 0 }
}

// outcomes are the ways in which a process can end.
var outcomes = []struct {
	name string
	do   func(d *disktest.Disk, seed uint64)
}{
	{"killed", func(d *disktest.Disk, _ uint64) { d.Kill() }},
	{"power, lose", func(d *disktest.Disk, _ uint64) { d.Crash(disktest.Lose) }},
	{"power, keep", func(d *disktest.Disk, _ uint64) { d.Crash(disktest.Keep) }},
	{"power, any", func(d *disktest.Disk, seed uint64) { d.Crash(coin(seed)) }},
	{"power, any other", func(d *disktest.Disk, seed uint64) { d.Crash(coin(^seed)) }},
}

// A crash before any operation, with any part of what was not synced lost: the store holds the last epoch that
// was acknowledged, or the one whose commit was under way, whole. It goes on from there.
func (s suite) crashAnywhere(t *testing.T) {
	h := newHistory(11, longerThanSegment)
	total := s.ops(t, h)
	t.Logf("%d operations", total)
	for _, end := range outcomes {
		t.Run(end.name, func(t *testing.T) {
			t.Parallel()
			for at := range total {
				d := disktest.NewDisk()
				d.Inject(dieAfter(at))
				r := s.run(t, h, d)
				d.Inject(nil)
				end.do(d, uint64(at))

				b := s.mustOpen(t, d.Process())
				if next := b.Generation(); next <= r.generation {
					t.Fatalf("generation %d after %d", next, r.generation)
				}
				epoch := h.check(t, b, r.acked, r.tried)
				if t.Failed() {
					t.Fatalf("crash before operation %d", at)
				}

				// What has been read once stays, wherever it came from.
				d.Crash(coin(uint64(at)))
				_ = b.Close() // A process that is dead has nothing more to say.
				b = s.mustOpen(t, d.Process())
				h.check(t, b, epoch)
				for ; epoch < h.last(); epoch++ {
					if err := h.commit(t, b, epoch+1); err != nil {
						t.Fatalf("crash before operation %d: commit of %d: %v", at, epoch+1, err)
					}
				}
				d.Crash(disktest.Lose)
				_ = b.Close()
				b = s.mustOpen(t, d.Process())
				h.check(t, b, h.last())
				if err := b.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// Recovery can be interrupted as often as one likes.
func (s suite) crashDuringRecovery(t *testing.T) {
	h := newHistory(11, longerThanSegment)
	total := s.ops(t, h)
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 2))
			d := disktest.NewDisk()
			d.Inject(dieAfter(rng.IntN(total)))
			r := s.run(t, h, d)
			d.Crash(coin(seed))
			for at := 0; ; at++ {
				d.Inject(dieAfter(at))
				b, err := s.Open(t.Context(), tiny(Config{FS: d.Process(), Inline: true}), Options)
				d.Inject(nil)
				if err == nil {
					epoch := h.check(t, b, r.acked, r.tried)
					r.acked = epoch
					d.Crash(coin(seed))
					_ = b.Close()
					break
				}
				if !errors.Is(err, disktest.ErrDead) {
					t.Fatal(err)
				}
				if rng.IntN(3) == 0 {
					d.Kill()
				} else {
					d.Crash(coin(rng.Uint64()))
				}
			}
			b := s.mustOpen(t, d.Process())
			h.check(t, b, r.acked)
			_ = b.Close()
		})
	}
}
