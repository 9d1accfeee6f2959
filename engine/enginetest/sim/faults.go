// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"slices"

	"github.com/millrace-io/millrace/engine/internal/checkpoint"
)

// Faults are what goes wrong beside what the program's own messages do. Each can be switched off by itself,
// so that a failure can be told from what it does not need.
type Faults struct {
	// Crashes is how often, at most, the process dies, is restarted, or halts in doubt; about every CrashEvery
	// turns of the schedule. Without a store that survives, there are none.
	Crashes, CrashEvery int
	// Recoveries is how often, at most, it dies again while it recovers.
	Recoveries int
	// Commits is how often, at most, a commit fails and must be tried again.
	Commits int
	// Slow is for how many turns others go on while the store is at a commit.
	Slow int
	// Sinks is how many in a hundred records a sink refuses for good.
	Sinks int
	// Mute has sinks confirm records only now and then.
	Mute bool
	// Polls is how often, at most, a source fails.
	Polls int
	// Clock is how far the wall clock may be off, in milliseconds and in both directions, when a process starts.
	Clock int
}

func drawFaults(c Choices) Faults {
	return Faults{
		Crashes: pick(c, 0, 1, 3, 5), CrashEvery: pick(c, 300, 50, 1000, 3000), Recoveries: pick(c, 0, 1, 3),
		Commits: pick(c, 0, 0, 0, 2), Slow: pick(c, 0, 6, 6, 200), Sinks: pick(c, 0, 0, 10), Mute: one(c, 3),
		Polls: pick(c, 0, 0, 2), Clock: pick(c, 0, 1000, 100_000_000),
	}
}

// moment is where in its work a process dies.
type moment int

const (
	atNoTime     moment = iota
	atOnce              // Between two turns.
	inInvocation        // Others go on beside a handler.
	beforeCommit        // Everything is there, the store has not been asked.
	duringCommit        // In an operation of the store, if it has any.
	afterCommit         // The store has it, nobody else knows.
	inPublish           // A record is handed to a sink, which may or may not have it.
	inPoll              // A source has handed out events.
	inRequest           // A request to a function elsewhere.
	inDoubt             // The store cannot say whether it has made an epoch durable: the engine halts.
	atLeisure           // It is asked to stop, and takes its time.
	moments
)

// strike has the process die soon.
func (r *run) strike() {
	f := r.Case.Config.Faults
	if r.crashes >= f.Crashes || !r.survives() || !one(r.schedule, f.CrashEvery) {
		return
	}
	r.crashes++
	switch m := moment(1 + r.schedule.IntN(int(moments)-1)); m {
	case atOnce:
		r.crash("at once")
	case atLeisure:
		r.shutDown()
	case duringCommit:
		r.disk.Trouble(Death, r.schedule.IntN(troubleMax))
	case inDoubt:
		r.disk.Trouble(Doubt, r.schedule.IntN(troubleMax))
	default:
		r.armed = m
	}
}

// tempt has the process die when a checkpoint has what is rare in checkpoints.
func (r *run) tempt(c *cut) {
	if r.crashes >= r.Case.Config.Faults.Crashes || !r.survives() {
		return
	}
	rare := slices.ContainsFunc(c.changes, func(ch change) bool {
		return !ch.Delete && ch.Key[0] == checkpoint.KindMessage && r.ledger.isAnswer(string(ch.Key))
	})
	if rare && one(r.schedule, 2) {
		r.crashes++
		r.crash("with an answer on its way")
	}
}

// troubleMax is for how many operations a store may go on.
const troubleMax = 12

// struck reports whether the process dies at this moment, or has died before.
func (r *run) struck(m moment, where string) bool {
	if r.armed == m && !r.dead {
		r.armed = atNoTime
		r.crash(where)
	}
	return r.dead
}

// crash ends the process. Its memory is still there, and what is under way on the stack returns to the
// schedule; but nothing that it does from here on reaches anything outside.
func (r *run) crash(where string) {
	if r.dead {
		return
	}
	r.logf("crash   %s", where)
	r.trace.add(uint64(len(where)))
	r.stats.crashed(r)
	r.dead = true
}

// over reports whether nothing further is to happen in this life.
func (r *run) over() bool { return r.dead || r.violation != nil }

// eachFault switches one of them off.
var eachFault = []func(*Faults){
	func(f *Faults) { f.Crashes = 0 },
	func(f *Faults) { f.Crashes = min(f.Crashes, 1) },
	func(f *Faults) { f.Recoveries = 0 },
	func(f *Faults) { f.Commits = 0 },
	func(f *Faults) { f.Slow = 0 },
	func(f *Faults) { f.Sinks = 0 },
	func(f *Faults) { f.Mute = false },
	func(f *Faults) { f.Polls = 0 },
	func(f *Faults) { f.Clock = 0 },
}
