// SPDX-License-Identifier: Apache-2.0

package loadgen

import (
	"strconv"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/loadgen/keys"
)

// A key is what the load is sent to: a counter, and bytes beside it.
type key interface {
	Make(*engine.Context, int32) error           // The instance begins to exist, with this count.
	Add(*engine.Context, int64) error            // Counts one. The message is its stamp, or 0.
	Hop(*engine.Context, hop) error              // Counts one and sends the message on.
	Tell(*engine.Context, want) error            // Tells the count to a tally.
	Where(*engine.Context, int32) (int32, error) // The shard; the question says nothing.

	// Of a skynet.
	Grow(*engine.Context, int64) error           // Counts one. The message is the number of the node.
	Gather(*engine.Context, part) error          // Counts one, and adds what a child has summed up.
	Total(*engine.Context, int32) (int64, error) // The sum; the question says nothing.
}

// A tally adds up what keys tell. There is one for each shard that tells.
type tally interface {
	Told(*engine.Context, told) error
	Sum(*engine.Context, int32) (told, error) // The question says nothing.
}

// hop is a message that is sent from key to key.
type hop struct {
	Left  int64 // Keys that it has yet to visit, the present one included.
	Stamp int64 // Of its sending, or 0.
}

// want asks a key for its count, and says what it should be.
type want struct{ Count int64 }

// anyCount is the count of a key that hops have visited at random.
const anyCount = -1

// told is what one key, or many of them, have counted.
type told struct{ Keys, Count, Wrong int64 }

var (
	hopType   = engine.Flat[hop]("io.millrace.loadgen/hop")
	wantType  = engine.Flat[want]("io.millrace.loadgen/want")
	toldType  = engine.Flat[told]("io.millrace.loadgen/told")
	whereType = engine.Flat[int32]("io.millrace.loadgen/where") // Not Int32: that is the message of Make.

	keyFunction = engine.Define[key]("io.millrace.loadgen/key")
	makes       = engine.Accept(keyFunction, engine.Int32, key.Make)
	adds        = engine.Accept(keyFunction, engine.Int64, key.Add)
	hops        = engine.Accept(keyFunction, hopType, key.Hop)
	tells       = engine.Accept(keyFunction, wantType, key.Tell)
	grows       = engine.Accept(keyFunction, growType, key.Grow)
	gathers     = engine.Accept(keyFunction, partType, key.Gather)
	totals      = engine.Answer(keyFunction, totalType, engine.Int64, key.Total)
	wheres      = engine.Answer(keyFunction, whereType, engine.Int32, key.Where)

	tallyFunction = engine.Define[tally]("io.millrace.loadgen/tally")
	tellings      = engine.Accept(tallyFunction, toldType, tally.Told)
	sums          = engine.Answer(tallyFunction, engine.Int32, toldType, tally.Sum)
)

// keyFn implements key on one shard.
type keyFn struct {
	count engine.Value[int64]
	bytes engine.Value[[]byte]
	fill  []byte // What bytes is set to; nil when the counter is all the state there is.

	pair    *[2]string // Of a ping-pong, written before its message is; nil otherwise.
	round   string     // Of a ring: the ids of all keys, end to end.
	tree    tree       // Of a skynet.
	ids     keys.Cursor
	hops    int
	latency latency
	tallies []string // By shard.
}

// Make makes the instance.
func (k *keyFn) Make(ctx *engine.Context, count int32) error {
	*k.count.Edit(ctx) += int64(count)
	if k.fill != nil {
		k.bytes.Set(ctx, k.fill)
	}
	return nil
}

// Add counts one message.
func (k *keyFn) Add(ctx *engine.Context, stamp int64) error {
	*k.count.Edit(ctx)++
	if stamp != 0 {
		k.latency.record(stamp)
	}
	return nil
}

// Hop counts one message and sends it on.
func (k *keyFn) Hop(ctx *engine.Context, h hop) error {
	*k.count.Edit(ctx)++
	if h.Stamp != 0 {
		k.latency.record(h.Stamp)
	}
	if h.Left--; h.Left == 0 {
		return nil
	}
	h.Stamp = 0
	if k.hops++; k.hops%sampleEvery == 0 {
		h.Stamp = stamp()
	}
	hops.To(k.next(h.Left)).Send(ctx, h)
	return nil
}

// next is the id of the key that a message with so many hops left goes to. Nothing is allocated: it is
// part of the ring, in which each shard walks by itself, or one of a pair.
func (k *keyFn) next(left int64) string {
	if k.pair != nil {
		return k.pair[left%2]
	}
	if k.round != "" {
		return idAt(k.round, int(left%int64(len(k.round)/keys.IDBytes)))
	}
	return k.ids.Next()
}

// Tell tells the count.
func (k *keyFn) Tell(ctx *engine.Context, w want) error {
	count, made := k.count.Lookup(ctx)
	t := told{Keys: 1, Count: count}
	if !made || w.Count != anyCount && w.Count != count || k.fill != nil && len(k.bytes.Get(ctx)) != len(k.fill) {
		t.Wrong = 1
	}
	tellings.To(k.tallies[ctx.Shard()]).Send(ctx, t)
	return nil
}

// Where tells the shard that the key is on.
func (k *keyFn) Where(ctx *engine.Context, _ int32) (int32, error) { return int32(ctx.Shard()), nil }

// tallyFn implements tally.
type tallyFn struct{ sum engine.Value[told] }

// Told adds what one key has told.
func (f tallyFn) Told(ctx *engine.Context, t told) error {
	s := f.sum.Edit(ctx)
	s.Keys += t.Keys
	s.Count += t.Count
	s.Wrong += t.Wrong
	return nil
}

// Sum answers with all of it.
func (f tallyFn) Sum(ctx *engine.Context, _ int32) (told, error) { return f.sum.Get(ctx), nil }

// tallyID is the id of the tally that a shard's keys tell to.
func tallyID(shard int) string { return "shard-" + strconv.Itoa(shard) }
