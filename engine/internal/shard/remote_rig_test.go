// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"fmt"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/internal/checkpoint"
	"github.com/millrace-io/millrace/engine/internal/clock"
	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/internal/table"
	"github.com/millrace-io/millrace/engine/remote"
	"github.com/millrace-io/millrace/engine/statefun"
)

// The function types of a remote rig that run elsewhere, by number: two at one endpoint, and one at another.
// Further ones, wild/…, turn up at the second.
const (
	fnCart envelope.Function = iota + fnCaller + 1
	fnDesk
	fnSlow
)

// The egresses of a remote rig: test/out, and test/dead for dead letters.
const egressOut, egressDead envelope.Function = 7, 8

// remoteRig is a shard alone whose functions run elsewhere: the test is the other end.
type remoteRig struct {
	*rig
	near, far *Endpoint
	under     []*Call // Requests on their way, in the order in which they were made.
	known     map[statefun.FunctionType]*Specs
}

// remoteConfig is what a remote rig differs in.
type remoteConfig struct {
	near, far remote.Policy
	rig       rigConfig
}

func newRemoteRig(t rapid.TB, c remoteConfig) *remoteRig {
	r := &remoteRig{known: map[statefun.FunctionType]*Specs{}}
	endpoint := func(p remote.Policy) *Endpoint {
		p = p.WithDefaults()
		return &Endpoint{Policy: p, Credit: p.InFlightMax}
	}
	r.near, r.far = endpoint(c.near), endpoint(c.far)
	c.rig.more = func(config *Config) {
		named := func(namespace, name string, ep *Endpoint) *Function {
			return &Function{Type: statefun.FunctionType{Namespace: namespace, Name: name}, Endpoint: ep, DeadLetter: egressDead}
		}
		config.Functions[fnProbe].Inputs[0].Check = func(word []byte) error {
			if string(word) == "junk" {
				return errWanted
			}
			return nil
		}
		config.Functions = append(config.Functions, named("test", "cart", r.near), named("test", "desk", r.near), named("test", "slow", r.far))
		config.Endpoints = []*Endpoint{r.near, r.far}
		config.Egresses = map[EgressName]envelope.Function{{"test", "out"}: egressOut, {"test", "dead"}: egressDead}
		types := make([]*Function, len(config.Functions))
		config.Resolve = func(t statefun.FunctionType) (envelope.Function, bool) {
			if t.Namespace != "wild" {
				return 0, false
			}
			types = append(types, named("wild", strings.Clone(t.Name), r.far))
			return envelope.Function(len(types) - 1), true
		}
		config.Describe = func(n envelope.Function) *Function { return types[n] }
	}
	r.rig = newRig(t, c.rig)
	return r
}

// post has messages arrive for a function that runs elsewhere, each an id and a word.
func (r *remoteRig) post(fn envelope.Function, messages ...string) {
	b := envelope.New(len(messages))
	for _, m := range messages {
		id, word, _ := strings.Cut(m, " ")
		b.SetNamed(b.Append(fn, envelope.Untyped, statefun.KeyHash(id), id), "test/word", []byte(word))
	}
	r.s.Step(r.now, b)
	r.collect()
}

// pass moves time on and fires what is due.
func (r *remoteRig) pass(ms clock.Instant) {
	r.advance(ms)
	r.collect()
}

// goOn resumes an address of the cart, without its first message if that is to be skipped.
func (r *remoteRig) goOn(id string, skip bool) { r.goOnAt(fnCart, id, skip) }

func (r *remoteRig) goOnAt(fn envelope.Function, id string, skip bool) {
	b := envelope.New(1)
	b.AppendResume(fn, statefun.KeyHash(id), id, skip)
	r.s.Step(r.now, b)
	r.pass(0)
}

// collect takes the requests that are to be made. An address has one at a time, an endpoint as many as it
// has credit for.
func (r *remoteRig) collect() {
	for _, c := range r.s.Calls() {
		if slices.ContainsFunc(r.under, func(other *Call) bool { return other.place == c.place }) {
			r.t.Fatalf("a second request for %s", r.request(c))
		}
		r.under = append(r.under, c)
	}
	for _, ep := range []*Endpoint{r.near, r.far} {
		under := 0
		for _, c := range r.under {
			if c.Endpoint == ep {
				under++
			}
		}
		if ep.Credit < 0 || ep.Credit+under != ep.Policy.InFlightMax {
			r.t.Fatalf("%d requests are on their way, with a credit of %d out of %d", under, ep.Credit, ep.Policy.InFlightMax)
		}
	}
}

// request describes a request: "cart/a try 2 [n=5 text-]: one two".
func (r *remoteRig) request(c *Call) string {
	s := fmt.Sprintf("%s/%s try %d", c.Target.Name, c.ID, c.Attempt)
	if len(c.State) > 0 {
		var state []string
		for _, v := range c.State {
			if v.Present {
				state = append(state, v.Name+"="+string(v.Value))
			} else {
				state = append(state, v.Name+"-")
			}
		}
		s += fmt.Sprint(" ", state)
	}
	s += ":"
	for _, m := range c.Messages {
		s += " " + string(m.Value)
	}
	return s
}

// requests describes what is on its way.
func (r *remoteRig) requests() string {
	var all []string
	for _, c := range r.under {
		all = append(all, r.request(c))
	}
	return strings.Join(all, " | ")
}

// row returns the instance of an id, or nil.
func (r *remoteRig) row(fn envelope.Function, id string) *table.Row {
	t := r.s.fns[fn].table
	for slot := range t.Slots() {
		if row := t.Row(table.Slot(slot)); row.IDLen() > 0 && string(t.ID(row)) == id {
			return row
		}
	}
	return nil
}

// kept describes what an instance of the cart keeps: "n=5 text=", or "none", or "gone".
func (r *remoteRig) kept(id string) string {
	row := r.row(fnCart, id)
	if row == nil {
		return "gone"
	}
	return r.values(r.s.fns[fnCart].specs, r.s.entry(row))
}

func (r *remoteRig) values(specs *Specs, entry []byte) string {
	var all []string
	for v := range checkpoint.Values(entry) {
		s := specs.List[v.Number].Name + "=" + string(v.Bytes)
		if v.Stamped {
			s += fmt.Sprintf("@%d", v.Stamp-rigStart)
		}
		all = append(all, s)
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, " ")
}

// part encodes what is frozen and returns the closing epoch's part: "put cart/a n=1, delete desk/b".
func (r *remoteRig) part() string {
	r.t.Helper()
	var all []string
	r.takePart(func(c backend.Change) {
		if checkpoint.KindOf(c.Key) != checkpoint.KindState {
			return
		}
		number, id, err := checkpoint.ParseStateKey(c.Key)
		if err != nil {
			r.t.Fatal(err)
		}
		fn := r.s.fns[number]
		name := fmt.Sprintf("%s/%s", fn.Type.Name, id)
		if c.Delete {
			all = append(all, "delete "+name)
			return
		}
		if err := checkpoint.Validate(c.Value); err != nil {
			r.t.Fatal(err)
		}
		all = append(all, "put "+name+" "+r.values(fn.specs, c.Value))
	})
	return strings.Join(all, ", ")
}

// idle fails the test unless nothing is left of all requests.
func (r *remoteRig) idle() {
	r.t.Helper()
	s := r.s
	if len(r.under) != 0 || len(s.queues) != 0 || s.Waiting() != 0 || s.SuspendedBytes() != 0 {
		r.t.Errorf("on their way %q; messages wait at %d addresses, %d bytes, %d suspended", r.requests(), len(s.queues), s.Waiting(), s.SuspendedBytes())
	}
	if s.Delayed() != 0 || len(s.tokens) != 0 || len(s.names) != 0 || len(s.byName) != 0 || len(s.inv.names) != 0 {
		r.t.Errorf("%d are delayed, with %d tokens and %d and %d names", s.Delayed(), len(s.tokens), len(s.names), len(s.byName))
	}
	if n := r.records(); n != 0 {
		r.t.Errorf("the store holds %d messages", n)
	}
	for _, fn := range s.fns {
		if c := fn.Counts; c.Backlog != 0 || c.BacklogBytes != 0 || c.InFlight != 0 || c.Suspended != 0 {
			r.t.Errorf("%v: %+v", fn.Type, c)
		}
	}
	for _, ep := range []*Endpoint{r.near, r.far} {
		if ep.Credit != ep.Policy.InFlightMax || !ep.line.empty() {
			r.t.Errorf("a credit of %d out of %d, %d in line", ep.Credit, ep.Policy.InFlightMax, len(ep.line.places))
		}
	}
}

// records counts the messages in the store.
func (r *remoteRig) records() int {
	n := int(r.s.stored.next)
	for i := r.s.stored.free; i != 0; i = r.s.stored.at(i - 1).next {
		n--
	}
	return n
}
