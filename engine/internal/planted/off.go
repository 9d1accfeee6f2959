// SPDX-License-Identifier: Apache-2.0

//go:build !bugbank

// Package planted holds the bugs of the bug bank: mistakes that the code could make, at the places where it could
// make them. Here they are constants, all false, and compile to nothing. With the build tag bugbank they are
// variables, one of which the environment variable MILLRACE_BUG sets; tools/bugbank checks that each of them is
// found.
package planted

// The bugs.
const (
	InFlightNotLogged    = false // A batch of the older epoch is not logged into the closing part (P9).
	NewerDoesNotCut      = false // A batch of the newer epoch runs in the older one (I4).
	LoopbackNotLogged    = false // What a shard sends to itself is not logged across its cut (P2).
	NoMarkerOnIdleRing   = false // A ring that is not in use gets no marker (P2).
	PartWithoutPumps     = false // A part is handed over when the markers of the shards are in (P7).
	PartNotEncoded       = false // A part is handed over when all markers are in, with frozen instances left (P7).
	CutBeforeParts       = false // The next epoch is announced while the last one is closing (P5).
	QuietPumpDoesNotCut  = false // A pump without records does not cut (P3).
	PumpCutsWithinRecord = false // A pump cuts between two messages of a record (P8).
	PositionNotedLate    = false // The position in a checkpoint is that of the commit, not that of the cut (I4).
	PositionPlusOne      = false // The position in a checkpoint is one event ahead (I4).
	RingsBeforeQueue     = false // What comes after a recovery runs before what waits since before (P10).
	CallNotInCut         = false // Messages of a request that is under way are not in the checkpoint (P9).
	FrozenWritten        = false // A frozen instance is written before it is encoded (P13).
	FrozenForgotten      = false // A message that is consumed while it is frozen is not in the checkpoint (P13).
	FrozenDeleted        = false // That an instance is gone is not recorded (P14).
	TimersNotInCut       = false // Delayed messages are not in the checkpoint (P15).
	FiredNotDeleted      = false // A delayed message that has fired stays in the checkpoint (P15).
	LandedNotDeleted     = false // A message that was in flight and has run stays in the checkpoint (P9).
	NumbersRestart       = false // Arrival numbers begin again after a recovery (P11).
	TokensCollide        = false // Two shards make the same token (P11).
	TimeRestarts         = false // Engine time begins at the wall clock, also when that is behind (P37).
	EpochReused          = false // The first epoch after a recovery has the number of the last one before (P33).
	FailedDropped        = false // An epoch whose commit fails is given up (P24).
	RetriedOtherwise     = false // A commit that failed is tried again with other bytes (P24).
	DoubtRetried         = false // A commit whose outcome nobody knows is tried again (P25).
	AckBeforeCommit      = false // Who waits for durability is told before the commit (I5).
	AckOfOlderEpoch      = false // Who waits for durability is told by the commit of the epoch before (P18).
	KnownAckedAtOnce     = false // A message under a known key is acknowledged before the first one is durable (P19).
	KeyNotInCut          = false // Idempotency keys are not in the checkpoint (P17).
	WaitingIsAnEdge      = false // That somebody waits is forgotten when an epoch is closing (P20).
	PublishBeforeCommit  = false // Egress records leave before the commit (I5).
	RecordsNotKept       = false // Egress records are not in the checkpoint (I5).
	OutboxDeletedEarly   = false // Egress records are deleted when they are released, not when they are delivered (P30).
	RecordsOutOfOrder    = false // The records of the outbox leave in another order after a recovery (P35).
	LapEndsEarly         = false // A lap is said to have ended before what it has left to the open epoch is committed.
	WaitingNotRepeated   = false // Messages that wait are not put again, and the store is told that all is.
	KeysNotRepeated      = false // Idempotency keys are not put again, and the store is told that all is.
	OutboxNotRepeated    = false // The store is told that all has been put again, and there are older records.
)
