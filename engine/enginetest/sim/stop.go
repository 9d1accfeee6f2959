// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"context"
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/engine/internal/driver"
)

// shutDown has the process stop as one does that is asked to (P40): nothing more comes in, what has come in is
// taken, one more epoch is committed with whatever is under way, its records leave if there is time, and the
// store is closed.
func (r *run) shutDown() {
	r.stopping = true
	for _, p := range r.app.Pumps {
		p.Hush()
	}
	for turns := 0; r.hasMail() && !r.over() && turns < passesMax; turns++ {
		r.loops()
	}
	r.app.Epochs.Finish()
	r.last = r.app.Epoch()
	for turns := 0; r.newest() < r.last && !r.over() && turns < passesMax; turns++ {
		r.epoch(r.app.Epoch() == r.last)
		r.pumps()
		r.loops()
	}
	if r.over() {
		return
	}
	for range r.schedule.IntN(8) {
		r.publish()
	}
	if err := r.app.Epochs.SweepNow(context.Background()); err != nil && !r.over() && !halts(err) {
		r.violate(err)
	}
	if r.over() {
		return
	}
	r.stats.Shutdowns++
	r.crash("when it is asked to stop")
	r.tidy = true
	r.logf("stop    after epoch %d, swept %v", r.last, r.newest() > r.last)
	if err := r.recorder.Close(); err != nil && !halts(err) && !r.disk.Dead() {
		r.dead = false
		r.violate(fmt.Errorf("close: %w", err))
	}
}

// isLate reports whether what a shard does now leaves no trace.
func (r *run) isLate(shard int) bool {
	return r.last != 0 && max(r.app.Epoch(), r.app.Loops[shard].Epoch()) > r.last
}

// hasMail reports whether a shard has not taken what has come through doors.
func (r *run) hasMail() bool {
	return slices.ContainsFunc(r.app.Loops, func(l *driver.Loop) bool { return !l.Inbox().Empty() })
}
