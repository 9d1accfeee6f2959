// SPDX-License-Identifier: Apache-2.0

package pebble

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"
)

const (
	benchGroups = 128
	benchKeys   = 1_000_000
)

// benchEpochs writes a million keys in a random order, so many to an epoch, in one part for each of two shards: keys of
// 18 bytes and values of 20, 45 bytes a change.
func benchEpochs(changes, epochs int) (all [][]backend.Part) {
	ids := rand.New(rand.NewPCG(1, 2)).Perm(benchKeys)
	for e := range min(epochs, benchKeys/changes) {
		parts := make([]backend.Part, 2)
		for _, i := range ids[e*changes:][:changes] {
			group, key := benchKey(i)
			value := binary.LittleEndian.AppendUint64(make([]byte, 12, 20), uint64(i))
			p := &parts[int(group)*2/benchGroups]
			p.Changes = backend.AppendPut(p.Changes, group, key, value)
		}
		all = append(all, parts)
	}
	return all
}

func benchKey(i int) (statefun.KeyGroup, []byte) {
	id := fmt.Sprintf("user-%011d", i)
	return statefun.KeyGroupOf(statefun.KeyHash(id), benchGroups), append([]byte{1, 7}, id...)
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

// One epoch of so many changed keys of a million, synced, as fast as the store takes them, with all that the base does
// meanwhile. The lag is how far it was behind: at most, and on average.
func BenchmarkCommit(b *testing.B) {
	for _, changes := range []int{1000, 100_000} {
		b.Run(fmt.Sprintf("changes=%d", changes), func(b *testing.B) {
			epochs := benchEpochs(changes, 100)
			store := openBench(b, Config{Dir: filepath.Join(b.TempDir(), "store")})
			defer store.Close()
			epoch := statefun.Epoch(0)
			var most, sum, longest float64
			for b.Loop() {
				epoch++
				start := time.Now()
				commitBench(b, store, epoch, epochs[int(epoch)%len(epochs)])
				longest = max(longest, time.Since(start).Seconds())
				behind := float64(store.Store.Stats(nil).Behind.Records)
				most, sum = max(most, behind), sum+behind
			}
			b.ReportMetric(float64(changes)*float64(b.N)/b.Elapsed().Seconds(), "changes/s")
			b.ReportMetric(longest*1000, "longest-ms")
			b.ReportMetric(most, "lag-epochs-max")
			b.ReportMetric(sum/float64(b.N), "lag-epochs")
			s := store.Stats()
			b.ReportMetric(float64(s.Folds), "feeds")
			b.ReportMetric(float64(s.Folded)/float64(b.N)/float64(changes*45), "fed/committed")
			if s.FoldFailed != nil || s.Failed != nil {
				b.Errorf("%+v", s)
			}
		})
	}
}

// Epochs of a tenth of a million keys ten times a second, as an engine does: how much of the time the commits take, and
// how far the base lies behind.
func BenchmarkPaced(b *testing.B) {
	const changes = 100_000
	epochs := benchEpochs(changes, 10)
	store := openBench(b, Config{Dir: filepath.Join(b.TempDir(), "store")})
	defer store.Close()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	epoch := statefun.Epoch(0)
	var busy, longest time.Duration
	most := int64(0)
	for b.Loop() {
		<-tick.C
		epoch++
		start := time.Now()
		commitBench(b, store, epoch, epochs[int(epoch)%len(epochs)])
		took := time.Since(start)
		busy, longest = busy+took, max(longest, took)
		most = max(most, store.Store.Stats(nil).Behind.Bytes)
	}
	b.ReportMetric(busy.Seconds()*1000/float64(b.N), "commit-ms")
	b.ReportMetric(longest.Seconds()*1000, "longest-ms")
	b.ReportMetric(float64(most)/1e6, "lag-MB-max")
}

// Opening and scanning a store of a million entries: all in the base, and with all of them in the log as well. Then one
// entry after another is asked for, and as many that are not there.
func BenchmarkRecover(b *testing.B) {
	const changes = 100_000
	dir := filepath.Join(b.TempDir(), "store")
	config := Config{Dir: dir, FeedBytes: 1 << 50, LagBytesMax: 1 << 51}
	store := openBench(b, config)
	epoch := statefun.Epoch(0)
	fill := func() {
		for _, parts := range benchEpochs(changes, 10) {
			epoch++
			commitBench(b, store, epoch, parts)
		}
	}
	fill()
	if err := store.Fold(b.Context()); err != nil {
		b.Fatal(err)
	}
	for _, logged := range []bool{false, true} {
		if logged {
			fill()
		}
		b.Run(fmt.Sprintf("entries=%d/log=%dMB", benchKeys, store.Stats().Behind.Bytes>>20), func(b *testing.B) {
			var open, scan time.Duration
			for b.Loop() {
				if err := store.Close(); err != nil {
					b.Fatal(err)
				}
				start := time.Now()
				store = openBench(b, config)
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
				if n := <-found + <-found; n != benchKeys {
					b.Fatalf("%d entries", n)
				}
				scan += time.Since(start)
			}
			b.ReportMetric(open.Seconds()*1000/float64(b.N), "open-ms")
			b.ReportMetric(scan.Seconds()*1000/float64(b.N), "scan-ms")
		})
	}
	if err := store.Fold(b.Context()); err != nil {
		b.Fatal(err)
	}
	for _, there := range []bool{true, false} {
		b.Run(fmt.Sprintf("get/there=%v", there), func(b *testing.B) {
			rng := rand.New(rand.NewPCG(3, 4))
			var value []byte
			for b.Loop() {
				i := rng.IntN(benchKeys)
				if !there {
					i += benchKeys
				}
				group, key := benchKey(i)
				var ok bool
				var err error
				if value, ok, err = store.Get(b.Context(), group, key, value[:0]); ok != there || err != nil {
					b.Fatal(ok, err)
				}
			}
		})
	}
	if err := store.Close(); err != nil {
		b.Fatal(err)
	}
}
