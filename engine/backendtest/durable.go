// SPDX-License-Identifier: Apache-2.0

package backendtest

import (
	"errors"

	"github.com/millrace-io/millrace/engine/backend"
)

func checkSurvives(s *store) {
	s.commit(1, part(put(1, "a", "1"), put(2, "b", "2"), put(3, "empty", "")))
	s.commit(5, part(put(1, "a", "5"), del(2, "b")))
	latest := s.checkpoint(5)
	for range 3 {
		s.reopen()
		s.want("after opening again", item{1, "a", "5"}, item{3, "empty", ""})
		s.wantLatest("after opening again", latest)
	}
	if err := s.tryCommit(s.ctx, 5); !errors.Is(err, backend.ErrEpochOrder) {
		s.Fatalf("commit of the latest epoch after opening again: %v; want ErrEpochOrder", err)
	}
	s.commit(6, part(put(2, "b", "6")))
	latest = s.checkpoint(6)
	s.reopen()
	s.want("after a later commit", item{1, "a", "5"}, item{2, "b", "6"}, item{3, "empty", ""})
	s.wantLatest("after a later commit", latest)
}

// A generation is taken by opening, whether something is committed in it or not.
func checkGenerations(s *store) {
	last := s.b.Generation()
	for i := range 4 {
		if i == 2 {
			s.commit(1)
		}
		s.reopen()
		if next := s.b.Generation(); next <= last {
			s.Fatalf("generation %d after %d", next, last)
		}
		last = s.b.Generation()
	}
}

func checkMismatch(s *store) {
	s.commit(1, part(put(1, "a", "1")))
	latest := s.checkpoint(1)
	if err := s.b.Close(); err != nil {
		s.Fatalf("close: %v", err)
	}
	for _, opts := range []backend.Options{
		{Application: "another", KeyGroups: options.KeyGroups},
		{Application: options.Application, KeyGroups: options.KeyGroups + 1},
		{Application: options.Application, KeyGroups: options.KeyGroups - 1},
	} {
		b, err := s.f.Open(s.ctx, s.location, opts)
		if err == nil {
			_ = b.Close()
		}
		if !errors.Is(err, backend.ErrMismatch) {
			s.Fatalf("open with %+v: %v; want ErrMismatch", opts, err)
		}
	}
	s.b = open(s.tb, s.f, s.location, options).b
	s.want("after others were refused", item{1, "a", "1"})
	s.wantLatest("after others were refused", latest)
}

// Opening a store that is open is refused, or takes it away from its owner.
func checkOwner(s *store) {
	s.commit(1, part(put(1, "a", "1")))
	b, err := s.f.Open(s.ctx, s.location, options)
	if err != nil {
		s.commit(2, part(put(1, "a", "owner")))
		s.want("after another was refused", item{1, "a", "owner"})
		return
	}
	next := &store{tb: s.tb, ctx: s.ctx, f: s.f, location: s.location, b: b}
	defer next.close()
	if err := s.tryCommit(s.ctx, 2, part(put(1, "a", "old owner"))); !errors.Is(err, backend.ErrFenced) {
		s.Fatalf("commit by the old owner: %v; want ErrFenced", err)
	}
	next.want("after the old owner was fenced", item{1, "a", "1"})
	next.commit(2, part(put(1, "a", "new owner")))
	next.want("after the new owner's commit", item{1, "a", "new owner"})
}
