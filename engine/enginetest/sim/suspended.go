// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"context"
	"slices"

	"github.com/millrace-io/millrace/engine"
)

// resume resumes a suspended address, or, now and then, one that is not; or skips what it is suspended for.
func (r *run) resume() {
	list := append(r.suspended(), address{0, 0})
	a := list[r.schedule.IntN(len(list))]
	if inst := r.model.instances[a]; inst != nil && inst.suspended && !inst.blocked.owed && inst.blocked.plan.size(true) == 1 && !r.Case.Config.Steady && one(r.schedule, 3) {
		r.skip(a, inst)
		return
	}
	r.resumeAddress(a)
}

// skip has an address give up the message that it is suspended for, and go on at once.
func (r *run) skip(a address, inst *instance) {
	r.settle() // Requests to resume would come first.
	if r.over() || !inst.suspended || inst.pardon || r.app.Engine.(*engine.Engine).Skip(givingUp(), a.address()) != nil {
		return
	}
	r.logf("skip    %v", inst.blocked)
	inst.skip = true
	if inst.asked == 0 {
		inst.asked = r.app.Epoch()
	}
	// No epoch ends meanwhile, so it is known in which one that happens.
	r.skipped = r.app.Epoch()
	r.interrupted = true
	r.settle()
	r.interrupted = false
	if inst.skip && !r.over() {
		r.model.skipped(inst, r.skipped) // Nothing waited behind it.
	}
}

// suspended lists the suspended addresses in an order that is always the same.
func (r *run) suspended() (list []address) {
	for a, inst := range r.model.instances {
		if inst.suspended {
			list = append(list, a)
		}
	}
	slices.SortFunc(list, func(a, b address) int { return (a.kind-b.kind)*len(ids) + a.id - b.id })
	return list
}

func (r *run) resumeAddress(a address) {
	if err := r.app.Engine.(*engine.Engine).Resume(givingUp(), a.address()); err == nil {
		inst := r.model.instance(a, len(r.slots[a.kind]))
		inst.resumes++
		if inst.asked == 0 || !inst.suspended {
			inst.asked = r.app.Epoch()
		}
		r.resumed = append(r.resumed, a)
	}
}

// givingUp is for calls that wait while an inbox is full; here they give up.
func givingUp() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
