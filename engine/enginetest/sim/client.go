// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/internal/checkpoint"
	"github.com/millrace-io/millrace/engine/internal/envelope"
)

// client is somebody outside who has an event to bring in. With a ticket he hears what has become of it:
//
//	waiting ──let in──► asking ──ticket──► answered
//	   ▲                  │ crash, and he has a key
//	   └──────────────────┘
//
// One without a key does not know, after a crash, whether his message is there, and gives up. One with a key
// comes again, now and then also when there is no need, and his message takes effect once (P17, P19).
type client struct {
	root     *root
	message  *message // Since it was let in.
	kept     bool     // The engine has said, or a checkpoint says, that it has the message.
	answered bool
	entry    string // The key of the entry in which his key is kept,
	expires  int64  // and until when, as far as a checkpoint has had it.

	// Of one who calls.
	answers []<-chan engine.TypedValue // That may still come, in this life.
	last    string                     // The last durable one.

	// Of an event from which a router makes messages: each of them is told of by itself.
	parts  []*client
	whole  *client // Of a part.
	name   []byte  // The key, if it is not the serial number of the message,
	digest uint64  // and what is kept of the event under it.
}

// calls reports whether the client waits for an answer, and not only to hear that his message is there.
func (c *client) calls() bool { return c.root.calls }

// clients are all of them.
type clients struct {
	waiting []*client
	asking  []*client
	keyed   []*client // Those who have a key, once they have been let in.
	durable []*client // Those who were told that their message is durable.
	callers []*client // Those who call, once they have been let in.
}

// leave has a client wait no longer.
func (all *clients) leave(c *client) {
	all.asking = slices.DeleteFunc(all.asking, func(other *client) bool { return other == c })
}

// served reports whether everybody has been let in, and been told.
func (c *clients) served() bool { return len(c.waiting) == 0 && len(c.asking) == 0 }

// press reports whether somebody waits for a commit of what a shard has taken: then the next epoch must begin
// without being asked for (P20).
func (all *clients) press() bool {
	return slices.ContainsFunc(all.asking, func(c *client) bool { return c.root.durable && !c.calls() && c.message.epoch > 0 })
}

// window is how long a client's key is kept, in milliseconds: longer than any case, or for a moment.
func (c *client) window() int64 {
	if c.root.brief {
		return 100
	}
	return keyWindow
}

const keyWindow = 1000 * 365 * 24 * 3_600_000

func (c *client) key() []byte {
	if c.name != nil {
		return c.name
	}
	return binary.BigEndian.AppendUint64(nil, c.message.serial)
}

// body stands for the message in what is kept of its key.
func (c *client) body() [16]byte {
	if c.name != nil {
		return body(c.digest)
	}
	return body(c.message.serial)
}

func body(n uint64) (b [16]byte) {
	binary.BigEndian.PutUint64(b[:], n)
	return b
}

// submit leaves a client's message with the engine, for the first time or once more.
func (r *run) submit(c *client) error {
	if c.whole != nil {
		return r.submitEvent(c.whole)
	}
	plan := c.root.messages[0]
	fresh := r.write(c)
	var t envelope.Ticket
	if c.root.keyed {
		t.Key, t.Body, t.Window = c.key(), c.body(), c.window()
	}
	t.Done = func(t *envelope.Ticket) { r.tell(c, t) }
	var err error
	if c.message.asked = c.calls(); c.calls() {
		c.message.owed = c.root.keyed
		err = r.call(c, t)
	} else {
		t.Durable = c.root.durable && r.Case.Config.epochs()
		err = r.app.Send(plan.to.address(), typed(plan.form, c.message.serial), t)
	}
	if err != nil {
		if fresh {
			r.model.withdraw(c.message)
		}
		return err
	}
	r.clients.letIn(c)
	return nil
}

// write makes a client's message, unless it is there already.
func (r *run) write(c *client) (fresh bool) {
	switch m := c.message; {
	case m == nil:
		c.message = r.outside(c.root, c.root.messages[0])
	case r.model.messages[m.serial] == m:
		return false
	default: // It was lost.
		*m = message{plan: m.plan, serial: m.serial, from: m.from, tries: m.tries}
		r.model.sent(m)
	}
	return true
}

func (all *clients) letIn(c *client) {
	add := func(list *[]*client, want bool) {
		if want && !slices.Contains(*list, c) {
			*list = append(*list, c)
		}
	}
	add(&all.asking, !c.answered)
	add(&all.keyed, c.root.keyed)
	add(&all.callers, c.calls())
}

// tell is how a client hears what has become of his message.
func (r *run) tell(c *client, t *envelope.Ticket) {
	if r.dead {
		return // So is the wire.
	}
	r.trace.add(c.message.serial, uint64(t.Verdict))
	r.logf("verdict %d on %v", t.Verdict, c.message)
	want := envelope.Taken
	if c.kept && c.root.keyed {
		want = envelope.Known
	}
	if t.Verdict != want {
		r.violate(fmt.Errorf("doors: the verdict on %v is %d, not %d (P17)", c.message, t.Verdict, want))
	}
	if c.kept = true; !c.calls() {
		c.answered = true
		r.clients.leave(c)
	}
	if t.Durable {
		r.stats.Durable++
		r.clients.durable = append(r.clients.durable, c)
		if !r.isCommitted(c.message) {
			r.violate(fmt.Errorf("doors: %v is said to be durable, and is not in the checkpoint of epoch %d (I5, P18, P19)", c.message, r.newest()))
		}
	}
	if t.Verdict == envelope.Known {
		r.stats.Known++
	}
}

// isCommitted reports whether the last checkpoint has a message: in flight, or what became of it. Without
// checkpoints there is none that it could lack.
func (r *run) isCommitted(m *message) bool {
	if r.recorder == nil || !r.Case.Config.epochs() {
		return true
	}
	return r.model.messages[m.serial] == m && (r.model.inflight[m.serial] == m || m.done && m.ended <= r.newest())
}

// askAgain has a client with a key come again, or somebody else with his key and another message.
func (r *run) askAgain() {
	if len(r.clients.keyed) == 0 || r.over() {
		return
	}
	c := r.clients.keyed[r.schedule.IntN(len(r.clients.keyed))]
	if c.root.brief {
		return
	}
	var err error
	if slices.Contains(r.clients.durable, c) && one(r.schedule, 3) {
		err = r.rival(c)
	} else {
		r.stats.Retried++
		err = r.submit(c)
	}
	if err != nil && !refused(err) {
		r.violate(fmt.Errorf("door: %w", err))
	}
}

// rival has somebody use a key for another message, which must not take effect.
func (r *run) rival(c *client) error {
	plan, serial := c.root.messages[0], r.model.serial()
	t := envelope.Ticket{Durable: c.root.durable, Key: c.key(), Body: body(serial), Window: keyWindow, Done: func(t *envelope.Ticket) {
		r.stats.Conflicting++
		if t.Verdict != envelope.Conflicting {
			r.violate(fmt.Errorf("doors: the verdict on another message under the key of %v is %d", c.message, t.Verdict))
		}
	}}
	return r.app.Send(plan.to.address(), typed(plan.form, serial), t)
}

// restarted has clients find out that the engine was gone.
func (all *clients) restarted(r *run) {
	var again []*client
	for _, c := range all.asking {
		if c.root.keyed && !c.root.brief {
			if c.whole != nil {
				c = c.whole
			}
			if !slices.Contains(again, c) {
				again = append(again, c)
			}
		} else if r.model.messages[c.message.serial] != c.message {
			r.stats.LostMessages++
		}
	}
	all.asking, all.waiting = nil, append(again, all.waiting...)
	for _, c := range all.keyed {
		c.kept = r.model.messages[c.message.serial] == c.message
	}
	for _, c := range all.callers {
		c.answers = nil
	}
	for _, c := range all.durable {
		if r.model.messages[c.message.serial] != c.message {
			r.violate(fmt.Errorf("doors: %v was said to be durable, and is lost (I5)", c.message))
		}
	}
}

// checkKeys demands that the checkpoint knows the keys of those messages that it has, and no others: a key is a
// part of the state of its target (P17).
func (r *run) checkKeys(c *cut) error {
	for _, cl := range r.clients.keyed {
		if to := cl.root.messages[0].to; cl.entry == "" && r.ledger.numbers[to.kind] != noNumber {
			cl.entry = string(checkpoint.AppendKeyKey(nil, r.ledger.numbers[to.kind], []byte(ids[to.id]), cl.key()))
		}
		value, known := r.ledger.entries[cl.entry]
		if !known && cl.root.brief && cl.expires > 0 && cl.expires <= c.cp.CreatedAt {
			continue // It was there, for its time.
		}
		if want := r.isCommitted(cl.message); known != want && !(cl.root.brief && want && cl.expires == 0) {
			return fmt.Errorf("cuts: the checkpoint has the key of %v: %v", cl.message, known)
		}
		if !known || !c.keys[cl.entry] {
			continue
		}
		if err := r.checkKey(cl, value); err != nil {
			return err
		}
		delete(c.keys, cl.entry)
	}
	for key := range c.keys {
		if _, known := r.ledger.entries[key]; known {
			return fmt.Errorf("isolation: a key %x that nobody has used", key)
		}
	}
	return nil
}
