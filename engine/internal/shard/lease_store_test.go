// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"fmt"
	"strings"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/internal/checkpoint"
	"github.com/millrace-io/millrace/engine/internal/clock"
	"github.com/millrace-io/millrace/engine/internal/table"
)

// cutAll ends the epoch, and has the store follow.
func (r *leaseRig) cutAll() {
	r.cut()
	r.takePart(func(backend.Change) {})
}

// entry describes an instance, or what a checkpoint has of it, with its stamps: "n=5@0 p=x @20".
func (r *leaseRig) entry(value []byte) string {
	if err := checkpoint.Validate(value); err != nil {
		r.t.Fatal(err)
	}
	var all []string
	for v := range checkpoint.Values(value) {
		s := fmt.Sprintf("%c=%s", leaseNames[v.Number], v.Bytes)
		if v.Stamped {
			s += fmt.Sprintf("@%d", v.Stamp-rigStart)
		}
		all = append(all, s)
	}
	if _, stamp, ok := checkpoint.CutTouched(value); ok {
		all = append(all, fmt.Sprintf("@%d", stamp-rigStart))
	}
	return strings.Join(all, " ")
}

func (r *leaseRig) row(row *table.Row) string {
	var all []string
	fn := r.s.fns[fnLease]
	for i := range fn.Values {
		if v := &fn.Values[i]; row.Present&(1<<i) != 0 {
			s := v.Name + "=" + r.values(row)[v.Name]
			if v.Expiry != Never {
				s += fmt.Sprintf("@%d", *v.stamp(row.State())-rigStart)
			}
			all = append(all, s)
		}
	}
	if fn.IdleAfter > 0 {
		all = append(all, fmt.Sprintf("@%d", *fn.messagedAt(row)-rigStart))
	}
	return strings.Join(all, " ")
}

// stored describes the store's state, by id.
func (r *leaseRig) stored() map[string]string {
	all := map[string]string{}
	for _, e := range r.store {
		if fn, id, err := checkpoint.ParseStateKey(e.Key); err == nil && fn == fnLease {
			all[string(id)] = r.entry(e.Value)
		}
	}
	return all
}

// reload recovers from the store after a while, with other terms.
func (r *leaseRig) reload(down clock.Instant, t terms) *leaseRig {
	r.now += down
	n := &leaseRig{terms: t, last: r.last}
	n.rig = r.reloaded(rigConfig{retries: 1000, more: n.function}, nil)
	return n
}
