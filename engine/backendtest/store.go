// SPDX-License-Identifier: Apache-2.0

package backendtest

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"
)

// tb is what the checks need of *testing.T. It is this small so that the suite's own tests can watch a
// check fail.
type tb interface {
	Helper()
	Fatalf(format string, args ...any)
}

// options are those of every store, unless a check is about them.
var options = backend.Options{Application: "conformance", KeyGroups: 16}

var everything = backend.KeyGroupRange{First: 0, End: 16}

// store is a backend under test and what the checks do with it. Its methods fail the test on an error,
// those that begin with try return it.
type store struct {
	tb
	ctx      context.Context
	f        Factory
	location string
	b        backend.Backend
	since    statefun.Epoch // What the next commits say of those before.
}

func open(t tb, f Factory, location string, opts backend.Options) *store {
	t.Helper()
	s := &store{tb: t, ctx: context.Background(), f: f, location: location}
	b, err := f.Open(s.ctx, location, opts)
	if err != nil {
		t.Fatalf("open with %+v: %v", opts, err)
	}
	s.b = b
	return s
}

// close ends a check, which may have closed the store itself or failed.
func (s *store) close() {
	if s.b != nil {
		_ = s.b.Close()
	}
}

// reopen closes the store and opens it again.
func (s *store) reopen() {
	s.Helper()
	if err := s.b.Close(); err != nil {
		s.Fatalf("close: %v", err)
	}
	s.b = nil
	s.b = open(s.tb, s.f, s.location, options).b
}

// item is a backend.Entry that owns its bytes.
type item struct {
	group      statefun.KeyGroup
	key, value string
}

func (i item) String() string {
	return fmt.Sprintf("%d %s=%s", i.group, clip(i.key), clip(i.value))
}

func clip(s string) string {
	if len(s) > 40 {
		return fmt.Sprintf("%.40q… (%d bytes)", s, len(s))
	}
	return fmt.Sprintf("%q", s)
}

// A change appends itself to the changes of a part.
type change func(changes []byte) []byte

func put(group statefun.KeyGroup, key, value string) change {
	return func(b []byte) []byte { return backend.AppendPut(b, group, []byte(key), []byte(value)) }
}

func del(group statefun.KeyGroup, key string) change {
	return func(b []byte) []byte { return backend.AppendDelete(b, group, []byte(key)) }
}

func part(changes ...change) (p backend.Part) {
	for _, c := range changes {
		p.Changes = c(p.Changes)
	}
	return p
}

// checkpoint makes the description of an epoch, different from that of every other epoch.
func (s *store) checkpoint(epoch statefun.Epoch) backend.Checkpoint {
	return backend.Checkpoint{
		Application: options.Application,
		Generation:  s.b.Generation(),
		Epoch:       epoch,
		KeyGroups:   options.KeyGroups,
		CreatedAt:   1_700_000_000_000 + int64(epoch),
		Numbers:     1 << 40 * uint64(epoch),
		Since:       s.since,
		Names:       fmt.Appendf(nil, "names of %d", epoch),
		Sources: []backend.SourcePosition{
			{Source: "clicks/0", Position: fmt.Append(nil, epoch)},
			{Source: "clicks/1"},
		},
	}
}

// commit commits an epoch that must be accepted.
func (s *store) commit(epoch statefun.Epoch, parts ...backend.Part) {
	s.Helper()
	if err := s.tryCommit(s.ctx, epoch, parts...); err != nil {
		s.Fatalf("commit of epoch %d: %v", epoch, err)
	}
}

// tryCommit commits copies of the parts and scribbles over them once Commit has returned, as the
// engine does when it uses its buffers again.
func (s *store) tryCommit(ctx context.Context, epoch statefun.Epoch, parts ...backend.Part) error {
	cp := s.checkpoint(epoch)
	lent := slices.Clone(parts)
	for i := range lent {
		lent[i] = backend.Part{Shard: i / 2, Changes: slices.Clone(lent[i].Changes)} // A shard may hand over several pieces.
	}
	err := s.b.Commit(ctx, cp, lent)
	for i := range lent {
		scribble(lent[i].Changes)
	}
	scribble(cp.Names)
	for i := range cp.Sources {
		scribble(cp.Sources[i].Position)
		cp.Sources[i] = backend.SourcePosition{Source: "scribbled"}
	}
	return err
}

func scribble(b []byte) {
	for i := range b {
		b[i] = 0xee
	}
}

// scan returns the entries of r, those of a key group ordered by key.
func (s *store) scan(r backend.KeyGroupRange) []item {
	s.Helper()
	items, err := s.tryScan(r)
	if err != nil {
		s.Fatalf("scan of %v: %v", r, err)
	}
	return items
}

func (s *store) tryScan(r backend.KeyGroupRange) (items []item, err error) {
	group := r.First
	for e, err := range s.b.Scan(s.ctx, r) {
		if err != nil {
			return nil, err
		}
		if !r.Contains(e.Group) {
			return nil, fmt.Errorf("key group %d is not in the range", e.Group)
		}
		if e.Group < group {
			return nil, fmt.Errorf("key group %d behind %d", e.Group, group)
		}
		group = e.Group
		items = append(items, item{e.Group, string(e.Key), string(e.Value)})
	}
	sortItems(items)
	return items, nil
}

func sortItems(items []item) {
	slices.SortFunc(items, func(a, b item) int {
		return cmp.Or(cmp.Compare(a.group, b.group), cmp.Compare(a.key, b.key))
	})
}

// get returns the value of a key and whether there is one. What it passes to Get, and what it gets
// from it, it scribbles over.
func (s *store) get(group statefun.KeyGroup, key string) (value string, ok bool) {
	s.Helper()
	value, ok, err := s.tryGet(group, key)
	if err != nil {
		s.Fatalf("get of %d %s: %v", group, clip(key), err)
	}
	return value, ok
}

func (s *store) tryGet(group statefun.KeyGroup, key string) (value string, ok bool, err error) {
	lent := []byte(key)
	v, ok, err := s.b.Get(s.ctx, group, lent, nil)
	value = string(v)
	if string(lent) != key {
		return value, ok, fmt.Errorf("get has changed the key to %q", lent)
	}
	scribble(v)
	scribble(lent)
	return value, ok, err
}

// want fails unless the store holds these entries, ordered by key group and key, by Scan and by Get.
func (s *store) want(when string, items ...item) {
	s.Helper()
	if got := s.scan(everything); !slices.Equal(got, items) {
		s.Fatalf("%s: scan yields %v; want %v", when, got, items)
	}
	for _, i := range items {
		if value, ok := s.get(i.group, i.key); value != i.value || !ok {
			s.Fatalf("%s: get yields %s, %v; want %v", when, clip(value), ok, i)
		}
	}
}

// wantLatest fails unless the newest commit is that of the epoch.
func (s *store) wantLatest(when string, want backend.Checkpoint) {
	s.Helper()
	got, ok, err := s.b.Latest(s.ctx)
	if err != nil || !ok || !sameCheckpoint(got, want) {
		s.Fatalf("%s: latest is %+v, %v, %v; want %+v", when, got, ok, err, want)
	}
}

// sameCheckpoint compares what a checkpoint says, but for Since, which need not be kept; nil and empty say the same.
func sameCheckpoint(a, b backend.Checkpoint) bool {
	return a.Application == b.Application && a.Generation == b.Generation && a.Epoch == b.Epoch &&
		a.KeyGroups == b.KeyGroups && a.CreatedAt == b.CreatedAt && a.Numbers == b.Numbers && bytes.Equal(a.Names, b.Names) &&
		slices.EqualFunc(a.Sources, b.Sources, func(a, b backend.SourcePosition) bool {
			return a.Source == b.Source && bytes.Equal(a.Position, b.Position)
		})
}
