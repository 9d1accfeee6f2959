// SPDX-License-Identifier: Apache-2.0

package sim

import "github.com/millrace-io/millrace/engine/internal/driver"

// Config is what a run draws beside its program: how the engine is set up, and how often what happens to
// it. Every draw differs in everything, because bugs hide where several settings meet.
type Config struct {
	Shards, KeyGroups, Sources      int
	BatchMax, RingSlots, InboxSlots int
	QueueBytesMax                   int64

	IDs     int // How many ids there are of each function type.
	Retries int // Before an address is suspended.
	// FaultsMax is how often a message may fail before it takes effect; 0: there are no faults.
	FaultsMax int
	// CutEvery is how many turns of the coordinator go by before it ends an epoch; 0: no epochs.
	CutEvery int
	// Early lets records leave before their epoch is committed.
	Early bool
	// Jumps is how far time may jump, in milliseconds, whatever is going on at the moment; 0: it passes
	// only while nothing moves, and stops whenever something is due.
	Jumps int
	// Pace is how much a shard does in one turn.
	Pace driver.Pace
	// Of Turns.Loops + Turns.Sources + … turns, so many go to each kind of actor.
	Turns Turns
	// Laggard is a shard that gets its turn only now and then; past the last shard there is none.
	Laggard int
	// CommitFaults is how often, in all, a commit fails and must be tried again.
	CommitFaults int
	// SinkFaults is how many in a hundred records a sink refuses for good.
	SinkFaults int
	// Far is how functions elsewhere are run.
	Far Far
}

const (
	shardsMax  = 8
	inboxLarge = 1 << 12
)

// Turns are how often actors have their turn, in relation to each other.
type Turns struct{ Loops, Sources, Doors, Epochs, Sinks, Resumes, Settles, Time, Far int }

// DrawConfig draws a configuration.
func DrawConfig(c Choices) Config {
	cfg := Config{
		Shards:        1 + c.IntN(shardsMax),
		Sources:       c.IntN(5),
		BatchMax:      pick(c, 1, 2, 3, 7, 16, 64),
		RingSlots:     pick(c, 1, 2, 4, 16),
		InboxSlots:    pick(c, 1, 4, inboxLarge),
		QueueBytesMax: pick[int64](c, 1<<30, 1, 300, 2000, 20_000),
		IDs:           pick(c, 1, 2, 3, 5, 8, 24),
		Retries:       c.IntN(4),
		FaultsMax:     pick(c, 0, 1, 2, 5),
		CutEvery:      pick(c, 1, 5, 20, 100, 0),
		Jumps:         pick(c, 0, 3, 40, 10_000, 3_600_000),
		SinkFaults:    pick(c, 0, 0, 10),
	}
	cfg.Turns = Turns{
		Loops: pick(c, 12, 3, 40), Sources: pick(c, 4, 1, 30), Doors: pick(c, 2, 10), Epochs: pick(c, 3, 1, 20),
		Sinks: pick(c, 2, 10), Resumes: pick(c, 1, 5), Settles: pick(c, 1, 4), Time: pick(c, 2, 1, 10),
		Far: pick(c, 8, 1, 40),
	}
	cfg.Pace = driver.Pace{Batches: pick(c, 8, 1, 3), Timers: pick(c, 512, 1, 5), Frozen: pick(c, 512, 1, 4), Replies: pick(c, 64, 1, 3)}
	cfg.CommitFaults = pick(c, 0, 0, 0, 2)
	cfg.Early = cfg.CutEvery == 0 || one(c, 8)
	cfg.Laggard = cfg.Shards - c.IntN(2)
	cfg.Far = drawFar(c)
	cfg.KeyGroups = pick(c, cfg.Shards, cfg.Shards+1, 128)
	return cfg
}
