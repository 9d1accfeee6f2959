// SPDX-License-Identifier: Apache-2.0

package file

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"

	"github.com/millrace-io/millrace/backends/logstore/disk"
)

const benchGroups = 128

// benchEpochs writes the entries of ids in their order, so many to an epoch, in one part for each of two
// shards: keys of 18 bytes and values of 20, 45 bytes a change.
func benchEpochs(ids []int, changes int) (epochs [][]backend.Part) {
	for ; len(ids) > 0; ids = ids[changes:] {
		parts := make([]backend.Part, 2)
		for _, i := range ids[:changes] {
			id := fmt.Sprintf("user-%011d", i)
			group := statefun.KeyGroupOf(statefun.KeyHash(id), benchGroups)
			value := binary.LittleEndian.AppendUint64(make([]byte, 12, 20), uint64(i))
			p := &parts[int(group)*2/benchGroups]
			p.Changes = backend.AppendPut(p.Changes, group, append([]byte{1, 7}, id...), value)
		}
		epochs = append(epochs, parts)
	}
	return epochs
}

func shuffled(keys int) []int {
	return rand.New(rand.NewPCG(1, 2)).Perm(keys)
}

func openBench(b *testing.B, config Config) *Backend {
	b.Helper()
	store, err := Open(b.Context(), config, backend.Options{Application: "bench", KeyGroups: benchGroups})
	if err != nil {
		b.Fatal(err)
	}
	return store
}

func commitBench(b *testing.B, store *Backend, epoch statefun.Epoch, parts []backend.Part) {
	b.Helper()
	cp := backend.Checkpoint{Application: "bench", Generation: store.Generation(), Epoch: epoch, KeyGroups: benchGroups}
	if err := store.Commit(b.Context(), cp, parts); err != nil {
		b.Fatal(err)
	}
}

// One epoch of so many changed keys, synced, beside the same bytes written to a file and synced by the same
// calls: "bare" is what the disk takes, "share" what the commit adds to it. With compaction, the background
// work that such commits cause is part of the time.
func BenchmarkCommit(b *testing.B) {
	const keys = 1_000_000
	for _, changes := range []int{10, 10_000, 100_000, 1_000_000} {
		for _, compact := range []bool{false, true} {
			b.Run(fmt.Sprintf("changes=%d/compaction=%v", changes, compact), func(b *testing.B) {
				epochs := benchEpochs(shuffled(keys)[:min(keys, 20*changes)], changes)
				dir := b.TempDir()
				config := Config{Dir: filepath.Join(dir, "store")}
				if !compact {
					config.CompactBytes, config.LogBytesMax = 1<<50, 1<<51
				}
				store := openBench(b, config)
				defer store.Close()
				bytes := 0
				for _, p := range epochs[0] {
					bytes += len(p.Changes)
				}
				bare := newBare(b, filepath.Join(dir, "bare"))
				var bareTime time.Duration
				epoch := statefun.Epoch(0)
				for b.Loop() {
					epoch++
					commitBench(b, store, epoch, epochs[int(epoch)%len(epochs)])
					b.StopTimer()
					bareTime += bare.write(b, epochs[int(epoch)%len(epochs)])
					b.StartTimer()
				}
				perOp := b.Elapsed() / time.Duration(b.N)
				bareOp := bareTime / time.Duration(b.N)
				b.ReportMetric(float64(changes)/perOp.Seconds(), "changes/s")
				b.ReportMetric(float64(bytes)/perOp.Seconds()/1e6, "MB/s")
				b.ReportMetric(float64(bytes)/bareOp.Seconds()/1e6, "bare-MB/s")
				b.ReportMetric(float64(bareOp)/float64(perOp), "share-of-bare")
			})
		}
	}
}

// bare writes the same bytes behind each other into files of the same length.
type bare struct {
	fs    disk.FS
	f     disk.File
	at    int64
	files int
}

func newBare(b *testing.B, dir string) *bare {
	b.Helper()
	fs, err := disk.Dir(dir)
	if err != nil {
		b.Fatal(err)
	}
	return &bare{fs: fs}
}

func (w *bare) write(b *testing.B, parts []backend.Part) time.Duration {
	b.Helper()
	if w.f == nil || w.at > 64<<20 {
		if w.f != nil {
			_ = w.f.Close()
		}
		f, err := w.fs.Create(fmt.Sprint("bare-", w.files%8))
		if err != nil {
			b.Fatal(err)
		}
		w.f, w.at, w.files = f, 0, w.files+1
	}
	start := time.Now()
	for _, p := range parts {
		n, err := w.f.WriteAt(p.Changes, w.at)
		if err != nil {
			b.Fatal(err)
		}
		w.at += int64(n)
	}
	if err := w.f.Sync(); err != nil {
		b.Fatal(err)
	}
	return time.Since(start)
}

// Folding a log of a quarter of a gigabyte: into the table of a million keys that change again and again, or of
// keys that are new. In order is how shards write an epoch, by when an instance was made; at random is as bad as
// it gets.
func BenchmarkCompact(b *testing.B) {
	const changes, epochs = 100_000, 60
	for _, keys := range []int{1_000_000, changes * epochs} {
		for _, order := range []string{"made", "random"} {
			b.Run(fmt.Sprintf("keys=%d/order=%s", keys, order), func(b *testing.B) {
				store := openBench(b, Config{Dir: filepath.Join(b.TempDir(), "store"), CompactBytes: 1 << 50, LogBytesMax: 1 << 51})
				defer store.Close()
				ids := shuffled(keys)
				if order == "made" {
					for from := 0; from < keys; from += changes {
						slices.Sort(ids[from : from+changes])
					}
				}
				parts := benchEpochs(ids, changes)
				epoch := statefun.Epoch(0)
				for b.Loop() {
					b.StopTimer()
					for range epochs {
						epoch++
						commitBench(b, store, epoch, parts[int(epoch)%len(parts)])
					}
					b.StartTimer()
					for store.Stats().LogBytes > 0 {
						if err := store.Compact(b.Context()); err != nil {
							b.Fatal(err)
						}
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(changes*epochs), "ns/change")
				b.ReportMetric(float64(store.Stats().CompactedBytes)/float64(b.N)/(changes*epochs*45), "written/committed")
			})
		}
	}
}

// Opening and scanning a store of ten million entries: all in tables, and with half of
// them in a log of 200 MB as well.
func BenchmarkRecover(b *testing.B) {
	const keys, changes = 10_000_000, 500_000
	dir := filepath.Join(b.TempDir(), "store")
	store := openBench(b, Config{Dir: dir, CompactBytes: 1 << 50, LogBytesMax: 1 << 51})
	epoch := statefun.Epoch(0)
	ids := shuffled(keys)
	fill := func(ids []int) {
		for ; len(ids) > 0; ids = ids[changes:] {
			epoch++
			commitBench(b, store, epoch, benchEpochs(ids[:changes], changes)[0])
		}
	}
	fill(ids)
	start := time.Now()
	for store.Stats().LogBytes > 0 {
		if err := store.Compact(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.Logf("%d tables of %d MB with %d entries, compacted in %v", store.Stats().Tables, store.Stats().TableBytes>>20,
		store.Stats().TableEntries, time.Since(start))
	for _, logged := range []int{0, 10} {
		fill(ids[:logged*changes])
		b.Run(fmt.Sprintf("entries=%d/log=%dMB", keys, store.Stats().LogBytes>>20), func(b *testing.B) {
			var open, scan time.Duration
			for b.Loop() {
				if err := store.Close(); err != nil {
					b.Fatal(err)
				}
				start := time.Now()
				store = openBench(b, Config{Dir: dir, CompactBytes: 1 << 50, LogBytesMax: 1 << 51})
				open += time.Since(start)
				start = time.Now()
				// Two shards, as an engine of two would.
				found := make(chan int, 2)
				for half := range statefun.KeyGroup(2) {
					go func() {
						n := 0
						r := backend.KeyGroupRange{First: half * benchGroups / 2, End: (half + 1) * benchGroups / 2}
						for e, err := range store.Scan(b.Context(), r) {
							if err != nil {
								b.Error(err)
								break
							}
							n += len(e.Value) / 20
						}
						found <- n
					}()
				}
				if n := <-found + <-found; n != keys {
					b.Fatalf("%d entries", n)
				}
				scan += time.Since(start)
			}
			b.ReportMetric(open.Seconds()*1000/float64(b.N), "open-ms")
			b.ReportMetric(keys/(scan.Seconds()/float64(b.N)), "entries/s")
		})
	}
	b.Run("get", func(b *testing.B) {
		rng := rand.New(rand.NewPCG(3, 4))
		var key, value []byte
		get := func() {
			id := fmt.Sprintf("user-%011d", rng.IntN(keys))
			key = append(append(key[:0], 1, 7), id...)
			var ok bool
			var err error
			value, ok, err = store.Get(b.Context(), statefun.KeyGroupOf(statefun.KeyHash(id), benchGroups), key, value[:0])
			if !ok || err != nil {
				b.Fatal(ok, err)
			}
		}
		get() // The first reads the log.
		for b.Loop() {
			get()
		}
	})
	if err := store.Close(); err != nil {
		b.Fatal(err)
	}
}
