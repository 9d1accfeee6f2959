// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"runtime"
	"sync/atomic"
	"time"

	"github.com/millrace-io/millrace/engine/internal/clock"
	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/internal/invariant"
	"github.com/millrace-io/millrace/engine/internal/mailbox"
	"github.com/millrace-io/millrace/engine/internal/planted"
	"github.com/millrace-io/millrace/engine/internal/shard"
	"github.com/millrace-io/millrace/engine/remote"
	"github.com/millrace-io/millrace/engine/statefun"
)

// Pace is how much of each kind of work a turn does before the others get theirs. A turn is some hundred
// microseconds at most; a batch is a few.
type Pace struct {
	Batches int // From shards; and as many from doors.
	Timers  int
	Frozen  int // Instances to encode; 512 take about 20 microseconds.
	Replies int // Of functions that run elsewhere.
}

var usualPace = Pace{Batches: 8, Timers: 512, Frozen: 512, Replies: 64}

const (
	// outsideEvery is how many turns full of internal work go by before ingress gets a batch in all the
	// same. Internal work comes first: what is inside should get out before more comes in.
	outsideEvery = 64
	// spins is how often a loop that finds nothing looks again before it lets others run: for the fraction of a
	// microsecond in which a peer answers, which is less than the scheduler takes.
	spins = 40
	// idleTurns is how often a loop that finds nothing lets others run and looks again before it sleeps.
	idleTurns = 20
	// yieldEvery is how many turns go by before a busy loop, or pump, lets others run. There are more of them than
	// processors, and the scheduler takes a processor away from who does not give it up only after ten milliseconds
	// or more: for so long markers, commits and messages would wait.
	yieldEvery = 32
	// publishEvery is how many turns go by before a busy loop shows its counters.
	publishEvery = 64
)

// Loop drives one shard: it waits, wakes, and calls Step. All fields are owned by its goroutine unless
// they say otherwise.
type Loop struct {
	shard     *shard.Shard
	clock     clock.Clock
	gate      *mailbox.Gate
	outflow   *Outflow
	parker    *mailbox.Parker                // Anyone may wake.
	inbox     *mailbox.Inbox[envelope.Batch] // Anyone may push.
	back      *mailbox.Inbox[shard.Call]     // Likewise. There is a slot for each call that can be under way.
	questions chan question                  // Anyone may ask.

	inside   []*mailbox.Ring // From each shard, by its number.
	outside  []*mailbox.Ring // From each source.
	out      []*mailbox.Ring // To each shard, by its number.
	peers    []*Loop
	newest   []statefun.Epoch // Of each ring, inside then outside.
	announce *Announcement
	hooks    Hooks

	pace      Pace
	turns     uint64
	next      int                   // Where the round over the rings goes on.
	held      [2][]*envelope.Ticket // Those that wait for their epoch's commit, by the epoch's parity (P5).
	hold      func(*envelope.Ticket)
	sealed    bool // The last epoch has ended: nothing that happens now leaves (P40),
	over      bool // and its part has been handed over.
	consumed  int64
	passed    int64          // What the shard has sent itself since the last flush, and has got.
	accounted int64          // What the shard holds that counts as queued: waiting messages and egress records.
	emitted   int64          // The records among it.
	touched   statefun.Epoch // The newest in which there was something to do.
	stop      atomic.Bool
	stats     Stats
	maxStop   time.Duration
}

// Hooks carry a shard's effects out of the loop. They are called by its goroutine and must not wait.
type Hooks struct {
	Part func(Part)
	// Replies takes answers to callers outside. A caller who waits until the answer is durable gets it by a
	// ticket, which the hook gives to hold.
	Replies func(b *envelope.Batch, hold func(*envelope.Ticket))
	Failed  func(shard.Failure)
	// Invoke sends a request; it ends with Complete.
	Invoke func(*shard.Call)
	// Egress takes records at once when there are no epochs; else it is nil.
	Egress func(*envelope.Batch)
	// Recycle takes back the batches of outsiders.
	Recycle func(*envelope.Batch)
}

// LoopConfig is what a loop is made of.
type LoopConfig struct {
	Shard    *shard.Shard
	Clock    clock.Clock
	Gate     *mailbox.Gate
	Inbox    *mailbox.Inbox[envelope.Batch]
	Announce *Announcement
	Hooks    Hooks
	CallsMax int // Requests that can be under way at once.
	Outflow  *Outflow
}

// NewLoop makes a loop that is not connected yet.
func NewLoop(c LoopConfig) *Loop {
	l := &Loop{
		shard: c.Shard, clock: c.Clock, gate: c.Gate, inbox: c.Inbox, outflow: c.Outflow,
		announce: c.Announce, hooks: c.Hooks, parker: mailbox.NewParker(), pace: usualPace,
		questions: make(chan question, 1),
	}
	l.hold = l.holdTicket
	l.back = mailbox.NewInbox[shard.Call](c.CallsMax + 1)
	c.Announce.OnAnnounce(l.Wake)
	return l
}

// Connect gives every loop a ring to every loop, itself included (P2), and each source a ring to each.
func Connect(loops []*Loop, pumps []*Pump, slots int, gate *mailbox.Gate) {
	for _, from := range loops {
		from.peers = loops
		for _, to := range loops {
			r := mailbox.NewRing(slots, gate)
			from.out = append(from.out, r)
			to.inside = append(to.inside, r)
		}
	}
	for _, p := range pumps {
		p.loops = loops
		for _, to := range loops {
			r := mailbox.NewRing(slots, gate)
			p.out = append(p.out, r)
			to.outside = append(to.outside, r)
		}
	}
	for _, l := range loops {
		l.newest = make([]statefun.Epoch, len(l.inside)+len(l.outside))
	}
}

// Wake ends the loop's sleep. Anyone may call it.
func (l *Loop) Wake() { l.parker.Wake() }

// Inbox is where outsiders leave batches; they call Wake afterwards.
func (l *Loop) Inbox() *mailbox.Inbox[envelope.Batch] { return l.inbox }

// Complete hands a call back that Hooks.Invoke was given. Anyone may call it, once for each.
func (l *Loop) Complete(c *shard.Call) {
	if !l.back.TryPush(c) {
		invariant.Failf("shard %d: more calls come back than were sent", l.shard.ID())
	}
	l.Wake()
}

// SetPace has a simulation take small steps, so that what one turn usually does takes many, and others
// come in between. It is called before the first turn.
func (l *Loop) SetPace(p Pace) { l.pace = p }

// Epoch returns the epoch that is open in the shard. Only the loop's goroutine may ask.
func (l *Loop) Epoch() statefun.Epoch { return l.shard.Epoch() }

// Stop has Run return at the end of its turn. Anyone may call it.
func (l *Loop) Stop() {
	l.stop.Store(true)
	l.Wake()
}

// Run turns until it is stopped: what is not done then is cut off.
func (l *Loop) Run() {
	idle, seen := 0, false
	for {
		if l.Turn(l.clock.Now()) && !l.stop.Load() {
			if idle, seen = 0, false; l.turns%yieldEvery == 0 {
				runtime.Gosched()
			}
			continue
		}
		if l.stop.Load() {
			l.publish()
			return
		}
		if seen = !seen && idle == 0 && l.spin(); seen {
			continue // If the turn does not find it, it is still being pushed: by somebody who may need this processor.
		}
		if idle++; idle < idleTurns {
			runtime.Gosched()
			continue
		}
		idle = 0
		l.publish()
		l.gate.NotifyOpen()
		l.parker.Park(l.ready, l.untilTimer())
	}
}

// spin waits a moment, and reports whether there is something to do.
func (l *Loop) spin() bool {
	for range spins {
		if l.ready() {
			return true
		}
	}
	return false
}

// untilTimer returns how long to sleep: not at all when a timer came due since the turn.
func (l *Loop) untilTimer() time.Duration {
	at, ok := l.shard.NextTimer()
	if !ok {
		return -1
	}
	const most = clock.Instant(time.Hour / time.Millisecond)
	return time.Duration(min(max(at-l.clock.Now(), 0), most)) * time.Millisecond
}

// ready reports whether there is something to do.
func (l *Loop) ready() bool {
	if l.over {
		return l.stop.Load()
	}
	if !l.back.Empty() || l.announce.Epoch() > l.shard.Epoch() || l.shard.Closing() || l.stop.Load() || len(l.questions) > 0 {
		return true
	}
	for _, r := range l.inside {
		if !r.Empty() {
			return true
		}
	}
	return l.waitsOutside()
}

// waitsOutside reports whether sources or outsiders have left something.
func (l *Loop) waitsOutside() bool {
	if !l.inbox.Empty() {
		return true
	}
	for _, r := range l.outside {
		if !r.Empty() {
			return true
		}
	}
	return false
}

// Turn does a bounded amount of whatever there is to do and reports whether there was anything.
func (l *Loop) Turn(now clock.Instant) (busy bool) {
	if l.over {
		return false
	}
	l.turns++
	full := l.outflow.Full()
	l.shard.HoldEgress(full)
	if full && l.emitted > 0 { // P36. Records leave when their epoch ends.
		l.announce.Want(l.shard.Epoch())
	}
	if epoch := l.announce.Epoch(); epoch > l.shard.Epoch() {
		l.cut(epoch)
		busy = true
	}
	if !l.sealed {
		busy = l.shard.Advance(now, l.pace.Timers) || busy
		busy = l.takeBack(now) || busy
	}
	inside := l.takeInside(now)
	if !inside || l.turns%outsideEvery == 0 {
		busy = l.takeOutside(now) || busy
	}
	if l.shard.Closing() {
		l.encode()
		busy = true
	}
	busy = l.answer() || busy
	return l.flush() || inside || busy
}

// cut ends the shard's epoch. What it has left in the outlets has been handed over.
func (l *Loop) cut(epoch statefun.Epoch) {
	start := time.Now()
	l.shard.Cut(epoch)
	l.shard.ContinueLap(*l.announce.lap.Load())
	l.stopped(start)
	l.sealed = l.announce.Last() == epoch-1
}

func (l *Loop) encode() {
	start := time.Now()
	if l.announce.room.Load() < 0 {
		l.shard.GiveUpLap()
	}
	l.shard.EncodeFrozen(l.pace.Frozen)
	if bytes := l.shard.Repeated(); bytes > 0 {
		l.announce.room.Add(-bytes)
	}
	l.stopped(start)
}

func (l *Loop) stopped(since time.Time) {
	l.maxStop = max(l.maxStop, time.Since(since))
}

// takeBack takes replies: what they set free comes before what is new. A reply with many effects counts for
// many, so that there is at most one of those in a turn: how large replies are is not ours to say (I8).
func (l *Loop) takeBack(now clock.Instant) (any bool) {
	for left := l.pace.Replies; left > 0; {
		c := l.back.Pop()
		if c == nil {
			return any
		}
		any = true
		left -= ReplyWeight(&c.Reply)
		l.shard.Complete(now, c)
	}
	return any
}

// ReplyWeight is how many of Pace.Replies a reply counts for.
func ReplyWeight(r *remote.Reply) int {
	const usual = 64 // Effects of one reply.
	return 1 + r.Effects()/usual
}

// takeInside runs batches from shards, one from each ring in turn, its own like the others: a shard that is
// busy with itself must not keep its peers' messages and markers waiting.
func (l *Loop) takeInside(now clock.Instant) (any bool) {
	for range l.pace.Batches {
		b := l.nextInside()
		if b == nil && !l.waitsOutside() && l.passOwn() {
			b = l.nextInside()
		}
		if b == nil {
			return any
		}
		any = true
		l.step(now, b, l.next)
		if l.next == l.shard.ID() {
			l.shard.Recycle(b)
		} else {
			l.inside[l.next].Return(b)
		}
	}
	return any
}

// passOwn hands the shard what it has sent itself without waiting for the end of the turn, when there is nothing
// else: a message that goes from instance to instance then costs a batch and not a turn. While somebody outside
// waits it does not: their wait is counted in turns, and instances that send to themselves would make each of those
// as long as Pace.Batches.
func (l *Loop) passOwn() (any bool) {
	for _, b := range l.shard.Drain(l.shard.ID()) {
		l.passed += b.Bytes()
		l.out[l.shard.ID()].Push(b)
		any = true
	}
	return any
}

// nextInside goes on to the next ring that is not empty and takes a batch.
func (l *Loop) nextInside() *envelope.Batch {
	for range l.inside {
		if l.next++; l.next >= len(l.inside) {
			l.next = 0
		}
		if b := l.inside[l.next].Pop(); b != nil {
			return b
		}
	}
	return nil
}

// takeOutside runs one batch from each source and what has been left in the inbox.
func (l *Loop) takeOutside(now clock.Instant) (any bool) {
	for i, r := range l.outside {
		if b := r.Pop(); b != nil {
			any = true
			l.step(now, b, len(l.inside)+i)
			r.Return(b)
		}
	}
	for range l.pace.Batches {
		if l.sealed {
			break // P40: the doors are closed.
		}
		b := l.inbox.Pop()
		if b == nil {
			break
		}
		any = true
		l.consumed += b.Bytes()
		l.shard.Step(now, b)
		if b.Ticket != nil {
			l.settle(b.Ticket)
		}
		l.hooks.Recycle(b)
	}
	return any
}

// step runs a batch from a ring.
func (l *Loop) step(now clock.Instant, b *envelope.Batch, ring int) {
	if b.Epoch < l.newest[ring] { // P1.
		invariant.Failf("shard %d: ring %d goes back from epoch %d to %d", l.shard.ID(), ring, l.newest[ring], b.Epoch)
	}
	l.newest[ring] = b.Epoch
	if planted.LoopbackNotLogged && ring == l.shard.ID() && len(b.Envelopes) > 0 && b.Epoch < l.shard.Epoch() {
		b.Epoch = 0
	}
	if b.Epoch > l.shard.Epoch() && !planted.NewerDoesNotCut {
		l.flush() // So that what leaves is of the epoch that is open then.
		l.cut(b.Epoch)
	}
	l.consumed += b.Bytes()
	if l.sealed && b.Epoch == l.shard.Epoch() && len(b.Envelopes) > 0 {
		return // P40: nothing runs that the last epoch does not need. Its markers and what is in flight do.
	}
	l.shard.Step(now, b)
}
