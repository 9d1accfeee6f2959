// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/internal/clock"
	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/internal/invariant"
	"github.com/millrace-io/millrace/engine/statefun"
)

// An epoch is complete when a part of every shard and a position of every source is in, in any order, and
// not before. The next one is announced when it is committed (P5).
func TestCoordinator(t *testing.T) {
	const announce, complete, committed = "announce", "complete", "committed"
	tests := []struct {
		name            string
		shards, sources int
		script          []string // Besides the words above: "part SHARD" and "position SOURCE".
		want            string   // What announce and complete return.
	}{
		{name: "one shard", shards: 1, script: []string{announce, complete, "part 0", complete}, want: "2 - 1"},
		{name: "every shard", shards: 3, script: []string{announce, "part 2", "part 0", complete, "part 1", complete}, want: "2 - 1"},
		{
			name: "every source", shards: 1, sources: 2,
			script: []string{announce, "position b", "part 0", complete, "position a", complete}, want: "2 - 1",
		},
		{name: "nothing was announced", shards: 1, script: []string{complete}, want: "-"},
		{name: "one at a time", shards: 1, script: []string{announce, announce, "part 0", announce, complete, announce}, want: "2 - - 1 -"},
		{name: "a commit that is tried again", shards: 1, script: []string{announce, "part 0", complete, complete, complete}, want: "2 1 1 1"},
		{
			name: "the next epoch", shards: 1, sources: 1,
			script: []string{announce, "part 0", "position a", complete, committed, complete, announce, "part 0", complete, "position a", complete},
			want:   "2 1 - 3 - 2",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := NewCoordinator(tt.shards, tt.sources)
			epoch := statefun.Epoch(1)
			var got []string
			note := func(epoch statefun.Epoch, ok bool) {
				if ok {
					got = append(got, fmt.Sprint(epoch))
				} else {
					got = append(got, "-")
				}
			}
			for _, line := range tt.script {
				switch what, who, _ := strings.Cut(line, " "); what {
				case announce:
					note(c.Announce())
				case complete:
					e, ok := c.Complete()
					note(e.Checkpoint.Epoch, ok)
				case committed:
					c.Committed()
					epoch++
				case "part":
					c.AddPart(epoch, 0, int(who[0]-'0'), nil, nil)
				case "position":
					c.AddPosition(epoch, backend.SourcePosition{Source: who})
				}
			}
			if s := strings.Join(got, " "); s != tt.want {
				t.Errorf("got %s; want %s", s, tt.want)
			}
		})
	}
}

// What is complete is in order, by shard and by source, whatever the order in which it came, and is as late
// as its latest part (P37).
func TestCoordinatorComplete(t *testing.T) {
	c := NewCoordinator(3, 2)
	if c.Closing() {
		t.Error("an epoch is closing before the first announcement")
	}
	records := []*envelope.Batch{envelope.New(0), envelope.New(0), envelope.New(0)}
	for round := statefun.Epoch(1); round <= 2; round++ {
		c.Announce()
		for i, shard := range []int{2, 0, 1} {
			pieces := []backend.Part{{Shard: shard, Changes: make([]byte, shard+1)}, {Shard: shard, Changes: make([]byte, 10)}}
			c.AddPart(round, clock.Instant(100+10*(i%2)), shard, pieces, records[shard:shard+1])
		}
		c.AddPosition(round, backend.SourcePosition{Source: "b", Position: []byte("2")})
		c.AddPosition(round, backend.SourcePosition{Source: "a", Position: []byte("1")})
		e, ok := c.Complete()
		if !ok || !c.Closing() {
			t.Fatalf("epoch %d: complete %v, closing %v", round, ok, c.Closing())
		}
		if cp := e.Checkpoint; cp.Epoch != round || cp.CreatedAt != 110 || len(cp.Sources) != 2 || cp.Sources[0].Source != "a" || string(cp.Sources[1].Position) != "2" {
			t.Errorf("checkpoint %+v", cp)
		}
		if e.Bytes != 1+2+3+3*10 || len(e.Parts) != 6 || len(e.Egress) != 3 {
			t.Errorf("%d bytes in %d parts, records of %d shards; want 36, 6, 3", e.Bytes, len(e.Parts), len(e.Egress))
		}
		for i, p := range e.Parts {
			want := []int{i/2 + 1, 10}[i%2]
			if p.Shard != i/2 || len(p.Changes) != want || !slices.Equal(e.Egress[i/2], records[i/2:i/2+1]) {
				t.Errorf("part %d is of shard %d, with %d bytes; want shard %d, %d bytes", i, p.Shard, len(p.Changes), i/2, want)
			}
		}
		c.Committed()
		if c.Closing() {
			t.Errorf("epoch %d is closing after its commit", round)
		}
	}
}

// Positions of sources that are gone are in every checkpoint (P38).
func TestCoordinatorCarries(t *testing.T) {
	c := NewCoordinator(1, 1)
	carried := []backend.SourcePosition{{Source: "z", Position: []byte("9")}, {Source: "a", Position: []byte("8")}}
	c.Carry(carried)
	for round := statefun.Epoch(1); round <= 3; round++ {
		c.Announce()
		c.AddPart(round, 0, 0, nil, nil)
		if _, ok := c.Complete(); ok {
			t.Fatalf("epoch %d is complete without its source", round)
		}
		c.AddPosition(round, backend.SourcePosition{Source: "m", Position: fmt.Append(nil, round)})
		e, ok := c.Complete()
		if got, want := fmt.Sprintf("%s", e.Checkpoint.Sources), fmt.Sprintf("[{a 8} {m %d} {z 9}]", round); !ok || got != want {
			t.Errorf("epoch %d: %s, %v; want %s", round, got, ok, want)
		}
		c.Committed()
	}
}

// A part that cannot be: some shard is not where it says it is, and the checkpoint would not be a cut.
func TestCoordinatorInvariants(t *testing.T) {
	position := backend.SourcePosition{Source: "a"}
	tests := []struct {
		name string
		f    func(c *Coordinator)
	}{
		{"a part before the announcement", func(c *Coordinator) { c.AddPart(1, 0, 1, nil, nil) }},
		{"a position before the announcement", func(c *Coordinator) { c.AddPosition(1, position) }},
		{"a part of the open epoch", func(c *Coordinator) { c.Announce(); c.AddPart(2, 0, 1, nil, nil) }},
		{"a position of the open epoch", func(c *Coordinator) { c.Announce(); c.AddPosition(2, position) }},
		{"a part of an epoch that is committed", func(c *Coordinator) { c.Announce(); c.Committed(); c.AddPart(1, 0, 1, nil, nil) }},
		{"two parts of a shard", func(c *Coordinator) { c.Announce(); c.AddPart(1, 0, 1, nil, nil); c.AddPart(1, 0, 1, nil, nil) }},
		{"two positions of a source", func(c *Coordinator) { c.Announce(); c.AddPosition(1, position); c.AddPosition(1, position) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			defer func() {
				if p, ok := recover().(invariant.Broken); !ok {
					t.Errorf("it was taken, or %v", p)
				}
			}()
			tt.f(NewCoordinator(2, 1))
		})
	}
}
