// SPDX-License-Identifier: Apache-2.0

package driver

import "fmt"

// The world around Epochs, small enough to be seen in every state that it can be in: two shards, a source, a
// client, a sink and a store. What a shard or a pump does is modelled here in a few lines; Epochs, Coordinator,
// Announcement, Outflow and Drain are the real ones, and whatever they are told or say goes through the rig
// (model_rig_test.go). A world is a value: it is copied, compared and looked up as it is.
//
// Each record of the source goes to a shard, which sends a message on to a shard, which counts it and emits a
// record to the sink. The client sends one message under a key, which counts once, and waits until it is durable;
// after a crash it sends it again if nobody has told it.
type world struct {
	durable   uint8 // The latest epoch in the store. 0: none.
	stored    image
	outbox    [recordsMax]name // As in the store; by record.
	published [recordsMax]name
	acked     bool // The client has been told.

	// The process, and what is lost with it.
	generation uint8
	sent       bool // The client has sent its message to it.
	shards     [shardsMax]modelShard
	pump       modelPump
	epochs     modelEpochs

	// What may still happen.
	ticks, crashes, failures uint8
}

const (
	shardsMax  = 2
	recordsMax = 2
	everybody  = 1<<(shardsMax+1) - 1 // The shards and the pump.
)

// Messages: the records of the source, what the shards send on for each, and the client's. A marker is none.
const (
	hop    = recordsMax
	ask    = 2 * recordsMax
	marker = ask + 1
)

// Where messages go. What is sent on for the second record is sent by a shard to itself (P2).
func recordTo(r uint8) int { return int(r) % shardsMax }

const (
	hopTo = shardsMax - 1
	askTo = 0
)

// messages is a set of them.
type messages uint8

func (m messages) has(i uint8) bool { return m>>i&1 != 0 }

// name is what a record to the sink is called: its epoch, and its index plus one. The zero name is none.
type name struct{ epoch, index uint8 }

// image is what a checkpoint says.
type image struct {
	position uint8 // Of the source: how many records have been read.
	shards   [shardsMax]shardImage
}

// shardImage is a shard's part: what it has counted, and what is in flight to it.
type shardImage struct{ counted, inFlight messages }

type modelShard struct {
	epoch   uint8
	closing bool
	markers uint8
	now     shardImage // What is in flight waits from before a crash (P10).
	cut     shardImage // As of the cut, and what was sent before it.
	emitted messages   // In the open epoch,
	sealed  messages   // and in the closing one.
	waits   [2]bool    // The client waits for the epoch of this parity.
	in      [shardsMax + 1]ring
}

// ring is what is on its way from a shard, or from the pump, which is behind the shards.
type ring struct {
	n     uint8
	items [6]item
}

type item struct{ epoch, message uint8 }

func (r *ring) push(i item) {
	r.items[r.n] = i
	r.n++
}

func (r *ring) pop() (i item) {
	i = r.items[0]
	copy(r.items[:], r.items[1:])
	r.n--
	r.items[r.n] = item{}
	return i
}

type modelPump struct{ epoch, read uint8 }

// modelEpochs is what is known of Epochs from outside.
type modelEpochs struct {
	announced uint8
	parts     uint8 // Who has handed in its share of the closing epoch.
	waiter    bool  // The client's ticket is among that.
	wanted    uint8 // The newest epoch that the client waits for.
	tick      bool  // The interval has passed while a commit was under way.

	committing bool // It is in Commit,
	landed     bool // which has done its work, and has not returned.
	offered    image
	puts       [recordsMax]name // Into the outbox,
	deletes    messages         // and from it.

	queued    messages // Released, and not taken by the sink.
	confirmed messages // Taken by the sink, and not deleted by a commit.
}

// begin starts a process from what is in the store.
func (w *world) begin() {
	first := w.durable + 1 // P33.
	w.generation++
	w.sent = false
	w.epochs = modelEpochs{announced: first}
	for r, n := range w.outbox {
		if n != (name{}) {
			w.epochs.queued |= 1 << r
		}
	}
	w.pump = modelPump{epoch: first, read: w.stored.position}
	for i := range w.shards {
		w.shards[i] = modelShard{epoch: first, now: w.stored.shards[i]}
	}
}

// cut has a shard cut.
func (w *world) cut(i int, epoch uint8, bug mutant) error {
	s := &w.shards[i]
	if s.closing || epoch != s.epoch+1 {
		return fmt.Errorf("shard %d is to cut to epoch %d in epoch %d, closing %v (P5)", i, epoch, s.epoch, s.closing)
	}
	s.epoch, s.closing, s.markers = epoch, true, 0
	s.cut, s.sealed, s.emitted = s.now, s.emitted, 0
	for to := range w.shards {
		if bug != noMarkerToItself || to != i {
			w.shards[to].in[i].push(item{epoch, marker}) // P2.
		}
	}
	return nil
}

// take has a shard take what is next on a ring.
func (w *world) take(i, from int, bug mutant) error {
	s := &w.shards[i]
	it := s.in[from].pop()
	if it.epoch > s.epoch && bug != newerDoesNotCut {
		if err := w.cut(i, it.epoch, bug); err != nil {
			return err
		}
	}
	if it.message == marker { // Of a new epoch: it has just cut.
		s.markers++
		return nil
	}
	if it.epoch < s.epoch && bug != inFlightNotLogged {
		s.cut.inFlight |= 1 << it.message // P9.
	}
	return w.run(i, it.message)
}

// run has a shard run a message.
func (w *world) run(i int, m uint8) error {
	s := &w.shards[i]
	if m < hop {
		w.shards[hopTo].in[i].push(item{s.epoch, m + hop})
		return nil
	}
	if s.now.counted.has(m) && m != ask { // A key counts once.
		return fmt.Errorf("message %d is counted twice", m)
	}
	s.now.counted |= 1 << m
	if m < ask {
		s.emitted |= 1 << (m - hop)
	}
	return nil
}

// consistent reports whether an image is a cut: of every record that has been read, either it or what was sent on
// for it is in flight, or the latter is counted; and nothing is there of others.
func (m image) consistent() error {
	for r := range uint8(recordsMax) {
		places := 0
		for _, s := range m.shards {
			for _, there := range []bool{s.inFlight.has(r), s.inFlight.has(hop + r), s.counted.has(hop + r)} {
				if there {
					places++
				}
			}
		}
		if want := r < m.position; places != 1 && want || places != 0 && !want {
			return fmt.Errorf("record %d, of %d that have been read, is in %d places of %+v", r, m.position, places, m)
		}
	}
	return nil
}

// check reports what must not be in any state.
func (w *world) check() error {
	for r, n := range w.published {
		if n.epoch > w.durable {
			return fmt.Errorf("record %d of epoch %d is published, epoch %d is durable (I5)", r, n.epoch, w.durable)
		}
	}
	if w.acked && !w.stored.shards[askTo].counted.has(ask) {
		return fmt.Errorf("the client has been told, and epoch %d does not have its message (P18)", w.durable)
	}
	return nil
}

// settled reports whether nothing is left to do when nothing happens any more: all that was announced is
// committed, all that was committed is published, and whoever waits has been told (P20).
func (w *world) settled() error {
	e := &w.epochs
	for r, n := range w.published {
		if n == (name{}) && w.stored.shards[hopTo].counted.has(hop+uint8(r)) {
			return fmt.Errorf("record %d is committed and not published", r)
		}
	}
	switch {
	case w.durable+1 != e.announced:
		return fmt.Errorf("epoch %d is announced, and epoch %d committed", e.announced, w.durable)
	case !w.acked:
		return fmt.Errorf("the client has not been told")
	case w.pump.read < recordsMax:
		return fmt.Errorf("%d records have been read", w.pump.read)
	}
	return nil
}
