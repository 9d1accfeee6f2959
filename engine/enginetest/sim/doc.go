// SPDX-License-Identifier: Apache-2.0

// Package sim runs whole engines in one goroutine, in virtual time, on the packages that ship: shards,
// rings, pumps, epochs and sinks take turns in an order that one seed decides. The seed also draws the
// configuration and a random program of functions, whose every effect is compared with a model. Some of the
// functions run elsewhere: the other end of the wire is a part of the simulation, which answers late, wrongly
// or not at all, asks for its state, or loses a reply when the function has run.
//
//	Case ──► Config, Program, schedule ──► run ──► Result, or the first violation
//
// These are checked, in every run:
//
//   - counts: every message takes effect exactly once, or never if it was cancelled or skipped;
//   - atomicity: an invocation that fails or panics half-way leaves no trace, and is tried again; so does a
//     reply from elsewhere that is refused for one of its effects;
//   - order: messages from one sender to one target take effect in the order in which they were sent, also
//     while the target retries or is suspended; records of one sender leave in order; an address elsewhere
//     has one request at a time, and after a failure the same messages again;
//   - isolation: state is what the messages of that address, and no others, have made of it;
//   - time: delayed messages are never early, come by (due, order of sending), and are on time to the
//     millisecond in the runs in which time stands still while anything moves; of firing and cancelling
//     exactly one happens;
//   - cuts: no message takes effect in an epoch before its sender's; what a checkpoint says of states is
//     exactly what they were at the cut of each shard, and of sources, that nothing behind the position had
//     taken effect by then; what is being committed does not change, also when it must be tried again;
//   - release: no record leaves before its epoch is committed; (epoch, index) are unique and ascending;
//   - accounts: at the end no byte is queued, no instance kept and no timer pending that should not be;
//   - progress: everything drains once faults have stopped.
//
// These are not: conservation at every epoch, since messages in flight are not part of a checkpoint yet;
// crashes and recovery, for the same reason; when state expires; races, since there is one goroutine.
package sim
