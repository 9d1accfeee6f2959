// SPDX-License-Identifier: Apache-2.0

package main

// bug is one that is planted, the rule that it breaks, and the test that finds it.
type bug struct {
	name, rule string
	rig        rig
}

// bugs is the bank. What the bugs do is said in engine/internal/planted/off.go and
// backends/logstore/internal/planted/off.go.
var bugs = []bug{
	{"in-flight-not-logged", "P9", simulation},
	{"newer-batch-does-not-cut", "I4", simulation},
	{"loopback-not-logged", "P2", simulation},
	{"no-marker-on-idle-ring", "P2", simulation},
	{"part-done-without-pump-marker", "P7", simulation},
	{"part-done-before-encoded", "P7", simulation},
	{"next-cut-before-parts", "P5", simulation},
	{"pump-cuts-at-next-record-only", "P3", simulation},
	{"pump-cuts-within-a-record", "P8", simulation},
	{"position-noted-at-commit", "I4", simulation},
	{"offset-stored-plus-one", "I4", simulation},
	{"rings-before-recovered-queue", "P10", simulation},
	{"call-not-in-cut", "P9", simulation},
	{"frozen-written-before-encoded", "P13", simulation},
	{"frozen-message-forgotten", "P13", simulation},
	{"frozen-delete-lost", "P14", simulation},
	{"timers-not-in-cut", "P15", simulation},
	{"fired-timer-not-deleted", "P15", simulation},
	{"in-flight-not-deleted", "P9", simulation},
	{"arrival-numbers-restart", "P11", simulation},
	{"token-collision", "P11", simulation},
	{"time-restarts", "P37", simulation},
	{"epoch-reused", "P33", simulation},
	{"failed-epoch-dropped", "P24", states},
	{"retried-with-other-bytes", "P24", states},
	{"doubt-retried", "P25", states},
	{"ack-before-commit", "I5", simulation},
	{"ack-by-epoch-at-enqueue", "P18", simulation},
	{"known-key-acked-at-once", "P19", simulation},
	{"key-not-in-cut", "P17", simulation},
	{"waiting-is-an-edge", "P20", states},
	{"publish-before-commit", "I5", simulation},
	{"records-not-in-outbox", "I5", simulation},
	{"outbox-deleted-too-early", "P30", simulation},
	{"records-restored-out-of-order", "P35", simulation},
	{"lap-ends-early", "I6", simulation},
	{"waiting-not-repeated", "I6", simulation},
	{"keys-not-repeated", "I6", simulation},
	{"outbox-not-repeated", "I6", simulation},
	{"commit-before-fsync", "I7", store},
	{"fsync-retried", "P25", store},
	{"damage-read-as-end", "I7", store},
	{"witness-ignored", "I7", store},
	{"last-record-not-settled", "P25", store},
	{"generation-not-taken", "P26", store},
	{"removed-directory-not-noticed", "P25", store},
}
