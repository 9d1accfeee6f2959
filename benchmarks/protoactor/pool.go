// SPDX-License-Identifier: Apache-2.0

package main

import "runtime"

// pool is a dispatcher: goroutines that run whichever mailboxes have messages. The default dispatcher
// starts a goroutine for that, whose small stack grows under the framework's calls each time; at keys
// that get one message now and then, that is most of the cost.
type pool chan func()

// perCore goroutines wait on each core. With one for each, a mailbox that yields after its turn leaves
// its core without work.
const perCore = 4

func newPool(actors int) pool {
	// A mailbox is scheduled once at a time. With room for every actor, Schedule never waits, and actors
	// that send to each other cannot deadlock. A skynet has a ninth more actors than leaves.
	p := make(pool, actors+actors/8+1024)
	for range perCore * runtime.GOMAXPROCS(0) {
		go func() {
			for run := range p {
				run()
			}
		}()
	}
	return p
}

// Schedule runs f soon. It is the dispatcher's, called by mailboxes.
func (p pool) Schedule(f func()) { p <- f }

// Throughput is how many messages a mailbox runs before it yields: the framework's own default.
func (p pool) Throughput() int { return 300 }
