// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/engine"
)

// cancel takes back a delayed message: of this invocation, of an earlier one, of another id, or none.
func (a *attempt) cancel(v uint64) {
	msg := a.choose(v)
	if msg == nil {
		if a.ctx.Cancel(engine.Token(1<<63 | v)) {
			a.violate(fmt.Errorf("time: %v cancels a token that was never handed out", a.msg))
		}
		return
	}
	a.logf("cancel  %v by %v", msg, a.msg)
	done := a.ctx.Cancel(msg.token)
	a.trace.add(msg.serial, boolean(done))
	// Beyond the limit of sends there is no message, and no token; the attempt fails.
	if want, sure := a.cancellable(msg); sure && done != (want && msg.token != 0) {
		a.violate(fmt.Errorf("time: %v cancels %v at %d: the answer is %v", a.msg, msg, a.now, done))
	}
	switch own := slices.Contains(a.sends, msg); {
	case done && own:
		msg.undone = true
	case done:
		a.cancels = append(a.cancels, msg)
	case msg.due <= a.now && msg.from.id == a.self.id:
		msg.fired = true
	}
}

// choose picks a delayed message, whatever has become of it.
func (a *attempt) choose(v uint64) *message {
	if v%3 == 0 {
		for _, msg := range slices.Backward(a.sends) {
			if msg.delayed {
				return msg
			}
		}
	}
	id := a.self.id
	if v%7 == 0 {
		id = int(v) % len(ids)
	}
	tokens := a.model.tokens[id]
	if len(tokens) == 0 {
		return nil
	}
	if v%2 == 0 { // One of the last few: they are likely to be pending.
		tokens = tokens[len(tokens)-min(len(tokens), 4):]
	}
	return tokens[int(v)%len(tokens)]
}

// cancellable says what the answer must be, unless it cannot be known.
func (a *attempt) cancellable(msg *message) (want, sure bool) {
	switch {
	case slices.Contains(a.sends, msg):
		return !msg.undone, true
	case msg.from.id != a.self.id, msg.done, msg.fired, slices.Contains(a.cancels, msg):
		return false, true
	case msg.due > a.now:
		return true, true
	}
	// A turn fires what is due before it runs anything, but not more timers than its pace allows, and not
	// what it will send itself; and a message that is tried again is run by a timer, among the others.
	queued := a.msg.tries > 0 || a.inst.blocked != nil || a.inst.freed == a.now
	return false, msg.sent < a.now && !queued && a.model.delayed+a.model.waiting < a.Case.Config.Pace.Timers
}

func boolean(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}
