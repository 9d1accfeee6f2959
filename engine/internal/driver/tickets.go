// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/internal/planted"
	"github.com/millrace-io/millrace/engine/internal/shard"
)

// Part is a shard's share of an epoch, and the tickets of those who wait for its commit. They are valid until
// it is committed.
type Part struct {
	shard.Part
	Tickets []*envelope.Ticket
}

// settle looks after the ticket of a message that the shard has just judged: whoever waits for durability, and
// for a message that is there, is told by the commit of the epoch that is open now (P18, P19), all others at
// once.
func (l *Loop) settle(t *envelope.Ticket) {
	if t.Durable && (t.Verdict == envelope.Taken || t.Verdict == envelope.Known && !planted.KnownAckedAtOnce) {
		l.holdTicket(t)
		return
	}
	t.Done(t)
}

// holdTicket keeps a ticket until the open epoch is committed, and says that somebody waits for that.
func (l *Loop) holdTicket(t *envelope.Ticket) {
	epoch := l.shard.Epoch()
	if planted.AckOfOlderEpoch {
		epoch--
	}
	held := &l.held[epoch&1]
	if *held = append(*held, t); len(*held) == 1 {
		l.announce.Want(epoch)
	}
}

// handOver hands the shard's part over, with the tickets that belong to it.
func (l *Loop) handOver(p shard.Part) {
	held := &l.held[p.Epoch&1]
	l.hooks.Part(Part{Part: p, Tickets: *held})
	*held = (*held)[:0] // P5: it is used again when the epoch after the next is open, and this one committed.
	l.over = l.sealed
}
