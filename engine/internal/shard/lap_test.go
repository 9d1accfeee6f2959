// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"fmt"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/internal/checkpoint"
)

// Within a lap everything that there is has been put, of each kind, and the part after its end says so. What has
// changed in the open epoch is left to that.
func TestLap(t *testing.T) {
	const cut, done, later = "cut", "done", "later"
	tests := []struct {
		name   string
		script []string
		parts  []string // With what they say of laps: "since 1: …".
	}{
		{"nothing", []string{cut, done, cut, done, cut, done}, []string{"", "", "since 1: "}},
		{
			"what has not changed",
			[]string{"a +1, b +1", cut, done, cut, done, cut, done, cut, done},
			[]string{"put a n=1, put b n=1", "put a n=1, put b n=1", "since 1: ", "since 1: put a n=1, put b n=1"},
		},
		{
			"what has changed is put once",
			[]string{"a +1, b +1", cut, done, "a +1", cut, done, cut, done},
			[]string{"put a n=1, put b n=1", "put b n=1, put a n=2", "since 1: "},
		},
		{
			"what changes in the open epoch is left to it",
			[]string{"a +1, b +1", cut, done, cut, "a +1", done, cut, done},
			[]string{"put a n=1, put b n=1", "put b n=1", "since 1: put a n=2"},
		},
		{
			"what goes in the open epoch is not put",
			[]string{"a +1, b +1", cut, done, cut, "a ~", done, cut, done},
			[]string{"put a n=1, put b n=1", "put b n=1", "since 1: delete a"},
		},
		{
			"a slot that serves another",
			[]string{"a +1", cut, done, cut, "a ~", "b =x", done, cut, done},
			[]string{"put a n=1", "", "since 1: delete a, put b text=x"},
		},
		{
			"what waits",
			[]string{"a fail", cut, done, cut, done, cut, done},
			[]string{"a:fail", "a:fail", "since 1: "},
		},
		{
			"what comes to wait is put once",
			[]string{cut, "a fail", done, cut, done, cut, done},
			[]string{"", "a:fail", "since 1: "},
		},
		{
			"what is in flight",
			[]string{cut, "late a fail", done, cut, done, cut, done},
			[]string{"a:fail", "a:fail", "since 1: "},
		},
		{
			"what has waited",
			[]string{"a flaky", cut, done, cut, later, done, cut, done},
			[]string{"a:flaky", "", "since 1: gone a"},
		},
		{
			"delayed",
			[]string{"a @100,b:+1", cut, done, cut, done, cut, done},
			[]string{"b:+1 in 100", "b:+1 in 100", "since 1: "},
		},
		{
			"suspended",
			[]string{"a permanent", cut, done, cut, done, cut, done},
			[]string{"suspended a, a:permanent", "a:permanent, suspended a", "since 1: "},
		},
		{
			"suspended in the open epoch",
			[]string{"a fail", cut, done, cut, "later 100", done, cut, done},
			[]string{"a:fail", "a:fail", "since 1: suspended a"},
		},
		{
			"skipped in the open epoch",
			[]string{"a permanent", cut, done, cut, "skip a", done, cut, done},
			[]string{"suspended a, a:permanent", "", "since 1: gone suspended a, gone a"},
		},
		{"more than a part of the lap", []string{"a =" + strings.Repeat("x", 9000), cut, done, cut, done, cut, done, cut, done}, []string{
			"put a text=" + strings.Repeat("x", 9000), "put a text=" + strings.Repeat("x", 9000), "", "",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, rigConfig{retries: 1, more: func(c *Config) { c.LapBytes = 10_000 }, limits: Limits{SendsMax: 10, PayloadBytesMax: 10_000}})
			r.flaky = 1
			r.committed = 0
			var parts []string
			for _, line := range tt.script {
				verb, rest, _ := strings.Cut(line, " ")
				switch verb {
				case cut:
					r.cut()
				case done:
					parts = append(parts, r.lapPart())
					r.committed += 10_000
				case later:
					r.advance(retryMost)
				case "skip":
					r.skip(rest)
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

// lapPart is what a part says, in the order in which it says it.
func (r *rig) lapPart() string {
	r.t.Helper()
	for r.s.EncodeFrozen(1) {
	}
	p, ok := r.s.Part()
	if !ok {
		r.t.Fatalf("the part is not complete")
	}
	var all []string
	for c, err := range whole(p).All() {
		if err != nil {
			r.t.Fatal(err)
		}
		r.apply(c, p.Epoch)
		if checkpoint.KindOf(c.Key) == checkpoint.KindState {
			all = append(all, r.change(c))
		} else {
			all = append(all, r.flying(c))
		}
	}
	r.lapped(p)
	said := strings.Join(all, ", ")
	if p.Since > 0 {
		said = fmt.Sprintf("since %d: %s", p.Since, said)
	}
	return said
}
