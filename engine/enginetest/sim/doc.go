// SPDX-License-Identifier: Apache-2.0

// Package sim runs whole engines in one goroutine, in virtual time, on the packages that ship: shards, rings,
// pumps, epochs, stores and sinks take turns in an order that one seed decides. The seed also draws the
// configuration, a random program of functions, and what goes wrong: crashes at any moment, also within a commit
// or a recovery, after which another process goes on with another number of shards; disks that lose power, fill up
// and fail; sources, sinks and functions elsewhere that do, too. Every effect is compared with a model, which
// knows the epoch of everything and goes back to the last checkpoint when the engine does.
//
//	Case ──► Config, Program, schedule ──► run: life ──crash──► life ──crash──► … ──► Result, or the first violation
//
// These are checked, in every run:
//
//   - counts: every message takes effect exactly once, or never if it was cancelled, skipped, or lost on the way
//     in by somebody who was promised nothing;
//   - atomicity: an invocation that fails or panics half-way leaves no trace, and is tried again; so does a reply
//     from elsewhere that is refused for one of its effects;
//   - order: messages from one sender to one target take effect in the order in which they were sent, also while
//     the target retries or is suspended, and across recoveries; records of one sender leave in order; an address
//     elsewhere has one request at a time, and after a failure the same messages again;
//   - isolation: state is what the messages of that address, and no others, have made of it;
//   - time: delayed messages are never early, come by (due, order of sending), and are on time to the millisecond
//     in the runs in which time stands still while anything moves; of firing and cancelling exactly one happens;
//     state expires in its millisecond; engine time never goes back, whatever the wall clock does;
//   - cuts: a checkpoint has exactly the state, the messages in flight with their order, the suspended addresses,
//     the keys and the records that there were at the cut of each shard, and the positions of the sources agree
//     with them (I4); a commit that must be tried again has the same bytes (P24);
//   - conservation: in every checkpoint, by its entries alone, no money has come or gone;
//   - recovery: the store has what was committed, all of it, and at most the epoch that was being committed
//     besides; everything goes on from there, with what there was left of its time;
//   - release: nothing leaves before its epoch is committed (I5), and what leaves again after a crash does so under
//     the name that it had; two histories of one instance are never seen outside;
//   - doors: what was said to be durable is there; what comes again under a key takes effect once, and is answered
//     like the first time;
//   - accounts: at the end no byte is queued, no instance kept, no timer pending and no entry in the checkpoint
//     that should not be;
//   - metamorphic: programs that allow for it end in the same state, whatever the layout, the store and the faults;
//   - progress: everything drains once faults have stopped.
//
// These are not: races, since there is one goroutine; function types and egresses that are gone for a while.
package sim
