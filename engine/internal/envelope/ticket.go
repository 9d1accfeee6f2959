// SPDX-License-Identifier: Apache-2.0

package envelope

// Ticket goes with a batch of one message from a door, whose sender waits to hear what has become of it. It is
// the shard's from the push on, and the sender's again when the driver has handed it back.
type Ticket struct {
	// Durable has the ticket come back when the epoch of the step that took the message is committed (P18), and
	// not at the end of that step.
	Durable bool
	// Key names the message at its address; empty: it has no name. Body is a digest of the message: what comes
	// again under a key must be the same. Window is how long the key is kept, in milliseconds.
	Key    []byte
	Body   [16]byte
	Window int64

	// Verdict is the shard's.
	Verdict Verdict

	// Done is the sender's way to be told. The shard does not touch it.
	Done func(*Ticket)
}

// Verdict is what has become of a message with a ticket.
type Verdict uint8

const (
	// Taken is the verdict on a message that the shard has taken.
	Taken Verdict = iota
	// Known is the verdict on one that has come before, under the same key.
	Known
	// Conflicting is the verdict on one whose key has come before with another message.
	Conflicting
	// Crowded is the verdict on one that was not taken, because the shard keeps as many keys as it may.
	Crowded
)
