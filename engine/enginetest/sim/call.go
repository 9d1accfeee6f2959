// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/internal/checkpoint"
	"github.com/millrace-io/millrace/engine/internal/clock"
	"github.com/millrace-io/millrace/engine/internal/envelope"
)

// call leaves a client's question with the engine. The answer is what the message's invocation says first to
// whoever asked. One that is durable is that of a history that will not be undone; under a key it is the same for
// everybody who asks, for ever (P17, P19).
func (r *run) call(c *client, t envelope.Ticket) error {
	plan := c.root.messages[0]
	answer, err := r.app.Ask(plan.to.address(), typed(plan.form, c.message.serial), c.root.durable, t)
	if err == nil {
		c.answers, c.answered = append(c.answers, answer), false
	}
	return err
}

// collect has clients take the answers that are there, and go when none will come. Who has asked again waits for the
// answer to that: he has hung up before.
func (r *run) collect() {
	if r.dead {
		return // So is the wire.
	}
	for _, c := range r.clients.callers {
		for i, answer := range c.answers {
			select {
			case v := <-answer:
				r.violate(r.checkAnswer(c, v))
				if i == len(c.answers)-1 {
					c.answered = true
				}
			default:
			}
		}
		if m := c.message; m.done && m.answer == "" && r.model.messages[m.serial] == m && r.isCommitted(m) {
			c.answered = true // None will come.
		}
		if c.answered {
			c.answers = nil
			r.clients.leave(c)
		}
	}
}

func (r *run) checkAnswer(c *client, v engine.TypedValue) error {
	text, err := engine.String.Decode(v.Value)
	if err != nil {
		return err
	}
	m := c.message
	r.trace.add(m.serial, serialOfText(text))
	r.logf("answer  to %v", m)
	r.stats.Answers++
	switch durable := c.root.durable && r.Case.Config.epochs(); {
	case r.model.messages[m.serial] != m || !m.ran || m.answer != text:
		return fmt.Errorf("doors: %v is answered with %.40q, not %.40q", m, text, m.answer)
	case c.last != "" && c.last != text:
		return fmt.Errorf("doors: %v is answered with %.40q, and was with %.40q (P19)", m, text, c.last)
	case durable && r.recorder != nil && m.ended > r.newest():
		return fmt.Errorf("doors: the answer to %v is said to be durable, and is one of epoch %d (I5)", m, m.ended)
	case durable:
		c.last = text
	}
	return nil
}

// checkKey compares what is kept of a client's key with his message.
func (r *run) checkKey(c *client, value string) error {
	k, err := checkpoint.ParseKey([]byte(value))
	if err != nil {
		return err
	}
	m := c.message
	c.expires = int64(k.Expires)
	if k.Body != c.body() || !c.root.brief && k.Expires < clock.Instant(r.ledger.cp.CreatedAt) || (len(k.Caller) > 0) != m.asked {
		return fmt.Errorf("cuts: the key of %v is kept as %+v", m, k)
	}
	if !k.Answered {
		return nil
	}
	text, err := engine.String.Decode(k.Value)
	if err != nil || text != m.answer || m.ended > r.ledger.cp.Epoch {
		return fmt.Errorf("cuts: the answer to %v, of epoch %d, is kept as %.40q: %w", m, m.ended, text, err)
	}
	return nil
}

// isAnswer reports whether an entry is an answer on its way to the key that it is kept with.
func (l *ledger) isAnswer(key string) bool {
	fn, _, _, err := checkpoint.ParseMessageKey([]byte(key))
	return err == nil && int(fn) < len(l.names) && l.names[fn].Function == callers.String()
}
