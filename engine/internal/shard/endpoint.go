// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/remote"
	"github.com/millrace-io/millrace/engine/statefun"
)

// Endpoint is where functions run elsewhere, as one shard uses it. Addresses that have something to send
// wait in line until there is credit; meanwhile more messages come for them, so that the requests of a
// slow endpoint grow instead of becoming more.
type Endpoint struct {
	Policy  remote.Policy // With all defaults.
	Invoker remote.Invoker
	// Credit is how many requests may still be begun. It bounds what a hung endpoint holds.
	Credit int

	line line
	free []*Call
}

// Call is a request on its way, and what the shard must know when it is back. The shard owns it, except
// between Calls and Complete.
type Call struct {
	remote.Request
	Endpoint *Endpoint
	// Known holds the state values that are known once the reply has asked for some.
	Known *Specs
	// Err is nil or why there is no reply.
	Err error

	// Carrier is the driver's own; it stays with the call when that is used again.
	Carrier any

	place   place
	attempt uint64 // Tells this use of the call from others.
	specs   *Specs // Those that the request was made with.
}

// Function returns the number of the function type that is called.
func (c *Call) Function() envelope.Function { return c.place.fn }

// take returns a call that is not in use.
func (ep *Endpoint) take() *Call {
	if n := len(ep.free) - 1; n >= 0 {
		c := ep.free[n]
		ep.free = ep.free[:n]
		return c
	}
	return &Call{Endpoint: ep}
}

func (ep *Endpoint) recycle(c *Call) {
	c.Recycle()
	c.Known, c.Err, c.specs = nil, nil, nil
	if cap(c.Messages) > spareMessages { // After a backlog.
		c.Messages = nil
	}
	ep.free = append(ep.free, c)
}

// spareMessages is the list of messages that a call keeps for its next use.
const spareMessages = 4096

// line is a queue of addresses.
type line struct {
	places []place
	head   int
}

func (l *line) empty() bool { return l.head == len(l.places) }

func (l *line) push(p place) {
	if l.head > 64 && l.head*2 > len(l.places) { // Mostly used up.
		l.places = l.places[:copy(l.places, l.places[l.head:])]
		l.head = 0
	}
	l.places = append(l.places, p)
}

func (l *line) pop() place {
	p := l.places[l.head]
	if l.head++; l.empty() {
		l.places, l.head = l.places[:0], 0
	}
	return p
}

// Specs are the state values that are known of a function type that runs elsewhere, by number. They are
// never changed: more are known, or declared, in other Specs, in which the numbers mean the same.
type Specs struct {
	List     []Spec
	Declared int // How many of List are.

	byName map[string]int
	shown  []int // By number: where requests have the value. -1: they do not.
}

// Spec is a state value. Requests have those that the function has declared since the start; one that is only
// known from a checkpoint waits for that, as in StateFun, and its bytes stay what they are.
type Spec struct {
	remote.Spec
	Declared bool
}

// NewSpecs numbers the values in list.
func NewSpecs(list []Spec) *Specs {
	s := &Specs{List: list, byName: make(map[string]int, len(list)), shown: make([]int, len(list))}
	for i := range list {
		s.byName[list[i].Name] = i
		s.shown[i] = -1
		if list[i].Declared {
			s.shown[i] = s.Declared
			s.Declared++
		}
	}
	return s
}

// Number returns the number of a value.
func (s *Specs) Number(name string) (n int, ok bool) {
	n, ok = s.byName[name]
	return n, ok
}

var noSpecs = NewSpecs(nil)

// function returns a function type by number. Types that are served by the endpoint of their namespace
// turn up while the engine runs: the shard learns of them when it first meets their number.
func (s *Shard) function(number envelope.Function) *Function {
	if int(number) >= len(s.fns) {
		s.adopt(number)
	}
	return s.fns[number]
}

func (s *Shard) adopt(number envelope.Function) {
	for n := len(s.fns); n <= int(number); n++ {
		s.add(s.describe(envelope.Function(n)))
	}
}

// add makes a function type known to the shard, with the next number.
func (s *Shard) add(fn *Function) {
	fn.number = envelope.Function(len(s.fns))
	if fn.Endpoint != nil {
		fn.StateBytes = int(elsewhereBytes)
		if fn.specs = fn.Known; fn.specs == nil {
			fn.specs = noSpecs
		}
	}
	fn.layLease()
	fn.special = fn.Endpoint != nil || fn.External || fn.Absent
	if fn.Undeclared {
		fn.StateBytes = (fn.StateBytes+7)&^7 + int(CellBytes)
	}
	if fn.StateBytes > len(s.undo) {
		s.undo = make([]byte, fn.StateBytes)
	}
	fn.table = s.newTable(fn.StateBytes)
	s.fns = append(s.fns, fn)
	s.byType[fn.Type] = fn.number
}

// lookup finds a function type by its name, whose bytes may be borrowed.
func (s *Shard) lookup(t statefun.FunctionType) (number envelope.Function, ok bool) {
	if number, ok = s.byType[t]; ok || s.resolver == nil {
		return number, ok
	}
	if number, ok = s.resolver(t); ok {
		s.function(number)
	}
	return number, ok
}
