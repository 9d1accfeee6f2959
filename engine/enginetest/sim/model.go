// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/internal/clock"
	"github.com/millrace-io/millrace/engine/statefun"
)

// model is what must be true of an engine: the effects of all invocations so far, and what is still to
// come. It changes only when an invocation takes effect.
type model struct {
	last      uint64              // Serial number.
	messages  map[uint64]*message // Those that have been sent, by serial number.
	streams   map[pair]*stream
	instances map[address]*instance
	tokens    [][]*message // Delayed messages, by the sender's id; those that are done, too.
	records   map[uint64]*record
	emitted   map[lane][]*record // Not delivered yet, in order.

	pending     int // Messages that have been sent and are not done.
	delayed     int // Of these, those that may be waiting for their time.
	waiting     int // Addresses whose first message has failed.
	invocations int // That took effect.
	failures    int // That left no trace.
	replies     int // To callers outside.
	cancelled   int
	skips       int

	changed map[statefun.Epoch]map[address][]*uint64 // States at the end of epochs that are not committed.
}

func newModel() *model {
	return &model{
		messages: map[uint64]*message{}, streams: map[pair]*stream{}, instances: map[address]*instance{},
		records: map[uint64]*record{}, emitted: map[lane][]*record{},
		tokens: make([][]*message, len(ids)), changed: map[statefun.Epoch]map[address][]*uint64{},
	}
}

// origin is where a message comes from: an instance, or a source or door.
type origin struct {
	address
	outside int // One more than the number of the source; 0 for an instance.
}

// pair is one sender and one target. Delayed messages have an order of their own.
type pair struct {
	from    origin
	to      address
	delayed bool
}

// stream is what is to come from one sender to one target, in order.
type stream struct{ messages []*message }

// message is one that takes effect once, or is cancelled.
type message struct {
	plan   *plan
	serial uint64
	from   origin
	asked  bool           // By a caller outside.
	epoch  statefun.Epoch // The sender's; 0 for one from outside.
	event  int            // Of its source.
	tries  int

	delayed bool
	sent    clock.Instant // When it was sent,
	due     clock.Instant // and when it is to come.
	token   engine.Token
	fired   bool // It is too late to cancel.
	undone  bool // Cancelled by the invocation that sent it.
	done    bool
}

// instance is one address.
type instance struct {
	values    []*uint64
	blocked   *message // The first message that waits here: it has failed.
	attempts  int
	suspended bool
	skip      bool // The first message that waits is given up before another runs.
	resumes   int  // Requests to resume that may still be on their way.
	// freed is when messages last stopped waiting here.
	freed clock.Instant
}

// record is an egress record on its way.
type record struct {
	serial uint64
	from   address
	egress int
	epoch  statefun.Epoch
}

// lane is what keeps the order of records.
type lane struct {
	from   address
	egress int
}

func (m *model) instance(a address, slots int) *instance {
	inst := m.instances[a]
	if inst == nil {
		inst = &instance{values: make([]*uint64, slots), freed: -1}
		m.instances[a] = inst
	}
	return inst
}

// serial returns a number that has not been used.
func (m *model) serial() uint64 {
	m.last++
	return m.last
}

// sent adds a message to what is to come.
func (m *model) sent(msg *message) {
	m.messages[msg.serial] = msg
	m.pending++
	s := m.stream(msg)
	if !msg.delayed {
		s.messages = append(s.messages, msg)
		return
	}
	m.delayed++
	m.tokens[msg.from.id] = append(m.tokens[msg.from.id], msg)
	at, _ := slices.BinarySearchFunc(s.messages, msg.due, func(other *message, due clock.Instant) int {
		if other.due <= due { // Behind all that are due at the same time.
			return -1
		}
		return 1
	})
	s.messages = slices.Insert(s.messages, at, msg)
}

func (m *model) stream(msg *message) *stream {
	key := pair{msg.from, msg.plan.to, msg.delayed}
	s := m.streams[key]
	if s == nil {
		s = &stream{}
		m.streams[key] = s
	}
	return s
}

// finish takes a message out: it has taken effect, or will not come.
func (m *model) finish(msg *message) {
	s := m.stream(msg)
	i := slices.Index(s.messages, msg)
	s.messages = slices.Delete(s.messages, i, i+1)
	msg.done = true
	m.pending--
	if msg.delayed {
		m.delayed--
	}
}

// skipped takes out the message that an address is suspended for.
func (m *model) skipped(inst *instance) {
	m.finish(inst.blocked)
	m.skips++
	m.waiting--
	inst.blocked, inst.attempts, inst.suspended, inst.skip = nil, 0, false, false
}

// mayRun reports what is wrong with a message being handed to its target now.
func (m *model) mayRun(msg *message, inst *instance) error {
	switch first := m.stream(msg).messages[0]; {
	case first != msg:
		return fmt.Errorf("order: %v comes before %v, which was sent first", msg, first)
	case inst.blocked != nil && inst.blocked != msg:
		return fmt.Errorf("order: %v overtakes %v, which has failed and waits", msg, inst.blocked)
	case inst.suspended && inst.resumes == 0:
		return fmt.Errorf("order: %v is run at a suspended address", msg)
	}
	return nil
}

// nextDue returns when the next delayed message after now is due.
func (m *model) nextDue(now clock.Instant) (due clock.Instant, ok bool) {
	for _, tokens := range m.tokens {
		for _, msg := range tokens {
			if !msg.done && msg.due > now && (!ok || msg.due < due) {
				due, ok = msg.due, true
			}
		}
	}
	return due, ok
}

// stuck lists some of what is still to come.
func (m *model) stuck() string {
	text := ""
	for serial, n := uint64(1), 0; serial <= m.last && n < 10; serial++ {
		if msg := m.messages[serial]; msg != nil && !msg.done {
			text += fmt.Sprintf("\n\t%v, instance %+v", msg, *m.instance(msg.plan.to, 0))
			n++
		}
	}
	return text
}

func (msg *message) String() string {
	from := fmt.Sprint(msg.from.address)
	if msg.from.outside > 0 {
		from = fmt.Sprintf("outside %d", msg.from.outside-1)
	}
	text := fmt.Sprintf("message %d from %s to %v, form %d, attempt %d", msg.serial, from, msg.plan.to, msg.plan.form, msg.tries+1)
	if msg.delayed {
		text += fmt.Sprintf(", due %d", msg.due)
	}
	return text
}
