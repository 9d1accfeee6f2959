// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"sync/atomic"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/connector"
	port "github.com/millrace-io/millrace/engine/remote"
	"github.com/millrace-io/millrace/engine/statefun"
	"github.com/millrace-io/millrace/loadgen/keys"
)

// counter is the contract of the function that the SDK serves.
type counter interface {
	Add(*engine.Context, int64) error
	Tell(*engine.Context, bool) error // The message says nothing.
}

var (
	counterFunction = engine.Define[counter](namespace + "/" + functionName)
	adds            = engine.Accept(counterFunction, engine.Int64, counter.Add)
	tells           = engine.Accept(counterFunction, engine.Bool, counter.Tell)

	addsIn  = engine.NewIngress(namespace+"/adds", engine.Int64)
	tellsIn = engine.NewIngress(namespace+"/tells", engine.Bool)
)

// application is the counter and what is fed to it.
type application struct {
	invocations, connections int
	ids                      []string
	places                   map[string]int // Of ids.
	invoker                  port.Invoker

	firsts *feed // One message for each key: all instances and connections are made.
	load   *feed
	tells  *feed // Every key tells its count.

	told, wrong atomic.Int64 // Keys that have, and those of them whose count is not what they were sent.
}

func newApplication(c Config, invocations int, invoker port.Invoker) (*application, error) {
	one, err := engine.Int64.Append(nil, 1)
	if err != nil {
		return nil, err
	}
	ids := balanced(c.keys(invocations), c.Shards)
	a := &application{
		invocations: invocations, connections: c.Connections, ids: ids, places: make(map[string]int, len(ids)), invoker: invoker,
		firsts: newFeed(ids, 1, len(ids), one), load: newFeed(ids, invocations, forever, one), tells: newFeed(ids, 1, len(ids), nil),
	}
	for i, id := range ids {
		a.places[id] = i
	}
	return a, nil
}

// balanced returns the ids of so many keys, as many of each key group as of the others, when each shard has
// one. Connections are divided among shards: one that has fewer keys than others would be done with their
// messages sooner, and its requests would not be full.
func balanced(n, groups int) (ids []string) {
	left := make([]int, groups)
	for g := range left {
		left[g] = (n + groups - 1) / groups
	}
	for k := 0; len(ids) < n; k++ {
		id := keys.ID(k)
		if g := statefun.KeyGroupOf(statefun.KeyHash(id), groups); left[g] > 0 {
			left[g]--
			ids = append(ids, id)
		}
	}
	return ids
}

// module binds all of it.
func (a *application) module() engine.Module {
	return engine.Module{Name: "loadgen", Bind: func(b *engine.Binder) error {
		b.Endpoint(port.Endpoint{
			Functions: port.Pattern{Namespace: namespace, Name: functionName},
			Invoker:   a.invoker,
			Policy:    port.Policy{MessagesMax: a.invocations, InFlightMax: a.connections},
		})
		engine.RouteKey(b, addsIn, adds)
		engine.RouteKey(b, tellsIn, tells)
		engine.Connect(b, addsIn, a.firsts)
		engine.Connect(b, addsIn, a.load)
		engine.Connect(b, tellsIn, a.tells)
		b.Sink(namespace+"/"+egressName, connector.SinkFunc(a.hear))
		return nil
	}}
}

// hear takes what one key has told.
func (a *application) hear(r connector.Record) error {
	place, ok := a.places[r.Sender.ID]
	n, err := engine.Int64.Decode(r.Value)
	if !ok || err != nil || n != int64(a.firsts.count(place)+a.load.count(place)) {
		a.wrong.Add(1)
	}
	a.told.Add(1)
	return err
}

// queueBytes is how much is queued at most. It is what fills requests: while one is on its way, several times
// as many messages wait at its key, because all keys share what is queued and one that is slow holds more than
// its part. With one message in a request, only half of the keys have any.
func (a *application) queueBytes() int64 {
	const messageBytes = 64 // As the engine counts them.
	if a.invocations == 1 {
		return messageBytes * int64(max(len(a.ids)/2, 2*a.connections))
	}
	return messageBytes * 6 * int64(len(a.ids)) * int64(a.invocations)
}

// taken is how many messages have taken effect.
func taken(e *engine.Engine) int64 {
	for _, f := range e.Stats().Functions {
		if f.Type == (engine.FunctionType{Namespace: namespace, Name: functionName}) {
			return f.In
		}
	}
	return 0
}
