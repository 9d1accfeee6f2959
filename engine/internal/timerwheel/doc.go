// SPDX-License-Identifier: Apache-2.0

// Package timerwheel keeps the pending timers of one shard and hands them out in the order
// (due time, order of Add), to the millisecond, never early.
//
// It is a hierarchical wheel: eight levels of 256 slots cover all 64 bits of an instant, one byte a
// level, so no due time is too far away and none needs an overflow list.
//
//	instant  | byte 7 | ...... | byte 2 | byte 1 | byte 0 |
//	level        7                 2        1        0
//	a slot                        65 s    256 ms    1 ms
//
// A timer lives on the level of the highest byte in which its due time differs from the position of
// the wheel, in the slot named by that byte of its due time. When the position reaches the start of a
// slot above level 0, the timers in it are sorted into the levels below: a timer an hour away is moved
// twice, one that is a month away three times.
//
// Three properties follow, and everything else rests on them:
//
//   - What is on a lower level is due before what is on a higher one, and slots of one level are in
//     order of their number. The next slot is therefore the first one that is not empty, two bit scans
//     away, and jumping over years costs no more than a tick.
//   - All timers with one due time are in one slot, in order of Add. Sorting a slot walks it from its
//     front and finds all levels below empty, so that order survives. No sequence number is kept.
//   - A slot that is only half sorted keeps its place: a timer added meanwhile that belongs into it
//     goes to its end. That is why sorting can be spread over many calls ([Wheel.Advance]).
//
// Timers of a slot are stored by value in a list of blocks (slab.go). A list linked timer by timer was
// tried: simpler, and Add and Cancel take two thirds of the time, but every move and every fire pays a
// dependent cache miss. With ten million pending timers, runs interleaved on one machine, a fire took
// 400 to 490 ns linked and 80 to 150 ns with blocks. Blocks are read in sequence; what remains
// scattered, one store per move into the table behind the handles, overlaps.
//
// A timer added with a due time before the position, which only a caller that is late does, is kept
// in a heap (overdue.go).
//
// The package is pure: no clock, goroutine, lock or map. A wheel belongs to one goroutine.
package timerwheel
