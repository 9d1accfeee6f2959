// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"maps"
	"slices"
)

// stream is what one account sends to another, late deposits apart.
type stream struct {
	from, to string
	late     bool
}

func (s stream) compare(o stream) int {
	return cmp.Or(cmp.Compare(s.from, o.from), cmp.Compare(s.to, o.to))
}

// pairs demands of each stream that what the receiver has not received of what the sender has sent is on its way, once
// and in its order: that the store is one moment of both of them.
func (v *verifier) pairs(b *Books) {
	sent, received := map[stream]uint64{}, map[stream]uint64{}
	onTheWay := map[stream][]uint64{}
	for id, a := range b.Accounts {
		for peer, p := range a.Peers {
			sent[stream{id, peer, false}], sent[stream{id, peer, true}] = p.Sent, p.SentLate
			received[stream{peer, id, false}], received[stream{peer, id, true}] = p.Received, p.ReceivedLate
		}
	}
	// Late deposits are delayed first and in flight then: those in flight are before the others.
	for _, l := range slices.Concat(b.InFlight, b.Delayed) {
		s := stream{l.From, l.To, l.Late}
		onTheWay[s] = append(onTheWay[s], l.Number)
	}
	all := maps.Clone(sent)
	maps.Copy(all, received)
	for s := range onTheWay {
		all[s] = 0
	}
	for _, s := range slices.SortedFunc(maps.Keys(all), stream.compare) {
		v.stream(b.Epoch, s, sent[s], received[s], onTheWay[s])
	}
}

func (v *verifier) stream(epoch uint64, s stream, sent, received uint64, onTheWay []uint64) {
	if received > sent {
		v.duplicated(received-sent, "epoch %d: %s has sent %d deposits to %s (late: %t), which has received %d",
			epoch, s.from, sent, s.to, s.late, received)
		return
	}
	times := map[uint64]uint64{}
	for i, n := range onTheWay {
		switch times[n]++; {
		case times[n] > 1 || n <= received || n > sent:
			v.duplicated(1, "epoch %d: deposit %d from %s to %s (late: %t) is on its way, again or too soon: %d were sent, %d received",
				epoch, n, s.from, s.to, s.late, sent, received)
		case i > 0 && n < onTheWay[i-1]:
			v.torn("epoch %d: deposit %d from %s to %s (late: %t) is behind %d", epoch, n, s.from, s.to, s.late, onTheWay[i-1])
		}
	}
	for n := received + 1; n <= sent; n++ {
		if times[n] == 0 {
			v.lost(1, "epoch %d: deposit %d from %s to %s (late: %t) is nowhere", epoch, n, s.from, s.to, s.late)
		}
	}
}
