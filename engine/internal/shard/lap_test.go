// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"fmt"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/internal/checkpoint"
)

// Each epoch is a lap of its own: everything that there is is put, of each kind. What has changed in the open epoch is
// left to that.
func TestLap(t *testing.T) {
	const cut, done, later = "cut", "done", "later"
	tests := []struct {
		name   string
		script []string
		parts  []string
	}{
		{"nothing", []string{cut, done, cut, done}, []string{"", ""}},
		{
			"what has not changed",
			[]string{"a +1, b +1", cut, done, cut, done, cut, done},
			[]string{"put a n=1, put b n=1", "put a n=1, put b n=1", "put a n=1, put b n=1"},
		},
		{
			"what has changed is put once",
			[]string{"a +1, b +1", cut, done, "a +1", cut, done},
			[]string{"put a n=1, put b n=1", "put b n=1, put a n=2"},
		},
		{
			"what changes in the open epoch is left to it",
			[]string{"a +1, b +1", cut, done, cut, "a +1", done, cut, done},
			[]string{"put a n=1, put b n=1", "put b n=1", "put b n=1, put a n=2"},
		},
		{
			"what goes in the open epoch is not put",
			[]string{"a +1, b +1", cut, done, cut, "a ~", done, cut, done},
			[]string{"put a n=1, put b n=1", "put b n=1", "delete a, put b n=1"},
		},
		{
			"a slot that serves another",
			[]string{"a +1", cut, done, cut, "a ~", "b =x", done, cut, done},
			[]string{"put a n=1", "", "delete a, put b text=x"},
		},
		{"what waits", []string{"a fail", cut, done, cut, done}, []string{"a:fail", "a:fail"}},
		{"what comes to wait is put once", []string{cut, "a fail", done, cut, done}, []string{"", "a:fail"}},
		{"what is in flight", []string{cut, "late a fail", done, cut, done}, []string{"a:fail, a:fail", "a:fail"}}, // Which does no harm.
		{"what has waited", []string{"a flaky", cut, done, cut, later, done, cut, done}, []string{"a:flaky", "", "gone a"}},
		{"delayed", []string{"a @100,b:+1", cut, done, cut, done}, []string{"b:+1 in 100", "b:+1 in 100"}},
		{"suspended", []string{"a permanent", cut, done, cut, done}, []string{"suspended a, a:permanent", "a:permanent, suspended a"}},
		{
			"suspended in the open epoch",
			[]string{"a fail", cut, done, cut, "later 100", done, cut, done},
			[]string{"a:fail", "a:fail", "suspended a, a:fail"},
		},
		{
			"skipped in the open epoch",
			[]string{"a permanent", cut, done, cut, "skip a", done, cut, done},
			[]string{"suspended a, a:permanent", "", "gone suspended a, gone a"},
		},
		{"given up", []string{"a +1, b fail", cut, done, cut, "give up", done}, []string{"b:fail, put a n=1", ""}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, rigConfig{retries: 1})
			r.flaky, r.lapStep = 1, 1
			var parts []string
			for _, line := range tt.script {
				verb, rest, _ := strings.Cut(line, " ")
				switch verb {
				case cut:
					r.cut()
				case done:
					parts = append(parts, r.inOrder())
				case later:
					r.advance(retryMost)
				case "skip":
					r.skip(rest)
				case "give":
					r.s.GiveUpLap()
				case "late":
					r.s.Step(r.now, r.batch(r.s.Epoch()-1, rest))
				default:
					r.step(strings.Split(line, ", ")...)
				}
			}
			want(t, "parts", strings.Join(parts, "\n"), strings.Join(tt.parts, "\n"))
		})
	}
}

// A lap goes on epoch by epoch, in the proportion that it is told, and in slices that end by their bytes.
func TestLapInParts(t *testing.T) {
	const instances, size = 300, 20_000
	r := newRig(t, rigConfig{limits: Limits{SendsMax: 1, PayloadBytesMax: 2 * size}})
	for i := range instances {
		r.step(fmt.Sprintf("id-%03d =%s", i, strings.Repeat("x", size)))
	}
	r.cut()
	r.part()
	r.lapStep = 0.25
	for epoch := 1; epoch <= 4; epoch++ {
		r.cut()
		changes, before := &r.s.epoch.changes[r.s.epoch.parity()^1], 0
		for more := true; more; before = changes.bytes() {
			more = r.s.EncodeFrozen(512)
			if n := changes.bytes() - before; n > sliceBytes+2*size {
				t.Fatalf("a slice of %d bytes", n)
			}
		}
		if n := r.s.Repeated(); n != int64(changes.bytes()) || r.s.Repeated() != 0 {
			t.Errorf("%d bytes are said to have been repeated, %d were", n, changes.bytes())
		}
		r.part()
		left := 0
		for _, put := range r.put {
			if put == 1 {
				left++
			}
		}
		if (left == 0) != (epoch == 4) {
			t.Errorf("%d of %d have not been put again in %d epochs of 4", left, instances, epoch)
		}
	}
}

// inOrder is what a part says, in the order in which it says it.
func (r *rig) inOrder() string {
	r.t.Helper()
	var all []string
	r.takePart(func(c backend.Change) {
		if checkpoint.KindOf(c.Key) == checkpoint.KindState {
			all = append(all, r.change(c))
		} else {
			all = append(all, r.flying(c))
		}
	})
	return strings.Join(all, ", ")
}
