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
	names     map[name]*message // Delayed messages of functions elsewhere, by their cancellation tokens.
	instances map[address]*instance
	tokens    [][]*message // Delayed messages, by the sender's id; those that are done, too.
	records   map[uint64]*record
	emitted   map[lane][]*record // Not delivered yet, in order.

	pending     int // Messages that have been sent and are not done.
	delayed     int // Of these, those that may be waiting for their time.
	doubts      int // Messages that were cancelled when they were due.
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
		names: map[name]*message{}, messages: map[uint64]*message{}, streams: map[pair]*stream{}, instances: map[address]*instance{},
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

// name is a cancellation token: it belongs to the id of the sender, whatever its kind.
type name struct {
	id    int
	token string
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
	delay   int64
	sent    clock.Instant // When it was sent,
	due     clock.Instant // and when it is to come.
	token   engine.Token
	name    string // Its token, if it comes from elsewhere.
	fired   bool   // It is too late to cancel.
	undone  bool   // Cancelled by the invocation that sent it.
	done    bool
	// perhaps says that it was cancelled at the moment at which it was due, or later: it may have been on its
	// way by then.
	perhaps bool
	lost    int // How often it has taken effect elsewhere and the reply was lost.
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

	// Of a function elsewhere.
	busy   bool       // A request is on its way.
	again  []*message // What the last request had, if it has failed: the next one has the same, or fewer.
	broken int        // How often in a row a request of one message has been answered wrongly.
	pardon bool       // A request to resume has been taken, maybe since it was suspended.
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

// doubt is what happens to a message that is cancelled when it may be on its way: it comes, or does not.
func (m *model) doubt(msg *message) {
	msg.perhaps = true
	m.doubts++
	m.pending--
	m.delayed--
}

// certain notes that a message has come.
func (m *model) certain(msg *message) {
	if msg.perhaps {
		msg.perhaps = false
		m.pending++
		m.delayed++
	}
}

// first returns the message of a stream behind so many others that comes next, when msg has come: those
// that were cancelled and are overtaken will not come.
func (m *model) first(msg *message, behind int) *message {
	s := m.stream(msg)
	for s.messages[behind] != msg && s.messages[behind].perhaps {
		s.messages[behind].done = true
		s.messages = slices.Delete(s.messages, behind, behind+1)
	}
	return s.messages[behind]
}

// skipped takes out the message that an address is suspended for.
func (m *model) skipped(inst *instance) {
	m.finish(inst.blocked)
	m.skips++
	m.waiting--
	inst.blocked, inst.attempts, inst.suspended, inst.skip = nil, 0, false, false
	inst.again, inst.broken = nil, 0
}

// mayRun reports what is wrong with a message being handed to its target now.
func (m *model) mayRun(msg *message, inst *instance) error {
	switch first := m.first(msg, 0); {
	case first != msg:
		return fmt.Errorf("order: %v comes before %v, which was sent first", msg, first)
	case inst.blocked != nil && inst.blocked != msg:
		return fmt.Errorf("order: %v overtakes %v, which has failed and waits", msg, inst.blocked)
	case inst.suspended && inst.resumes == 0 && !inst.pardon:
		return fmt.Errorf("order: %v is run at a suspended address", msg)
	}
	return nil
}

// nextDue returns when the next delayed message after now is due.
func (m *model) nextDue(now clock.Instant) (due clock.Instant, ok bool) {
	for _, tokens := range m.tokens {
		for _, msg := range tokens {
			if !msg.done && !msg.perhaps && msg.due > now && (!ok || msg.due < due) {
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
