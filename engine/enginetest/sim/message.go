// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/internal/clock"
	"github.com/millrace-io/millrace/engine/statefun"
)

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
	asked  bool // By a caller outside.
	owed   bool // And under a key: if it is given up, the key is forgotten.
	// epoch is the sender's. For a message of a source it is 0 until a position in a checkpoint is behind it, for
	// one from a door until it is seen that a shard has taken it (P18).
	epoch statefun.Epoch
	order uint64 // Of sending.
	event int    // Of its source.
	tries int

	delayed bool
	delay   int64
	sent    clock.Instant // When it was sent,
	due     clock.Instant // and when it is to come.
	token   engine.Token
	name    string // Its token, if it comes from elsewhere.
	fired   bool   // It is too late to cancel.
	undone  bool   // Cancelled by the invocation that sent it.
	// done says that it has taken effect, or will not come, since the epoch ended. ran says which.
	done, ran bool
	ended     statefun.Epoch
	// perhaps says that it was cancelled at the moment at which it was due, or later: it may have been on its
	// way by then. That was in the epoch doubted.
	perhaps bool
	doubted statefun.Epoch
	lost    int // How often it has taken effect elsewhere and the reply was lost.

	answer string // The first to a caller outside; empty: there was none.
}

// door returns whether the message has come through a door: it is in no position of a source.
func (msg *message) door(sources int) bool { return msg.from.outside > sources }

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

// instance is one address.
type instance struct {
	version           // As it is now,
	past    []version // and as it was at the end of earlier epochs that are not committed yet, oldest first.

	// What no checkpoint has.
	attempts int           // Of the first message that waits.
	skip     bool          // The first message that waits is given up before another runs.
	resumes  int           // Requests to resume that may still be on their way.
	spared   clock.Instant // Until then, at the latest, it has been spared: for what it had sent, or what waited.
	pardon   bool          // A request to resume has been taken, maybe since it was suspended.
	// freed is when messages last stopped waiting here.
	freed clock.Instant

	// Of a function elsewhere.
	busy   bool // A request is on its way.
	broken int  // How often in a row a request of one message has been answered wrongly.
}

// version is what a checkpoint has of an instance.
type version struct {
	epoch  statefun.Epoch // Of the last change.
	values []*uint64
	stamps []clock.Instant // From when the time of values counts that expire.
	seen   clock.Instant   // When it was last messaged.
	// first are the messages that are known to come first here, in this order: what has failed, what a request to
	// elsewhere has, and what a checkpoint has had waiting here (P9, P10).
	first     []*message
	blocked   *message // The first message that waits here: it has failed.
	suspended bool
	asked     statefun.Epoch // When somebody first asked for it to be resumed: it is not before.
}

// suspend has the instance wait until it is resumed.
func (i *instance) suspend() {
	i.suspended, i.pardon = true, false
	if i.resumes == 0 {
		i.asked = 0
	}
}

// change keeps what the instance was at the end of an earlier epoch.
func (i *instance) change(epoch statefun.Epoch) {
	if i.epoch < epoch {
		i.past = append(i.past, i.version)
		i.epoch = epoch
	}
}

// at returns what the instance was at the end of an epoch that is not older than the last one committed.
func (i *instance) at(epoch statefun.Epoch) version {
	v := i.version
	for n := len(i.past) - 1; v.epoch > epoch; n-- {
		v = i.past[n]
	}
	return v
}

// committed forgets what nobody can ask for any more.
func (i *instance) committed(epoch statefun.Epoch) {
	for len(i.past) > 0 && (len(i.past) == 1 && i.epoch <= epoch || len(i.past) > 1 && i.past[1].epoch <= epoch) {
		i.past = i.past[1:]
	}
}

// waits reports whether a message waits here and is run by a timer.
func (i *instance) waits(a address) bool {
	return i.blocked != nil || !kinds[a.kind].far && len(i.first) > 0
}

// record is an egress record.
type record struct {
	serial uint64
	from   address
	egress int
	epoch  statefun.Epoch
	chain  link

	named     bool // It has a name: the epoch is committed, or was off.
	index     uint64
	confirmed bool // The sink has said what became of it.
}

// lane is what keeps the order of records.
type lane struct {
	from   address
	egress int
}
