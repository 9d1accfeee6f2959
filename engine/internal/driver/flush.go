// SPDX-License-Identifier: Apache-2.0

package driver

// flush hands over what the turn has left in the outlets, and accounts for it: first what it adds, so
// that queued bytes never dip while something is on its way.
func (l *Loop) flush() (any bool) {
	produced := l.passed
	l.passed = 0
	for to := range l.out {
		for _, b := range l.shard.Peek(to) {
			produced += b.Bytes()
		}
	}
	egress := l.shard.EgressBytes()
	held := l.shard.Waiting() + egress
	l.stats.hold(l.shard.SuspendedBytes() + egress)
	l.outflow.Emitted(egress - l.emitted)
	l.emitted = egress
	change := produced + held - l.accounted - l.consumed
	l.gate.Add(change)
	any = produced != 0 || l.consumed != 0 || change != 0 // Retries take from what waits, and may send nothing.
	l.accounted, l.consumed = held, 0
	if epoch := l.shard.Epoch(); l.touched != epoch && (any || l.shard.Changed()) {
		l.touched = epoch
		l.announce.Touch(epoch)
	}

	for to, r := range l.out {
		batches := l.shard.Drain(to)
		if len(batches) == 0 {
			continue
		}
		any = true
		for _, b := range batches {
			r.Push(b)
		}
		if to != l.shard.ID() {
			l.peers[to].Wake()
		}
	}
	any = l.emit() || any
	for _, f := range l.shard.Failures() {
		l.hooks.Failed(f)
	}
	if part, complete := l.shard.Part(); complete {
		l.accounted -= part.EgressBytes // The outflow accounts for it from here on.
		l.emitted -= part.EgressBytes
		l.handOver(part)
	}
	if any {
		l.reclaim()
		l.gate.Notify()
	}
	if l.turns%publishEvery == 0 {
		l.publish()
	}
	return any
}

// emit hands over what leaves the engine.
func (l *Loop) emit() (any bool) {
	for _, c := range l.shard.Calls() {
		any = true
		if !l.sealed {
			l.hooks.Invoke(c)
		}
	}
	for _, b := range l.shard.DrainReplies() {
		any = true
		if !l.sealed {
			l.hooks.Replies(b, l.hold)
		}
		l.shard.Recycle(b)
	}
	if l.hooks.Egress != nil {
		for _, b := range l.shard.DrainEgress() {
			l.accounted -= b.Bytes() // Likewise.
			l.emitted -= b.Bytes()
			l.hooks.Egress(b)
		}
	}
	return any
}

// reclaimBelow is how few spare batches a shard has when it looks for others: not in every turn, for each look
// takes a cache line away from a peer.
const reclaimBelow = 8

// reclaim takes back the batches that other shards have emptied.
func (l *Loop) reclaim() {
	if l.shard.Spares() >= reclaimBelow {
		return
	}
	for to, r := range l.out {
		if to == l.shard.ID() {
			continue
		}
		for b := r.Recycled(); b != nil; b = r.Recycled() {
			l.shard.Recycle(b)
		}
	}
}
