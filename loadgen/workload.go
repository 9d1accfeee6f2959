// SPDX-License-Identifier: Apache-2.0

package loadgen

import (
	"context"
	"fmt"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/loadgen/keys"
)

// producers is how many sources share the messages of a counter workload.
const producers = 2

// Where feeds come in. The key of an event is the id that it is for.
var (
	makesIn = engine.NewIngress("io.millrace.loadgen/makes", engine.Int32)
	addsIn  = engine.NewIngress("io.millrace.loadgen/adds", engine.Int64)
	hopsIn  = engine.NewIngress("io.millrace.loadgen/hops", hopType)
	tellsIn = engine.NewIngress("io.millrace.loadgen/tells", wantType)
)

// application is the functions of a run and what is fed to them.
type application struct {
	Config
	ring *keys.Ring // Of a counter and a relay.

	makes *feed   // Every instance. A memory workload has none: to make them is its load.
	load  []*feed // The measured part.
	tells *feed   // Every instance is asked for its count.

	shards []*keyFn // In no particular order. Owned by the shards until the engine is closed.

	// The two keys of a ping-pong, by number and by id. Written before anything is fed.
	pairKeys [2]int
	pair     [2]string
}

func newApplication(c Config) (*application, error) {
	a := &application{Config: c}
	if c.Workload == Counter || c.Workload == Relay {
		ring, err := keys.NewRing(c.Load)
		if err != nil {
			return nil, err
		}
		a.ring = ring
	}
	if c.Workload != Memory {
		a.makes = a.feedEach(func([]byte, int) []byte { return nil })
	}
	a.loadFeeds()
	a.tells = a.feedWants()
	return a, nil
}

// module binds all of it.
func (a *application) module() engine.Module {
	return engine.Module{Name: "loadgen", Bind: func(b *engine.Binder) error {
		engine.Bind(b, keyFunction, a.newKeyFn)
		engine.Bind(b, tallyFunction, func(s *engine.Schema) tally {
			return tallyFn{engine.NewValue(s, "sum", toldType)}
		})
		engine.RouteKey(b, makesIn, makes)
		engine.RouteKey(b, addsIn, adds)
		engine.RouteKey(b, hopsIn, hops)
		engine.RouteKey(b, tellsIn, tells)
		if a.makes != nil {
			engine.Connect(b, makesIn, a.makes)
		}
		for _, f := range a.load {
			switch a.Workload {
			case Counter:
				engine.Connect(b, addsIn, f)
			case Relay, PingPong:
				engine.Connect(b, hopsIn, f)
			case Memory:
				engine.Connect(b, makesIn, f)
			}
		}
		engine.Connect(b, tellsIn, a.tells)
		return nil
	}}
}

// newKeyFn makes the object of one shard. The engine makes them one after the other.
func (a *application) newKeyFn(s *engine.Schema) key {
	k := &keyFn{count: engine.NewValue(s, "count", engine.Int64), latency: newLatency()}
	if beside := a.StateBytes - StateBytesMin; beside > 0 {
		k.bytes = engine.NewValue(s, "bytes", engine.Bytes("io.millrace.loadgen/bytes"))
		k.fill = make([]byte, beside)
	}
	for shard := range a.Shards {
		k.tallies = append(k.tallies, tallyID(shard))
	}
	switch a.Workload {
	case Relay:
		first, _ := keys.Part(a.Load.Messages, len(a.shards), a.Shards)
		k.ids = a.ring.Cursor(first)
	case PingPong:
		k.pair = &a.pair
	}
	a.shards = append(a.shards, k)
	return k
}

// loadFeeds makes the feeds of the measured part.
func (a *application) loadFeeds() {
	switch a.Workload {
	case Counter:
		for p := range producers {
			first, count := keys.Part(a.Load.Messages, p, producers)
			a.load = append(a.load, feedAdds(a.ring.Cursor(first), count))
		}
	case Relay:
		a.load = []*feed{a.feedTokens()}
	case PingPong:
		a.load = []*feed{a.feedBall()}
	case Memory:
		one, _ := engine.Int32.Append(nil, 1) // Built-in types of numbers always encode.
		a.load = []*feed{a.feedEach(func([]byte, int) []byte { return one })}
	}
}

// feedEach sends one message to every key, in the order of their numbers.
func (a *application) feedEach(value func(buf []byte, key int) []byte) *feed {
	var id, buf []byte
	return newFeed(a.Load.Keys, func(i int, into *connector.Events) {
		k := a.key(i)
		id, buf = keys.AppendID(id[:0], k), value(buf[:0], i)
		into.Append(id, "", buf)
	})
}

// key is the number of the i-th key of the load.
func (a *application) key(i int) int {
	if a.Workload == PingPong {
		return a.pairKeys[i]
	}
	return i
}

func feedAdds(ids keys.Cursor, count int) *feed {
	var buf []byte
	return newFeed(count, func(i int, into *connector.Events) {
		buf = buf[:0]
		if i%sampleEvery == 0 {
			buf, _ = engine.Int64.Append(buf, stamp()) // No bytes at all are a zero.
		}
		into.Append(ids.NextBytes(), "", buf)
	})
}

func (a *application) feedTokens() *feed {
	var buf []byte
	ids, tokens := a.ring.Cursor(0), a.Load.Tokens()
	return newFeed(tokens, func(i int, into *connector.Events) {
		_, left := keys.Part(a.Load.Messages, i, tokens)
		buf, _ = hopType.Append(buf[:0], hop{Left: int64(left)}) // A flat type always encodes.
		into.Append(ids.NextBytes(), "", buf)
	})
}

func (a *application) feedBall() *feed {
	return newFeed(1, func(_ int, into *connector.Events) {
		left := int64(a.Load.Messages)
		ball, _ := hopType.Append(nil, hop{Left: left})
		into.Append([]byte(a.pair[left%2]), "", ball)
	})
}

// feedWants asks every key for its count, and says what it has to be where that is known.
func (a *application) feedWants() *feed {
	counts := func(int) int64 { return anyCount }
	switch a.Workload {
	case Counter:
		each := a.ring.Counts()
		counts = func(key int) int64 { return each[key] }
	case PingPong:
		// The last hop, with one left, goes to the second; they take turns.
		half := int64(a.Load.Messages / 2)
		counts = func(key int) int64 { return half + int64(key&a.Load.Messages&1) }
	case Memory:
		counts = func(int) int64 { return 1 }
	}
	return a.feedEach(func(buf []byte, key int) []byte {
		buf, _ = wantType.Append(buf, want{counts(key)})
		return buf
	})
}

// findPair chooses the keys of a ping-pong: the first two that lie on one shard, or on two. It says how
// many keys it has asked.
func (a *application) findPair(ctx context.Context, e *engine.Engine) (asked int, err error) {
	const tries = 10_000
	var first int32
	for k := range tries {
		shard, err := wheres.Ask(ctx, e, keys.ID(k), 0)
		switch {
		case err != nil:
			return 0, err
		case k == 0:
			first = shard
		case (shard != first) == a.Across:
			a.pairKeys = [2]int{0, k}
			a.pair = [2]string{keys.ID(0), keys.ID(k)}
			return k + 1, nil
		}
	}
	return 0, fmt.Errorf("none of %d keys makes a pair with %s", tries, keys.ID(0))
}
