// SPDX-License-Identifier: Apache-2.0

package logstore

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"

	"github.com/millrace-io/millrace/backends/logstore/disktest"
	"github.com/millrace-io/millrace/backends/logstore/sorted"
)

// nothing is a base that has nothing in it and takes nothing in. The tests of bases that do are in package
// storetest, and run in the modules of the backends.
type nothing struct{}

func (nothing) Sequence() uint64 { return 0 }
func (nothing) Fold(context.Context, View) (Fold, error) {
	return nil, errors.New("nothing is taken in")
}
func (nothing) Close() error { return nil }

func (nothing) Scan(backend.KeyGroupRange) ([]sorted.Source, error) { return nil, nil }
func (nothing) Stray(string) bool                                   { return false }

func (nothing) Get(statefun.KeyGroup, []byte) (c backend.Change, ok bool, err error) {
	return c, false, nil
}

// forgetful takes in what there is, and has nothing in it.
type forgetful struct{ nothing }

func (forgetful) Fold(context.Context, View) (Fold, error) { return forgetting{}, nil }

type forgetting struct{}

func (forgetting) Add(changes *sorted.Memtable, _ uint64, _ bool) error {
	for d := changes.Drain(); d.Head() != nil; {
		if err := d.Advance(); err != nil {
			return err
		}
	}
	return nil
}
func (forgetting) Done() (View, []byte, error) { return emptyView{}, nil, nil }
func (forgetting) Discard()                    {}
func (forgetting) Bytes() int64                { return 0 }

// The memory of a fold stays for the next, and not for ever.
func TestSpareMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kind := kindOf("forgetful")
		kind.Open = func(Env, []byte) (Base, View, error) { return forgetful{}, emptyView{}, nil }
		unlimited := Length{Bytes: 1 << 40, Records: Endless}
		s, err := Open(t.Context(), Config{
			Name: "test", Kind: kind, FS: disktest.NewDisk().Process(), SegmentBytes: 16 << 10, FoldAt: unlimited,
			Max: unlimited, MemoryBytes: 1 << 20,
		}, testOptions)
		if err != nil {
			t.Fatal(err)
		}
		spare := func() int64 {
			s.folding.Lock()
			defer s.folding.Unlock()
			if s.spare == nil {
				return 0
			}
			return s.spare.Bytes()
		}
		var part backend.Part
		for i := range byte(100) {
			part.Changes = backend.AppendPut(part.Changes, 1, []byte{i}, []byte("value"))
		}
		cp := backend.Checkpoint{Application: "shop", Generation: s.Generation(), Epoch: 1, KeyGroups: 8}
		if err := s.Commit(t.Context(), cp, []backend.Part{part}); err != nil {
			t.Fatal(err)
		}
		if err := s.Fold(t.Context()); err != nil {
			t.Fatal(err)
		}
		if spare() == 0 {
			t.Error("the memory of the fold is not kept")
		}
		time.Sleep(2 * spareFor)
		if n := spare(); n != 0 {
			t.Errorf("%d bytes are still kept", n)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// emptyView is what nothing shows. It has a Close of its own.
type emptyView struct{ nothing }

func (emptyView) Close() {}

func kindOf(name string) Kind {
	return Kind{
		Name:   name,
		Create: func(Env) ([]byte, error) { return nil, nil },
		Open:   func(Env, []byte) (Base, View, error) { return nothing{}, emptyView{}, nil },
		Unborn: func(string) (int64, bool) { return 0, false },
	}
}

var testOptions = backend.Options{Application: "shop", KeyGroups: 8}

func openOn(t *testing.T, d *disktest.Disk, kind string) (*Store, error) {
	t.Helper()
	unlimited := Length{Bytes: 1 << 40, Records: Endless}
	return Open(t.Context(), Config{
		Name: "test", Kind: kindOf(kind), FS: d.Process(), SegmentBytes: 16 << 10, FoldAt: unlimited, Max: unlimited,
		MemoryBytes: 1 << 20, Inline: true,
	}, testOptions)
}

func commit(t *testing.T, s *Store, epoch statefun.Epoch) {
	t.Helper()
	cp := backend.Checkpoint{Application: "shop", Generation: s.Generation(), Epoch: epoch, KeyGroups: 8}
	part := backend.Part{Changes: backend.AppendPut(nil, 1, []byte("key"), []byte(strings.Repeat("v", int(epoch))))}
	if err := s.Commit(t.Context(), cp, []backend.Part{part}); err != nil {
		t.Fatal(err)
	}
}

// After a loss of power the witness still knows of all segments but the last.
func TestWitnessAfterPowerLoss(t *testing.T) {
	d := disktest.NewDisk()
	s, err := openOn(t, d, "nothing")
	if err != nil {
		t.Fatal(err)
	}
	for epoch := statefun.Epoch(1); epoch <= 8; epoch++ {
		commit(t, s, epoch)
	}
	d.Crash(disktest.Lose)
	w, err := openWitness(d.Process(), s.id)
	if err != nil {
		t.Fatal(err)
	}
	if end := s.log.End(); w.known.epoch < 5 || w.known.sequence > end.Sequence || end.Segment != 3 {
		t.Errorf("the witness knows of %+v; the log ends at %+v", w.known, end)
	}
}

// A store is not opened with another kind of base than that which it was made with, and stays as it is.
func TestOtherKind(t *testing.T) {
	d := disktest.NewDisk()
	s, err := openOn(t, d, "nothing")
	if err != nil {
		t.Fatal(err)
	}
	commit(t, s, 1)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	before := d.Files()
	if _, err := openOn(t, d, "something"); !errors.Is(err, backend.ErrMismatch) || !strings.Contains(err.Error(), `"nothing"`) {
		t.Errorf("error %v; want ErrMismatch and what there is", err)
	}
	for name, data := range d.Files() {
		if string(before[name]) != string(data) {
			t.Errorf("%s has changed", name)
		}
	}
	s, err = openOn(t, d, "nothing")
	if err != nil {
		t.Fatal(err)
	}
	if value, ok, err := s.Get(t.Context(), 1, []byte("key"), nil); string(value) != "v" || !ok || err != nil {
		t.Errorf("holds %q, %v, %v", value, ok, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
