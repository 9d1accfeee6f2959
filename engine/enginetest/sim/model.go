// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/engine/internal/clock"
	"github.com/millrace-io/millrace/engine/statefun"
)

// model is what must be true of an engine: the effects of all invocations so far, and what is still to
// come. It changes only when an invocation takes effect, and when the engine starts again from a checkpoint:
// what happened after that has not happened then (rollback.go). So everything in it knows its epoch.
type model struct {
	last      uint64              // Serial number. It is never taken back.
	ordered   uint64              // Number of messages that were sent.
	messages  map[uint64]*message // Those that have been sent, by serial number.
	streams   map[pair]*stream
	names     map[name]*message // Delayed messages of functions elsewhere, by their cancellation tokens.
	instances map[address]*instance
	tokens    [][]*message // Delayed messages, by the sender's id; those that are done, too.
	records   map[uint64]*record
	emitted   map[lane][]*record // Not delivered yet in this life, in order.

	// inflight are the messages that the last checkpoint must have in flight, journal what has happened since.
	inflight map[uint64]*message
	journal  map[statefun.Epoch]*journal

	burnt int64 // Money of messages that have not taken effect and will not, as of the last checkpoint.

	now func() clock.Instant

	pending int // Messages that have been sent and are not done.
	delayed int // Of these, those that may be waiting for their time.
	doubts  int // Messages that were cancelled when they were due.
	tally
}

// tally counts what has happened, whether it was taken back or not.
type tally struct {
	invocations int // That took effect.
	failures    int // That left no trace.
	replies     int // To callers outside.
	cancelled   int
	skips       int
}

// journal is what has happened in one epoch that is not committed.
type journal struct {
	sent, done, doubted []*message
	records             []*record
}

func newModel() *model {
	return &model{
		names: map[name]*message{}, messages: map[uint64]*message{}, streams: map[pair]*stream{}, instances: map[address]*instance{},
		records: map[uint64]*record{}, emitted: map[lane][]*record{}, tokens: make([][]*message, len(ids)),
		inflight: map[uint64]*message{}, journal: map[statefun.Epoch]*journal{},
	}
}

// in returns the journal of an epoch.
func (m *model) in(epoch statefun.Epoch) *journal {
	j := m.journal[epoch]
	if j == nil {
		j = &journal{}
		m.journal[epoch] = j
	}
	return j
}

func (m *model) instance(a address, slots int) *instance {
	inst := m.instances[a]
	if inst == nil {
		inst = &instance{version: version{values: make([]*uint64, slots), stamps: make([]clock.Instant, slots)}, freed: -1}
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
	m.ordered++
	msg.order = m.ordered
	m.messages[msg.serial] = msg
	if msg.epoch > 0 {
		j := m.in(msg.epoch)
		j.sent = append(j.sent, msg)
	}
	if msg.delayed {
		m.tokens[msg.from.id] = append(m.tokens[msg.from.id], msg)
	}
	m.await(msg)
}

// await adds a message to its stream.
func (m *model) await(msg *message) {
	m.pending++
	s := m.stream(msg)
	if !msg.delayed {
		s.messages = append(s.messages, msg)
		return
	}
	m.delayed++
	at, _ := slices.BinarySearchFunc(s.messages, msg.due, func(other *message, due clock.Instant) int {
		if other.due <= due { // Behind all that are due at the same time.
			return -1
		}
		return 1
	})
	s.messages = slices.Insert(s.messages, at, msg)
}

// taken notes that a shard has taken a message from a door, in this epoch at the latest.
func (m *model) taken(msg *message, epoch statefun.Epoch, sources int) {
	if msg.epoch == 0 && msg.door(sources) {
		msg.epoch = epoch
		j := m.in(epoch)
		j.sent = append(j.sent, msg)
	}
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

// finish takes a message out: it has taken effect in this epoch, or will not come any more.
func (m *model) finish(msg *message, epoch statefun.Epoch) {
	m.remove(msg)
	msg.done, msg.ended = true, epoch
	j := m.in(epoch)
	j.done = append(j.done, msg)
}

func (m *model) remove(msg *message) {
	if msg.delayed {
		m.spare(msg.from)
	}
	s := m.stream(msg)
	i := slices.Index(s.messages, msg)
	s.messages = slices.Delete(s.messages, i, i+1)
	if msg.perhaps {
		m.doubts--
		return
	}
	m.pending--
	if msg.delayed {
		m.delayed--
	}
}

// withdraw forgets a message that a door has refused.
func (m *model) withdraw(msg *message) {
	m.remove(msg)
	delete(m.messages, msg.serial)
}

// doubt is what happens to a message that is cancelled when it may be on its way: it comes, or does not.
func (m *model) doubt(msg *message, epoch statefun.Epoch) {
	msg.perhaps, msg.doubted = true, epoch
	m.spare(msg.from)
	m.doubts++
	m.pending--
	m.delayed--
	j := m.in(epoch)
	j.doubted = append(j.doubted, msg)
}

// certain notes that a message has come.
func (m *model) certain(msg *message) {
	if msg.perhaps {
		msg.perhaps = false
		m.doubts--
		m.pending++
		m.delayed++
	}
}

// first returns the message of a stream behind so many others that comes next, when msg has come: those
// that were cancelled and are overtaken will not come.
func (m *model) first(msg *message, behind int) *message {
	s := m.stream(msg)
	for s.messages[behind] != msg && s.messages[behind].perhaps {
		never := s.messages[behind]
		m.finish(never, never.doubted)
	}
	return s.messages[behind]
}

// skipped takes out the message that an address is suspended for.
func (m *model) skipped(inst *instance, epoch statefun.Epoch) {
	inst.change(epoch)
	m.finish(inst.blocked, epoch)
	m.skips++
	if len(inst.first) > 0 {
		inst.first = inst.first[1:]
	}
	inst.blocked, inst.attempts, inst.suspended, inst.skip = nil, 0, false, false
	inst.broken, inst.spared = 0, m.now()
}

// waiting returns at how many addresses messages wait and are run by a timer.
func (m *model) waiting() (n int) {
	for a, inst := range m.instances {
		if inst.waits(a) {
			n++
		}
	}
	return n
}

// mayRun reports what is wrong with a message being handed to its target now.
func (m *model) mayRun(msg *message, inst *instance) error {
	switch first := m.first(msg, 0); {
	case first != msg:
		return fmt.Errorf("order: %v comes before %v, which was sent first", msg, first)
	case len(inst.first) > 0 && inst.first[0] != msg:
		return fmt.Errorf("order: %v overtakes %v, which waits", msg, inst.first[0])
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
