// SPDX-License-Identifier: Apache-2.0

package loadgen

import (
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
	growsIn = engine.NewIngress("io.millrace.loadgen/grows", growType)
	tellsIn = engine.NewIngress("io.millrace.loadgen/tells", wantType)
)

// application is the functions of a run and what is fed to them.
type application struct {
	Config
	ring   *keys.Ring // Of a counter and a relay.
	round  string     // Of a ring.
	tree   tree       // Of a skynet.
	timers timers

	makes *feed   // Every instance. None when the load makes them.
	load  []*feed // The measured part.
	tells *feed   // Every instance is asked for its count.

	shards []*keyFn // In no particular order. Owned by the shards until the engine is closed.

	// The two keys of a ping-pong, by number and by id. Written before anything is fed.
	pairKeys [2]int
	pair     [2]string
}

func newApplication(c Config) (*application, error) {
	a := &application{Config: c}
	switch c.Workload {
	case Counter, Relay:
		ring, err := keys.NewRing(c.Load)
		if err != nil {
			return nil, err
		}
		a.ring = ring
	case Ring:
		a.round = allIDs(c.Load.Keys)
	case Skynet:
		a.tree = newTree(c.Load.Keys)
	}
	if c.Workload != Memory && c.Workload != Skynet && c.Workload != Timers {
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
		engine.RouteKey(b, growsIn, grows)
		engine.RouteKey(b, tellsIn, tells)
		if a.makes != nil {
			engine.Connect(b, makesIn, a.makes)
		}
		for _, f := range a.load {
			switch a.Workload {
			case Counter:
				engine.Connect(b, addsIn, f)
			case Relay, PingPong, Ring:
				engine.Connect(b, hopsIn, f)
			case Skynet:
				engine.Connect(b, growsIn, f)
			case Memory:
				engine.Connect(b, makesIn, f)
			}
		}
		engine.Connect(b, tellsIn, a.tells)
		if a.Workload == Timers {
			a.bindTimers(b)
		}
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
	case Ring:
		k.round = a.round
	case Skynet:
		k.tree = a.tree
		k.tree.sum = engine.NewValue(s, "sum", engine.Int64)
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
		a.load = []*feed{a.feedBall(func(left int64) string { return a.pair[left%2] })}
	case Ring:
		a.load = []*feed{a.feedBall(func(left int64) string { return idAt(a.round, int(left)%a.Load.Keys) })}
	case Skynet:
		root, _ := growType.Append(nil, 0)
		a.load = []*feed{newFeed(1, func(_ int, into *connector.Events) { into.Append([]byte(keys.ID(0)), "", root) })}
	case Timers:
		a.timerFeeds()
	case Memory:
		one, _ := engine.Int32.Append(nil, 1) // Built-in types of numbers always encode.
		a.load = []*feed{a.feedEach(func([]byte, int) []byte { return one })}
	}
}

// instances is how many keys there are in the end.
func (a *application) instances() int {
	switch a.Workload {
	case Skynet:
		nodes, _ := skynetNodes(a.Load.Keys)
		return nodes
	case Timers:
		return a.soonOwners()
	}
	return a.Load.Keys
}

// feedEach sends one message to every key, in the order of their numbers.
func (a *application) feedEach(value func(buf []byte, key int) []byte) *feed {
	var id, buf []byte
	return newFeed(a.instances(), func(i int, into *connector.Events) {
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
	// Written for every message: where two feeds share a cache line, each waits for the other's core.
	s := &struct {
		_   cacheLine
		ids keys.Cursor
		buf [8]byte
		_   cacheLine
	}{ids: ids}
	return newFeed(count, func(i int, into *connector.Events) {
		var value []byte // No bytes at all are a zero.
		if i%sampleEvery == 0 {
			value, _ = engine.Int64.Append(s.buf[:0], stamp())
		}
		into.Append(s.ids.NextBytes(), "", value)
	})
}

// cacheLine keeps what is on either side of it apart. Some processors fetch lines in pairs.
type cacheLine [128]byte

func (a *application) feedTokens() *feed {
	var buf []byte
	ids, tokens := a.ring.Cursor(0), a.Load.Tokens()
	return newFeed(tokens, func(i int, into *connector.Events) {
		_, left := keys.Part(a.Load.Messages, i, tokens)
		buf, _ = hopType.Append(buf[:0], hop{Left: int64(left)}) // A flat type always encodes.
		into.Append(ids.NextBytes(), "", buf)
	})
}

// feedWants asks every key for its count, and says what it has to be where that is known.
func (a *application) feedWants() *feed {
	counts := func(int) int64 { return anyCount }
	switch a.Workload {
	case Counter:
		each := a.ring.Counts()
		counts = func(key int) int64 { return each[key] }
	case PingPong, Ring:
		counts = func(key int) int64 { return hopsAt(key, a.Load.Keys, a.Load.Messages) }
	case Skynet:
		counts = a.tree.count
	case Timers:
		counts = func(owner int) int64 { return share(a.Load.Messages, owner) }
	case Memory:
		counts = func(int) int64 { return 1 }
	}
	return a.feedEach(func(buf []byte, key int) []byte {
		buf, _ = wantType.Append(buf, want{counts(key)})
		return buf
	})
}
