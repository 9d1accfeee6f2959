// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"reflect"
	"slices"

	"github.com/millrace-io/millrace/engine/internal/checkpoint"
)

// Stats count what has happened in runs: a check that never had anything to look at has not passed.
type Stats struct {
	Invocations int // That took effect.
	Failures    int // That left no trace.
	Cancelled   int // Delayed messages.
	Skipped     int // Messages that addresses were suspended for.
	Requests    int // To functions elsewhere.
	Records     int // That have left.
	Epochs      int // That were committed.

	Lives          int // Processes that have run.
	Crashes        int
	TurnCrashes    int // Of these, within the turn of a shard.
	CommitCrashes  int // While a store was at a commit, or just before or after it.
	Survivors      int // Epochs that were durable though nobody was told.
	RecoverCrashes int // While a store was opened, or a checkpoint loaded.
	Halts          int // In doubt.
	Shutdowns      int
	FailedCommits  int
	Rescales       int // Lives with another number of shards than the one before.

	// What recoveries have found: messages that waited, delayed messages, suspended addresses, records.
	Recovered, RecoveredDelayed, RecoveredSuspended, RecoveredRecords int
	Undone                                                            int // Invocations.
	Replayed                                                          int // Records that were published again.
	LostMessages                                                      int // From doors that promised nothing.
	Durable, Retried, Known, Conflicting                              int // Messages with tickets.
	Answers                                                           int // To callers outside.
	AnswersInFlight                                                   int // To where they are kept, in checkpoints.
	Expired, Forgotten                                                int // Values, and instances.
	SourceFailures                                                    int
	Held                                                              int // Attempts to emit a record while there were too many.
}

// crashed counts the death of a process.
func (s *Stats) crashed(r *run) {
	s.Crashes++
	switch {
	case r.starting:
		s.RecoverCrashes++
	case r.inEpochs:
		s.CommitCrashes++
	case slices.Contains(r.inTurn[:], true):
		s.TurnCrashes++
	}
}

func (s *Stats) tally(r *run) {
	t := r.model.tally
	s.Invocations, s.Failures, s.Cancelled, s.Skipped = t.invocations, t.failures, t.cancelled, t.skips
	s.Records = len(r.left)
}

// recovered counts what a process has found.
func (s *Stats) recovered(r *run, flights map[uint64]flight) {
	s.Lives++
	if s.Lives == 1 {
		return
	}
	for _, f := range flights {
		if f.delayed {
			s.RecoveredDelayed++
		} else {
			s.Recovered++
		}
	}
	for key := range r.ledger.entries {
		switch key[0] {
		case checkpoint.KindMessage:
			if r.ledger.isAnswer(key) {
				s.AnswersInFlight++
			}
		case checkpoint.KindSuspended:
			s.RecoveredSuspended++
		case checkpoint.KindRecord:
			s.RecoveredRecords++
		}
	}
}

// Add adds up the counts of several runs.
func (s *Stats) Add(o Stats) {
	sum, more := reflect.ValueOf(s).Elem(), reflect.ValueOf(o)
	for i := range sum.NumField() {
		sum.Field(i).SetInt(sum.Field(i).Int() + more.Field(i).Int())
	}
}

// Missing lists what has never happened.
func (s *Stats) Missing() (names []string) {
	v := reflect.ValueOf(*s)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			names = append(names, v.Type().Field(i).Name)
		}
	}
	return names
}
