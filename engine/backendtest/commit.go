// SPDX-License-Identifier: Apache-2.0

package backendtest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"
)

func checkEpochs(s *store) {
	// Epoch 0 marks what belongs to no epoch: not even the first may have it.
	if err := s.tryCommit(s.ctx, 0, part(put(1, "a", "0"))); !errors.Is(err, backend.ErrEpochOrder) {
		s.Fatalf("commit of epoch 0: %v; want ErrEpochOrder", err)
	}
	s.want("after epoch 0 was refused")
	if _, ok, err := s.b.Latest(s.ctx); ok || err != nil {
		s.Fatalf("after epoch 0 was refused: latest has %v, %v; want none", ok, err)
	}

	s.commit(7, part(put(1, "a", "7"))) // Numbers may be skipped, also at first.
	for _, epoch := range []statefun.Epoch{7, 6, 1, 0} {
		err := s.tryCommit(s.ctx, epoch, part(put(1, "a", "stale"), put(1, "b", "stale")))
		if !errors.Is(err, backend.ErrEpochOrder) {
			s.Fatalf("commit of epoch %d behind 7: %v; want ErrEpochOrder", epoch, err)
		}
	}
	s.want("after stale epochs", item{1, "a", "7"})
	s.wantLatest("after stale epochs", s.checkpoint(7))
	s.commit(1<<40, part(put(1, "a", "8")))
	s.want("after a great leap", item{1, "a", "8"})
	s.wantLatest("after a great leap", s.checkpoint(1<<40))
}

// damage appends to a part what does not belong there.
var damage = map[string]change{
	"an unknown operation":      func(b []byte) []byte { return append(b, 9, 1, 0, 1, 'x') },
	"half a change":             func(b []byte) []byte { return append(b, 1, 1, 0, 5, 'x') },
	"a put without value":       func(b []byte) []byte { return append(b, 1, 1, 0, 1, 'x') },
	"a length beyond the part":  func(b []byte) []byte { return append(b, 2, 1, 0, 0xff, 0xff, 0xff, 0xff, 0x0f, 'x') },
	"an unknown key group":      put(16, "x", "v"),
	"a far key group":           put(1<<16-1, "x", "v"),
	"a delete in none of ours":  del(300, "x"),
	"one byte":                  func(b []byte) []byte { return append(b, 1) },
	"a length beyond 64 bits":   func(b []byte) []byte { return append(b, "\x02\x01\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"...) },
	"a length of nearly 2^64":   func(b []byte) []byte { return append(b, "\x01\x01\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x"...) },
	"a length which is cut off": func(b []byte) []byte { return append(b, 2, 1, 0, 0x80) },
}

func checkDamage(s *store) {
	s.commit(1, part(put(1, "a", "1"), put(2, "b", "2")))
	before := []item{{1, "a", "1"}, {2, "b", "2"}}
	good := part(put(1, "a", "new"), del(2, "b"), put(3, "c", "new"))
	for name, bad := range damage {
		for where, parts := range map[string][]backend.Part{
			"alone":        {part(bad)},
			"in the first": {part(put(1, "a", "new"), del(2, "b"), bad), good},
			"in the last":  {good, part(put(3, "d", "new"), bad)},
		} {
			if err := s.tryCommit(s.ctx, 2, parts...); !errors.Is(err, backend.ErrCorrupt) {
				s.Fatalf("commit with %s %s: %v; want ErrCorrupt", name, where, err)
			}
			s.want("after "+name+" "+where, before...)
			s.wantLatest("after "+name+" "+where, s.checkpoint(1))
		}
	}
	s.commit(2, good)
	s.want("after the same epoch without damage", item{1, "a", "new"}, item{3, "c", "new"})
}

// A commit that fails for another reason leaves its epoch uncommitted, and the engine repeats it with the
// same bytes. The one reason that can be had from every backend is a context that has ended; a backend
// that does not look at it commits at once.
func checkRepeat(s *store) {
	s.commit(1, part(put(1, "a", "1")))
	ended, cancel := context.WithCancel(s.ctx)
	cancel()
	parts := []backend.Part{part(put(1, "a", "2")), part(put(2, "b", "2"))}
	if err := s.tryCommit(ended, 2, parts...); err != nil {
		s.want("after a commit that failed", item{1, "a", "1"})
		s.wantLatest("after a commit that failed", s.checkpoint(1))
		s.commit(2, parts...)
	}
	s.want("after it was repeated", item{1, "a", "2"}, item{2, "b", "2"})
	s.wantLatest("after it was repeated", s.checkpoint(2))
}

// Every epoch writes its number to all keys, a part for each half of them, while readers look. Each
// reader begins a scan as a commit begins.
func checkConcurrent(s *store) {
	const (
		epochs  = 100
		readers = 2
		half    = 40
	)
	write := func(epoch statefun.Epoch) {
		var halves [2][]change
		for i := range 2 * half {
			halves[i/half] = append(halves[i/half], put(statefun.KeyGroup(i%16), fmt.Sprint(i), fmt.Sprintf("%08d", epoch)))
		}
		s.since = epoch // A store may forget beside all that.
		s.commit(epoch, part(halves[0]...), part(halves[1]...))
	}
	write(1)

	begin := make(chan struct{})
	failed := make(chan error, readers)
	var done sync.WaitGroup
	for range readers {
		done.Go(func() {
			low := ""
			for range begin {
				if err := s.readOneCommit(2*half, &low); err != nil {
					failed <- err
					break
				}
			}
			for range begin { // The writer still hands out turns.
			}
		})
	}
	func() {
		defer done.Wait() // Also when a commit fails.
		defer close(begin)
		for epoch := statefun.Epoch(2); epoch <= epochs; epoch++ {
			for range readers {
				begin <- struct{}{}
			}
			write(epoch)
		}
	}()
	select {
	case err := <-failed:
		s.Fatalf("beside commits: %v", err)
	default:
	}
}

// readOneCommit scans and then gets every key. A scan has one epoch; what is read later is never older
// than what was read before. low is the newest epoch that this reader has seen.
func (s *store) readOneCommit(keys int, low *string) error {
	items, err := s.tryScan(everything)
	if err != nil {
		return err
	}
	if len(items) != keys {
		return fmt.Errorf("scan yields %d entries; want %d", len(items), keys)
	}
	for _, i := range items {
		if i.value != items[0].value {
			return fmt.Errorf("scan yields a mix of epochs: %v beside %v", i, items[0])
		}
	}
	if items[0].value < *low {
		return fmt.Errorf("scan yields epoch %s behind %s", items[0].value, *low)
	}
	*low = items[0].value
	for _, i := range items {
		switch value, ok, err := s.tryGet(i.group, i.key); {
		case err != nil:
			return err
		case !ok || value < *low:
			return fmt.Errorf("get of %q yields epoch %s, %v behind %s", i.key, value, ok, *low)
		default:
			*low = value
		}
	}
	return nil
}
