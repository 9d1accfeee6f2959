// SPDX-License-Identifier: Apache-2.0

//go:build !bugbank

// Package planted holds bugs of the bug bank, like the package of that name in the engine: constants, all false, and
// variables with the build tag bugbank.
package planted

// The bugs.
const (
	SyncSkipped        = false // A commit returns without a sync (I7).
	SyncRetried        = false // A sync that has failed is tried again (P25).
	DamageIsTheEnd     = false // A damaged record is taken for the end of the log (I7).
	WitnessIgnored     = false // What the witness knows of is not missed (I7).
	NotSettled         = false // A record that may not be durable is based upon (P25).
	GenerationNotTaken = false // A process that opens the store writes no generation (P26).
	NotLooked          = false // A process goes on when its directory is not there any more (P25).
)
