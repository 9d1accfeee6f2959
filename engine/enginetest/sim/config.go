// SPDX-License-Identifier: Apache-2.0

package sim

import "github.com/millrace-io/millrace/engine/internal/driver"

// Config is what a run draws beside its program: how the engine is set up, and how often what happens to
// it. Every draw differs in everything, because bugs hide where several settings meet.
type Config struct {
	Layout // Of the first life.

	KeyGroups, Sources int
	InboxSlots         int

	IDs     int // How many ids there are of each function type.
	Retries int // Before an address is suspended.
	// FaultsMax is how often a message may fail before it takes effect; 0: there are no faults.
	FaultsMax int
	// CutEvery is how many turns of the coordinator go by before it ends an epoch; 0: there are no epochs, and
	// records leave at once.
	CutEvery int
	// Jumps is how far time may jump, in milliseconds, whatever is going on at the moment; 0: it passes
	// only while nothing moves, and stops whenever something is due.
	Jumps int
	// Of Turns.Loops + Turns.Sources + … turns, so many go to each kind of actor.
	Turns Turns
	// Steady has what happens in the end depend on nothing but the program: every message takes effect once,
	// whatever else happens.
	Steady bool
	// Whims has handlers decide anew at each attempt what they do.
	Whims bool
	// Faults are what else goes wrong.
	Faults Faults
	// Far is how functions elsewhere are run.
	Far Far
}

// epochs reports whether there are any.
func (c Config) epochs() bool { return c.CutEvery > 0 }

// Layout is what may differ from one life of the engine to the next.
type Layout struct {
	Shards              int
	BatchMax, RingSlots int
	QueueBytesMax       int64
	OutboxBytesMax      int64
	// Pace is how much a shard does in one turn.
	Pace driver.Pace
	// Absent is how many of the sources, the last ones, nobody has connected (P38).
	Absent int
	// Order is the order in which functions declare their values. Hides has each leave one of them out.
	Order int
	Hides bool
	// Laggard is a shard that gets its turn only now and then; past the last shard there is none.
	Laggard int
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
		KeyGroups:  pick(c, 128, shardsMax, shardsMax+1),
		Sources:    c.IntN(5),
		InboxSlots: pick(c, 1, 4, inboxLarge),
		IDs:        pick(c, 1, 2, 3, 5, 8, 24),
		Retries:    c.IntN(4),
		FaultsMax:  pick(c, 0, 1, 2, 5),
		CutEvery:   pick(c, 1, 5, 5, 20, 20, 100, 0),
		Jumps:      pick(c, 0, 3, 40, 10_000, 3_600_000),
		Whims:      one(c, 3),
		Steady:     one(c, 8),
	}
	if cfg.Steady {
		cfg.Whims, cfg.CutEvery = false, max(cfg.CutEvery, 1)
	}
	cfg.Turns = Turns{
		Loops: pick(c, 12, 3, 40), Sources: pick(c, 4, 1, 30), Doors: pick(c, 2, 10), Epochs: pick(c, 3, 1, 20),
		Sinks: pick(c, 2, 10), Resumes: pick(c, 1, 5, 0), Settles: pick(c, 1, 4), Time: pick(c, 2, 1, 10),
		Far: pick(c, 8, 1, 40),
	}
	cfg.Far = drawFar(c)
	cfg.Layout = cfg.drawLayout(c)
	cfg.Faults = drawFaults(c)
	return cfg
}

// drawLayout draws the layout of a life.
func (c Config) drawLayout(from Choices) Layout {
	l := Layout{
		Shards:        1 + from.IntN(min(shardsMax, c.KeyGroups)),
		BatchMax:      pick(from, 1, 2, 3, 7, 16, 64),
		RingSlots:     pick(from, 1, 2, 4, 16),
		QueueBytesMax: pick[int64](from, 1<<30, 1, 300, 2000, 20_000), OutboxBytesMax: pick[int64](from, 1<<30, 1<<30, 1<<30, 1500),
		Pace: driver.Pace{
			Batches: pick(from, 8, 1, 3), Timers: pick(from, 512, 1, 5), Frozen: pick(from, 512, 1, 4), Replies: pick(from, 64, 1, 3),
		},
	}
	l.Laggard = l.Shards - from.IntN(2)
	if c.Faults.Crashes > 0 && one(from, 6) {
		l.Absent = from.IntN(c.Sources + 1)
	}
	l.Order, l.Hides = from.IntN(12), one(from, 4)
	return l
}
