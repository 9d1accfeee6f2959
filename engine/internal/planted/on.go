// SPDX-License-Identifier: Apache-2.0

//go:build bugbank

package planted

import "os"

// The bugs.
var (
	InFlightNotLogged    bool
	NewerDoesNotCut      bool
	LoopbackNotLogged    bool
	NoMarkerOnIdleRing   bool
	PartWithoutPumps     bool
	PartNotEncoded       bool
	CutBeforeParts       bool
	QuietPumpDoesNotCut  bool
	PumpCutsWithinRecord bool
	PositionNotedLate    bool
	PositionPlusOne      bool
	RingsBeforeQueue     bool
	CallNotInCut         bool
	FrozenWritten        bool
	FrozenForgotten      bool
	FrozenDeleted        bool
	TimersNotInCut       bool
	FiredNotDeleted      bool
	LandedNotDeleted     bool
	NumbersRestart       bool
	TokensCollide        bool
	TimeRestarts         bool
	EpochReused          bool
	FailedDropped        bool
	RetriedOtherwise     bool
	DoubtRetried         bool
	AckBeforeCommit      bool
	AckOfOlderEpoch      bool
	KnownAckedAtOnce     bool
	KeyNotInCut          bool
	WaitingIsAnEdge      bool
	PublishBeforeCommit  bool
	RecordsNotKept       bool
	OutboxDeletedEarly   bool
	RecordsOutOfOrder    bool
	LapEndsEarly         bool
	WaitingNotRepeated   bool
	KeysNotRepeated      bool
	OutboxNotRepeated    bool
)

var byName = map[string]*bool{
	"in-flight-not-logged":          &InFlightNotLogged,
	"newer-batch-does-not-cut":      &NewerDoesNotCut,
	"loopback-not-logged":           &LoopbackNotLogged,
	"no-marker-on-idle-ring":        &NoMarkerOnIdleRing,
	"part-done-without-pump-marker": &PartWithoutPumps,
	"part-done-before-encoded":      &PartNotEncoded,
	"next-cut-before-parts":         &CutBeforeParts,
	"pump-cuts-at-next-record-only": &QuietPumpDoesNotCut,
	"pump-cuts-within-a-record":     &PumpCutsWithinRecord,
	"position-noted-at-commit":      &PositionNotedLate,
	"offset-stored-plus-one":        &PositionPlusOne,
	"rings-before-recovered-queue":  &RingsBeforeQueue,
	"call-not-in-cut":               &CallNotInCut,
	"frozen-written-before-encoded": &FrozenWritten,
	"frozen-message-forgotten":      &FrozenForgotten,
	"frozen-delete-lost":            &FrozenDeleted,
	"timers-not-in-cut":             &TimersNotInCut,
	"fired-timer-not-deleted":       &FiredNotDeleted,
	"in-flight-not-deleted":         &LandedNotDeleted,
	"arrival-numbers-restart":       &NumbersRestart,
	"token-collision":               &TokensCollide,
	"time-restarts":                 &TimeRestarts,
	"epoch-reused":                  &EpochReused,
	"failed-epoch-dropped":          &FailedDropped,
	"retried-with-other-bytes":      &RetriedOtherwise,
	"doubt-retried":                 &DoubtRetried,
	"ack-before-commit":             &AckBeforeCommit,
	"ack-by-epoch-at-enqueue":       &AckOfOlderEpoch,
	"known-key-acked-at-once":       &KnownAckedAtOnce,
	"key-not-in-cut":                &KeyNotInCut,
	"waiting-is-an-edge":            &WaitingIsAnEdge,
	"publish-before-commit":         &PublishBeforeCommit,
	"records-not-in-outbox":         &RecordsNotKept,
	"outbox-deleted-too-early":      &OutboxDeletedEarly,
	"records-restored-out-of-order": &RecordsOutOfOrder,
	"lap-ends-early":                &LapEndsEarly,
	"waiting-not-repeated":          &WaitingNotRepeated,
	"keys-not-repeated":             &KeysNotRepeated,
	"outbox-not-repeated":           &OutboxNotRepeated,
}

func init() {
	if bug := byName[os.Getenv("MILLRACE_BUG")]; bug != nil {
		*bug = true
	}
}
