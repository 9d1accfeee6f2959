// SPDX-License-Identifier: Apache-2.0

package logstore

import (
	"context"
	"testing"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"

	"github.com/millrace-io/millrace/backends/logstore/disktest"
)

// emptying begins again when it may, and notes which record it was told of.
type emptying struct {
	forgetful
	known *uint64
}

func (e emptying) Empty(_ View, known uint64) (View, []byte) {
	*e.known = known
	return emptyView{}, nil
}

func openEmptying(t *testing.T, known *uint64, foldAt int64) *Store {
	t.Helper()
	kind := kindOf("emptying")
	kind.Open = func(Env, []byte) (Base, View, error) { return emptying{known: known}, emptyView{}, nil }
	s, err := Open(t.Context(), Config{
		Name: "test", Kind: kind, FS: disktest.NewDisk().Process(), SegmentBytes: 16 << 10,
		FoldAt: Length{Bytes: foldAt, Records: Endless}, Max: Length{Bytes: 1 << 40, Records: Endless}, MemoryBytes: 1 << 20,
		Inline: true,
	}, testOptions)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func commitSince(ctx context.Context, s *Store, epoch, since statefun.Epoch) error {
	cp := backend.Checkpoint{Application: "shop", Generation: s.Generation(), Epoch: epoch, KeyGroups: 8, Since: since}
	return s.Commit(ctx, cp, []backend.Part{{Changes: backend.AppendPut(nil, 1, []byte("key"), nil)}})
}

// The record that must be there once the log before a claim is forgotten is never older than the commit that has made
// the claim, however late that came: without it nobody has said that what is left of the log has everything.
func TestForgetKnowsTheClaim(t *testing.T) {
	var known uint64
	s := openEmptying(t, &known, 64<<10)
	for epoch := statefun.Epoch(1); epoch <= 4; epoch++ {
		commit(t, s, epoch)
	}
	err := s.tidy(t.Context(), func(ctx context.Context, now *snapshot) error {
		if err := commitSince(ctx, s, 5, 5); err != nil {
			return err
		}
		return s.shorten(ctx, now)
	})
	if err != nil {
		t.Fatal(err)
	}
	if end := s.log.End(); known != end.Sequence || s.Stats(nil).Behind.Records != 1 {
		t.Errorf("record %d is known of; the log ends behind %d, %+v", known, end.Sequence, s.Stats(nil))
	}
}

// However short the log may become, there is an end to making it shorter, and only what is in it is marked.
func TestForgetEnds(t *testing.T) {
	var known uint64
	s := openEmptying(t, &known, 1)
	for epoch := statefun.Epoch(1); epoch <= 3; epoch++ {
		if err := commitSince(t.Context(), s, epoch, epoch); err != nil {
			t.Fatal(err)
		}
	}
	if stats := s.Stats(nil); stats.Behind.Records != 0 || stats.Folds == 0 || stats.Forgotten == 0 {
		t.Errorf("%+v", stats)
	}
	if n := len(s.marks.list); n > 0 {
		t.Errorf("%d marks in a log of nothing", n)
	}
}
