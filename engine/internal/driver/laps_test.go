// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/statefun"
)

// A lap goes on as much is committed, and everything has been put since it began when the epoch behind its last is
// committed. One that costs too much is given up, and none begins that a record makes vain.
func TestLaps(t *testing.T) {
	const none = math.MaxUint64
	type step struct {
		oldest statefun.Epoch // Of the records.
		bytes  int64          // What is committed,
		spent  int64          // and of that for the lap.
		want   string         // "lap done claim".
	}
	tests := []struct {
		name  string
		steps []step
	}{
		{"one after the other", []step{
			{none, 40, 0, "1 0.00 0"},
			{none, 40, 10, "1 0.40 0"},
			{none, 40, 0, "1 0.80 0"},
			{none, 40, 0, "1 1.20 0"},
			{none, 100, 0, "2 0.00 10"},
			{none, 0, 0, "2 1.00 10"},
			{none, 0, 0, "3 0.00 14"},
			{none, 0, 0, "3 0.00 14"},
		}},
		{"too much is spent", []step{
			{none, 60, 0, "1 0.00 0"},
			{none, 140, 51, "1 0.60 0"},
			{none, 700, 0, "0 0.00 0"},
			{none, 99, 0, "0 0.00 0"},
			{none, 1, 0, "0 0.00 0"},
			{none, 0, 0, "2 0.00 0"},
		}},
		{"too much is spent in the last epoch", []step{{none, 100, 0, "1 0.00 0"}, {none, 100, 51, "1 1.00 0"}, {none, 0, 0, "0 0.00 0"}}},
		{"what may be spent is", []step{{none, 100, 0, "1 0.00 0"}, {none, 100, 50, "1 1.00 0"}, {none, 0, 0, "2 0.00 10"}}},
		{"a record stays", []step{
			{9, 100, 0, "1 0.00 0"},
			{9, 100, 0, "1 1.00 0"},
			{9, 100, 0, "0 0.00 9"},
			{9, 100, 0, "0 0.00 9"},
			{13, 100, 0, "2 0.00 10"},
			{13, 0, 0, "2 1.00 10"},
			{14, 0, 0, "3 0.00 14"},
			{13, 0, 0, "3 0.00 13"},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := NewAnnouncement(t.Context(), 10)
			l := laps{bytes: 100}
			var got, want []string
			for i, step := range tt.steps {
				lap := l.next(statefun.Epoch(10+i), step.oldest, a)
				a.room.Add(-step.spent)
				got = append(got, fmt.Sprintf("%d %.2f %d", lap.Number, lap.Done, l.claim(step.oldest)))
				want = append(want, step.want)
				l.committed(step.bytes-commitBytesMin, a)
			}
			if strings.Join(got, ", ") != strings.Join(want, ", ") {
				t.Errorf("%q\nwant %q", got, want)
			}
		})
	}
}

// Of the records that stay, the oldest counts, in whatever order the others go; and nothing is kept of those that have gone.
func TestOldestRecord(t *testing.T) {
	o := NewOutflow(OutflowConfig{})
	b := &o.outbox
	for _, step := range []struct {
		epoch   statefun.Epoch
		records int
		oldest  statefun.Epoch
		kept    int
	}{{7, 2, 7, 1}, {8, 1, 7, 2}, {9, 1, 7, 3}, {8, -1, 7, 2}, {7, -1, 7, 2}, {7, -1, 9, 1}, {9, -1, math.MaxUint64, 0}} {
		if b.keep(step.epoch, step.records); o.Oldest() != step.oldest || len(b.kept) != step.kept {
			t.Errorf("after %+d of epoch %d the oldest is of %d, of %d epochs; want %d, %d", step.records, step.epoch, o.Oldest(), len(b.kept), step.oldest, step.kept)
		}
	}
}
