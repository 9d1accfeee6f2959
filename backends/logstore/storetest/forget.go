// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"maps"
	"strings"
	"syscall"
	"testing"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"

	"github.com/millrace-io/millrace/backends/logstore"
	"github.com/millrace-io/millrace/backends/logstore/disktest"
	"github.com/millrace-io/millrace/backends/logstore/format"
)

// What commits have said decides how the log is made shorter, once it is long enough. Nothing is read when it is
// forgotten; what the store holds is the same before, afterwards and when it is opened again, and a scan that has begun
// before ends as it began. A base that cannot begin again takes the log in, whatever is said.
func (s suite) forgets(t *testing.T) {
	type says = map[statefun.Epoch]statefun.Epoch // By the epoch of the commit: since when everything has been put.
	for _, tt := range []struct {
		name   string
		says   says
		oldest statefun.Epoch // So long ago something was put for the last time.
		reopen statefun.Epoch // Behind it the store is closed and opened again.
		pages  uint64         // That are forgotten.
	}{
		{name: "nothing is said", oldest: 1},
		{name: "since the newest", says: says{14: 14}, oldest: 14, pages: 11},
		{name: "since another", says: says{14: 9}, oldest: 9, pages: 6},
		{name: "said earlier", says: says{10: 8}, oldest: 8, pages: 5},
		{name: "said again, of more", says: says{7: 6, 9: 8, 12: 10}, oldest: 10, pages: 7},
		{name: "said again, of less", says: says{10: 8, 11: 5, 12: 0}, oldest: 8, pages: 5},
		{name: "too little", says: says{10: 4}, oldest: 4},
		{name: "what is in the base", says: says{10: 2}, oldest: 2},
		{name: "after a start", says: says{13: 9}, oldest: 9, reopen: 7, pages: 7},
		{name: "before a start", says: says{13: 6}, oldest: 6, reopen: 7},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if !s.Forgets {
				tt.pages = 0
			}
			d := disktest.NewDisk()
			open := func() *logstore.Store {
				return s.open(t, Config{FS: d.Process(), Inline: true, SegmentBytes: 16 << 10, FoldBytes: 12 * format.PageBytes})
			}
			b := open()
			if can := b.LapBytes() > 0; can != s.Forgets {
				t.Fatalf("laps of %d bytes; that the base begins again is %v", b.LapBytes(), s.Forgets)
			}
			want := Contents{}
			commit := func(epoch statefun.Epoch) {
				t.Helper()
				p := changesOf(epoch, epoch == tt.oldest, want)
				cp := backend.Checkpoint{
					Application: Options.Application, Generation: b.Generation(), Epoch: epoch, KeyGroups: Options.KeyGroups, Since: tt.says[epoch],
				}
				if err := b.Commit(t.Context(), cp, []backend.Part{p}); err != nil {
					t.Fatal(err)
				}
			}
			holds := func(when string) {
				t.Helper()
				if state, err := Read(t, b); err != nil || !maps.Equal(state, want) {
					t.Fatalf("%s: %.200q, %v; want %.200q", when, state, err, want)
				}
			}
			commit(1)
			commit(2)
			if err := b.Fold(t.Context()); err != nil {
				t.Fatal(err)
			}
			began := maps.Clone(want)
			next, stop := iter.Pull2(b.Scan(t.Context(), everything))
			defer stop()
			e, err, more := next()

			epoch, folds := statefun.Epoch(3), b.Stats(nil).Folds
			for ; b.Stats(nil).Behind.Bytes < 11*format.PageBytes; epoch++ { // One page each, also for a start.
				commit(epoch)
				if epoch == tt.reopen {
					if err := b.Close(); err != nil {
						t.Fatal(err)
					}
					b, folds = open(), 0
				}
			}
			holds("before")
			if stats := b.Stats(nil); stats.Forgotten > 0 || stats.Folds > folds {
				t.Fatalf("%+v; it is too early", stats)
			}
			if tt.pages > 0 {
				d.InjectReads(func(op disktest.Op) error {
					if op.Kind == disktest.OpRead || op.Kind == disktest.OpOpen {
						return syscall.EIO
					}
					return nil
				})
			}
			commit(epoch)
			d.Inject(nil)
			stats := b.Stats(nil)
			if stats.Forgotten != tt.pages*format.PageBytes || (stats.Folds > folds) != (tt.pages == 0) || stats.FoldFailed != nil {
				t.Errorf("%+v; want %d pages to be forgotten", stats, tt.pages)
			}
			for name := range d.Files() {
				if tt.pages > 0 && strings.HasPrefix(name, s.Base) {
					t.Errorf("%s is still there", name)
				}
			}
			holds("afterwards")

			for ; more; e, err, more = next() {
				if err != nil {
					t.Fatal(err)
				}
				if name := fmt.Sprint(e.Group, " ", string(e.Key)); began[name] != string(e.Value) {
					t.Errorf("the scan yields %s", name)
				} else {
					delete(began, name)
				}
			}
			if len(began) > 0 {
				t.Errorf("the scan does not yield %d entries", len(began))
			}
			d.Crash(disktest.Lose)
			_ = b.Close() // A process that is dead has nothing more to say.
			b = open()
			holds("when it is opened again")
			if err := b.Fold(t.Context()); err != nil {
				t.Fatal(err)
			}
			holds("after a fold")
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
			b = open()
			holds("when it is opened again after that")
			_ = b.Close()
		})
	}
}

// changesOf makes an epoch, of which a page in the log is left, and does it to what a store holds: the first puts more
// than is read at once, and the third deletes all that. One of them puts what no other does.
func changesOf(epoch statefun.Epoch, oldest bool, state Contents) (p backend.Part) {
	put := func(group statefun.KeyGroup, key, value string) {
		p.Changes = backend.AppendPut(p.Changes, group, []byte(key), []byte(value))
		state[fmt.Sprint(group, " ", key)] = value
	}
	put(3, "always", fmt.Sprint(epoch))
	if oldest {
		put(2, "once", fmt.Sprint(epoch))
	}
	for i := range statefun.KeyGroup(150) {
		switch group, key := i%8, fmt.Sprint("bulk ", i); epoch {
		case 1:
			put(group, key, strings.Repeat(key, 50))
		case 3:
			p.Changes = backend.AppendDelete(p.Changes, group, []byte(key))
			delete(state, fmt.Sprint(group, " ", key))
		}
	}
	return p
}

// forgottenStore returns the files of a store that has forgotten all before epoch 4 once it had epoch 5, whose record its
// manifest knows of. There are some epochs behind that, in two segments. It may have begun to fold, which is as far as the
// first record. old is a witness that knows of none of them.
func (s suite) forgottenStore(t *testing.T, h *history, folded bool) (files map[string][]byte, old []byte) {
	t.Helper()
	d := disktest.NewDisk()
	b := s.open(t, Config{FS: d.Process(), Inline: true, SegmentBytes: 16 << 10, FoldBytes: 6 * format.PageBytes, MemoryBytes: 1})
	old = d.Files()["witness"]
	for epoch := statefun.Epoch(1); epoch <= h.last(); epoch++ {
		if err := h.commit(t, b, epoch); err != nil {
			t.Fatal(err)
		}
	}
	if stats := b.Stats(nil); stats.Folds != 0 || stats.Forgotten != 4*format.PageBytes || stats.Behind.Records != 5 || stats.Segments != 2 {
		t.Fatalf("the store has %+v", stats)
	}
	if folded {
		if err := b.Fold(t.Context()); err != nil || b.Stats(nil).Behind.Records != 4 {
			t.Fatalf("the store has %+v, %v", b.Stats(nil), err)
		}
	}
	d.Kill()
	_ = b.Close()
	return d.Files(), old
}

// A store that has forgotten has nothing without its log. So, if that ends before the commit that has said that the rest
// may be forgotten, it is refused, even if there is no later segment and the witness is as old as the store: it is never
// taken for an empty one, or for one in which only something has been put. A fold in between changes nothing.
func (s suite) lostTail(t *testing.T) {
	if !s.Forgets {
		t.Skip("the base does not begin again")
	}
	const log, next = "log-000000000002", "log-000000000003"
	h := newHistory(8, 700)
	for _, folded := range []bool{false, true} {
		files, old := s.forgottenStore(t, h, folded)
		files = with(files, "witness", old)
		delete(files, next)
		data := files[log]
		known := len(bytes.TrimRight(data[:3*format.PageBytes], "\x00")) // Where the record of epoch 5 ends, but for zeros.
		for _, at := range interesting(data) {
			zeros := append(bytes.Clone(data[:at]), make([]byte, len(data)-at)...)
			for what, lost := range map[string][]byte{"cut": data[:at:at], "zeros from": zeros} {
				b, err := s.Open(t.Context(), Config{FS: disktest.DiskOf(with(files, log, lost)).Process(), Inline: true, SegmentBytes: 16 << 10}, Options)
				switch {
				case err != nil && (!errors.Is(err, backend.ErrCorrupt) || !strings.Contains(err.Error(), " at offset ")):
					t.Fatalf("%s %d: %v; want ErrCorrupt, and where", what, at, err)
				case err == nil && at < known:
					t.Fatalf("folded: %v: %s %d is not refused", folded, what, at)
				case err == nil:
					h.check(t, b, 5, 6)
					_ = b.Close()
				}
			}
		}
	}
}
