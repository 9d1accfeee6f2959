// SPDX-License-Identifier: Apache-2.0

package file

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/millrace-io/millrace/engine/statefun"

	"github.com/millrace-io/millrace/backends/file/filetest"
)

// longerThanSegment is longer than a segment of a tiny store.
const longerThanSegment = 13000

// run does a history to a store, closing and opening it once on the way, until something fails. acked is the
// newest epoch of which Commit has said that it is durable, tried the newest that it was asked for.
func (h *history) run(t *testing.T, d *filetest.Disk) (acked, tried, generations statefun.Epoch) {
	p := d.Process()
	for {
		b, err := Open(t.Context(), tiny(Config{FS: p, Inline: true}), options)
		if err != nil {
			return acked, tried, generations
		}
		generations = statefun.Epoch(b.Generation())
		for tried < h.last() {
			tried++
			if err := h.commit(t, b, tried); err != nil {
				_ = b.Close() // A process that is dead has nothing more to say.
				return acked, tried, generations
			}
			acked = tried
			if acked == h.last()/2 {
				break
			}
		}
		if err := b.Close(); err != nil || acked == h.last() {
			return acked, tried, generations
		}
	}
}

// ops counts the operations of a history that change the disk.
func (h *history) ops(t *testing.T) (n int) {
	d := filetest.NewDisk()
	d.Inject(func(filetest.Op) error { n++; return nil })
	if acked, _, _ := h.run(t, d); acked != h.last() {
		t.Fatalf("the history ends at %d of %d", acked, h.last())
	}
	return n
}

// dieAfter kills the process before the operation with this number.
func dieAfter(ops int) func(filetest.Op) error {
	return func(filetest.Op) error {
		if ops--; ops < 0 {
			return filetest.ErrDead
		}
		return nil
	}
}

func coin(seed uint64) filetest.Survives {
	rng := rand.New(rand.NewPCG(seed, 1))
	return func() bool { return rng.IntN(2) == 0 }
}

// outcomes are the ways in which a process can end.
var outcomes = map[string]func(d *filetest.Disk, seed uint64){
	"killed":           func(d *filetest.Disk, _ uint64) { d.Kill() },
	"power, lose":      func(d *filetest.Disk, _ uint64) { d.Crash(filetest.Lose) },
	"power, keep":      func(d *filetest.Disk, _ uint64) { d.Crash(filetest.Keep) },
	"power, any":       func(d *filetest.Disk, seed uint64) { d.Crash(coin(seed)) },
	"power, any other": func(d *filetest.Disk, seed uint64) { d.Crash(coin(^seed)) },
}

// A crash before any operation, with any part of what was not synced lost: the store holds the last epoch that
// was acknowledged, or the one whose commit was under way, whole. It goes on from there.
func TestCrashAnywhere(t *testing.T) {
	h := newHistory(11, longerThanSegment)
	total := h.ops(t)
	t.Logf("%d operations", total)
	for name, end := range outcomes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for at := range total {
				d := filetest.NewDisk()
				d.Inject(dieAfter(at))
				acked, tried, generation := h.run(t, d)
				d.Inject(nil)
				end(d, uint64(at))

				b := mustOpen(t, d.Process())
				if next := statefun.Epoch(b.Generation()); next <= generation {
					t.Fatalf("generation %d after %d", next, generation)
				}
				epoch := h.check(t, b, acked, tried)
				if t.Failed() {
					t.Fatalf("crash before operation %d", at)
				}

				// What has been read once stays, wherever it came from.
				d.Crash(coin(uint64(at)))
				b = mustOpen(t, d.Process())
				h.check(t, b, epoch)
				for ; epoch < h.last(); epoch++ {
					if err := h.commit(t, b, epoch+1); err != nil {
						t.Fatalf("crash before operation %d: commit of %d: %v", at, epoch+1, err)
					}
				}
				d.Crash(filetest.Lose)
				b = mustOpen(t, d.Process())
				h.check(t, b, h.last())
				if err := b.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// Recovery can be interrupted as often as one likes.
func TestCrashDuringRecovery(t *testing.T) {
	h := newHistory(11, longerThanSegment)
	total := h.ops(t)
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 2))
			d := filetest.NewDisk()
			d.Inject(dieAfter(rng.IntN(total)))
			acked, tried, _ := h.run(t, d)
			d.Crash(coin(seed))
			for at := 0; ; at++ {
				d.Inject(dieAfter(at))
				b, err := Open(t.Context(), tiny(Config{FS: d.Process(), Inline: true}), options)
				d.Inject(nil)
				if err == nil {
					epoch := h.check(t, b, acked, tried)
					acked, tried = epoch, epoch
					break
				}
				if !errors.Is(err, filetest.ErrDead) {
					t.Fatal(err)
				}
				if rng.IntN(3) == 0 {
					d.Kill()
				} else {
					d.Crash(coin(rng.Uint64()))
				}
			}
			d.Crash(coin(seed))
			h.check(t, mustOpen(t, d.Process()), acked)
		})
	}
}
