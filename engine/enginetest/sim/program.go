// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"strings"
)

// Program is what comes from outside, in the order in which it comes.
type Program struct {
	roots []*root
	plans uint64 // How many messages have been planned.
}

// root is one event. All messages that come of it go in at once.
type root struct {
	from     int // The source; doors are behind the last source.
	messages []*plan
	// durable and keyed are what somebody who comes to a door wants, and calls that he waits for an answer. brief
	// says that his key is to be kept for a moment only: he does not come again.
	durable, keyed, calls, brief bool
}

// How a message enters through a door.
const (
	doorSend = iota
	doorCall
	doorRoute // Where inboxes are large enough for all there will ever be: a door that routes waits for room.
	doors
)

func (c Config) routes() bool { return c.InboxSlots == inboxLarge }

// plan is a message and what its handler is going to do: the same at every attempt, and then it fails
// as long as there are faults left.
type plan struct {
	number uint64 // In the program, from 1 on; 0: it is not in the program.
	to     address
	form   form
	faults []fault
	steps  []step
	// pending has the handler of a query answer later, or never.
	pending bool
	// probe only looks at the state.
	probe bool
}

// address is a function type, by its place in kinds, and an id, by its place in ids.
type address struct{ kind, id int }

// form is how a message is given: the ways through the engine differ by type and size.
type form int

const (
	formSmall form = iota // Fits into the envelope.
	formLarge             // A memory image in the arena.
	formText              // Encoded.
	formQuery             // A request.
	formAny               // A typename that the function type does not know.
	forms
)

// fault ends an attempt after some of its steps.
type fault struct {
	kind  faultKind
	after int
}

type faultKind int

const (
	faultError faultKind = iota
	faultPermanent
	faultPanic
	faultCrash // A panic that the runtime raises.
	// From here on the handler goes on and returns nil: what failed is a call that returns nothing.
	faultDelay    // A negative delay.
	faultFunction // A function type that nobody provides.
	faultEgress   // An egress without a sink.
	faultSends    // Too many of them.
	faultPayload  // Too large.
	faultText     // What must be text, and is none.
	faultCaller   // An answer where nobody asked.
	faultState    // State of another type, or that was not declared.
	faultToken    // A cancellation token that is in use.
	faultKinds
)

type step struct {
	kind  stepKind
	whim  bool // It is decided at each attempt whether to take it.
	value uint64
	delay int64 // Milliseconds.
	send  *plan
}

type stepKind int

const (
	stepNothing stepKind = iota
	stepSend
	stepSet
	stepEdit
	stepClear
	stepEmit
	stepSendAfter
	stepCancel
	stepReply
)

// stepKinds are drawn from: enough messages for others among them that trees grow.
var stepKinds = []stepKind{
	stepNothing, stepSend, stepSet, stepEdit, stepClear, stepEmit, stepSendAfter, stepCancel, stepReply,
	stepSend, stepSend,
}

// DrawProgram draws a program of at least so many messages that cannot be cancelled.
func DrawProgram(c Choices, cfg Config, messages int) Program {
	var p Program
	for sure := 0; sure < messages; {
		p.Draw(c, cfg, min(messages-sure, 1+c.IntN(60)))
		for _, m := range p.roots[len(p.roots)-1].messages {
			sure += m.size(false)
		}
	}
	return p
}

// Draw draws one more event, and at most so many messages that come of it.
func (p *Program) Draw(c Choices, cfg Config, messages int) {
	r := &root{from: c.IntN(cfg.Sources + doors)}
	if cfg.Steady && r.from == cfg.Sources+doorRoute && !cfg.routes() {
		r.from = cfg.Sources + doorSend
	}
	if r.from >= cfg.Sources {
		r.brief = one(c, 4) && !cfg.Steady && r.from == cfg.Sources+doorSend
		r.durable, r.keyed, r.calls = one(c, 2) || cfg.Steady, one(c, 2) || cfg.Steady, r.from == cfg.Sources+doorCall
	}
	d := drawer{Choices: c, cfg: cfg, left: messages, plans: &p.plans}
	routed := r.from < cfg.Sources || cfg.routes() && r.from == cfg.Sources+doorRoute
	for more := true; more; more = routed && one(c, 4) {
		m := d.message(nil, 0)
		if routed && m.form == formAny {
			m.form = formText // Routers forward to typed inputs only.
		}
		m.pending = m.form == formQuery && r.from != cfg.Sources+doorCall // Nobody asks.
		for kinds[m.to.kind].idle > 0 && r.keyed {                        // Keys are forgotten with the address.
			m.to.kind = 0
		}
		r.messages = append(r.messages, m)
	}
	if routed && one(c, 40) && !r.keyed {
		r.crowd(c, &p.plans)
	}
	p.roots = append(p.roots, r)
}

// crowd has many more messages come for the first one's target, which has failed to take the first: more
// than a shard runs at once when they have waited. The first clears what the target keeps, so that it is
// empty and must stay all the same, and others fail in turn.
func (r *root) crowd(c Choices, plans *uint64) {
	first := r.messages[0]
	first.faults = append(first.faults, fault{})
	for slot := range uint64(3) {
		first.steps = append(first.steps, step{kind: stepClear, value: slot})
	}
	for i := range 400 {
		*plans++
		m := &plan{number: *plans, to: first.to, form: form(i % int(formQuery))}
		if one(c, 100) {
			m.faults = []fault{{}}
		}
		r.messages = append(r.messages, m)
	}
}

// drawer draws the messages of one event.
type drawer struct {
	Choices
	cfg   Config
	left  int
	plans *uint64
}

func (d *drawer) message(from *address, depth int) *plan {
	d.left--
	*d.plans++
	m := &plan{number: *d.plans, to: d.target(from), form: form(d.IntN(int(forms)))}
	m.pending = m.form == formQuery && one(d, 4)
	for n := d.IntN(7); n > 0; n-- {
		m.steps = append(m.steps, d.step(&m.to, depth))
	}
	if d.cfg.FaultsMax > 0 && one(d, 5) {
		for n := d.IntN(d.cfg.FaultsMax + 1); n > 0; n-- {
			m.faults = append(m.faults, fault{faultKind(d.IntN(int(faultKinds))), d.IntN(len(m.steps) + 1)})
		}
	}
	return m
}

// target draws an address. Functions elsewhere are shown no id that is not text: neither their own nor that of
// whoever sends to them.
func (d *drawer) target(from *address) address {
	to := address{d.IntN(len(kinds)), d.IntN(d.cfg.IDs)}
	switch far := kinds[to.kind].far || from != nil && kinds[from.kind].far; {
	case from != nil && !isText(from.id):
		to.kind %= nears
	case far && !isText(to.id):
		to.id = 0
	}
	return to
}

func (d *drawer) step(self *address, depth int) step {
	s := step{kind: pick(d, stepKinds...), value: uint64(d.IntN(1000)), whim: d.cfg.Whims && one(d, 6)}
	if s.kind == stepCancel && d.cfg.Steady {
		s.kind = stepNothing
	}
	if s.kind == stepSend || s.kind == stepSendAfter {
		if d.left <= 0 || depth > 40 {
			return step{kind: stepEmit, value: s.value}
		}
		s.send = d.message(self, depth+1)
	}
	if s.kind == stepSendAfter {
		s.delay = int64(pick(d, 0, 1, 5, 50, 700, 70_000)) + int64(d.IntN(4))
		if one(d, 50) {
			s.delay = 40 * 365 * 24 * 3_600_000
		}
	}
	return s
}

// Messages returns how many messages there are, if none is cancelled.
func (p Program) Messages() (n int) {
	for _, r := range p.roots {
		for _, m := range r.messages {
			n += m.size(true)
		}
	}
	return n
}

// size counts the message and what comes of it, with or without what may not come: delayed messages, which can
// be cancelled, and what is sent on a whim.
func (m *plan) size(all bool) int {
	n := 1
	for _, s := range m.steps {
		if s.kind == stepSend && (all || !s.whim) || s.kind == stepSendAfter && all {
			n += s.send.size(all)
		}
	}
	return n
}

// String draws the program as a tree.
func (p Program) String() string {
	var b strings.Builder
	for _, r := range p.roots {
		fmt.Fprintf(&b, "from %d\n", r.from)
		for _, m := range r.messages {
			m.write(&b, "  ")
		}
	}
	return b.String()
}

func (m *plan) write(b *strings.Builder, indent string) {
	fmt.Fprintf(b, "%s%v form %d", indent, m.to, m.form)
	for _, f := range m.faults {
		fmt.Fprintf(b, ", fault %d after %d", f.kind, f.after)
	}
	b.WriteByte('\n')
	for _, s := range m.steps {
		fmt.Fprintf(b, "%s  step %d value %d delay %d whim %v\n", indent, s.kind, s.value, s.delay, s.whim)
		if s.send != nil {
			s.send.write(b, indent+"    ")
		}
	}
}
