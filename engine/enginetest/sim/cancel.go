// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/engine"
)

// cancel takes back a delayed message: of this invocation, of an earlier one, of another id, or none.
func (h near) cancel(v uint64) {
	msg := h.choose(v)
	if msg == nil {
		if h.ctx.Cancel(engine.Token(1<<63 | v)) {
			h.violate(fmt.Errorf("time: %v cancels a token that was never handed out", h.msg))
		}
		return
	}
	h.logf("cancel  %v by %v", msg, h.msg)
	done := h.ctx.Cancel(msg.token)
	h.trace.add(msg.serial, boolean(done))
	// Beyond the limit of sends there is no message, and no token; the attempt fails.
	if want, sure := h.cancellable(msg); sure && done != (want && msg.token != 0) {
		h.violate(fmt.Errorf("time: %v cancels %v at %d: the answer is %v", h.msg, msg, h.now, done))
	}
	switch own := slices.Contains(h.sends, msg); {
	case done && own:
		msg.undone = true
	case done:
		h.cancels = append(h.cancels, msg)
	case slices.Contains(h.cancels, msg): // Twice, and the attempt may fail.
	case msg.due <= h.now && msg.from.id == h.self.id && !kinds[msg.from.kind].far:
		msg.fired = true
	}
}

// choose picks a delayed message, whatever has become of it.
func (h near) choose(v uint64) *message {
	if v%3 == 0 {
		for _, msg := range slices.Backward(h.sends) {
			if msg.delayed {
				return msg
			}
		}
	}
	id := h.self.id
	if v%7 == 0 {
		id = int(v) % len(ids)
	}
	tokens := h.model.tokens[id]
	if len(tokens) == 0 {
		return nil
	}
	if v%2 == 0 { // One of the last few: they are likely to be pending.
		tokens = tokens[len(tokens)-min(len(tokens), 4):]
	}
	return tokens[int(v)%len(tokens)]
}

// cancellable says what the answer must be, unless it cannot be known.
func (h near) cancellable(msg *message) (want, sure bool) {
	switch {
	case slices.Contains(h.sends, msg):
		return !msg.undone, true
	case msg.from.id != h.self.id, msg.done, msg.fired, slices.Contains(h.cancels, msg):
		return false, true
	case msg.due > h.now:
		return true, true
	}
	// A turn fires what is due before it runs anything, but not more timers than its pace allows, and not
	// what it will send itself; and a message that is tried again is run by a timer, among the others.
	queued := h.msg.tries > 0 || len(h.inst.first) > 0 || h.inst.freed == h.now
	timers := h.model.delayed + h.model.doubts + h.model.waiting() + len(kinds)*h.Case.Config.IDs // With those that expire.
	return false, msg.sent < h.now && !queued && timers < h.layout.Pace.Timers
}

func boolean(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}
