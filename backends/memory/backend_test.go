// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/backendtest"
	"github.com/millrace-io/millrace/engine/statefun"
)

func TestBackend(t *testing.T) {
	backendtest.Run(t, backendtest.Factory{
		Open: func(ctx context.Context, _ string, opts backend.Options) (backend.Backend, error) {
			return Open(ctx, opts)
		},
	})
}

// One error names everything that is wrong.
func TestOpenJoinsProblems(t *testing.T) {
	_, err := Open(t.Context(), backend.Options{KeyGroups: 40000})
	for _, want := range []string{"application: empty", "key groups: 40000, want 1 to 32768"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v; want %q in it", err, want)
		}
	}
}

// A table that is being scanned is copied once, not at each commit, and the scan's end gives the next
// commit its table back.
func TestScanCopiesOnce(t *testing.T) {
	b, err := Open(t.Context(), backend.Options{Application: "a", KeyGroups: 1})
	if err != nil {
		t.Fatal(err)
	}
	epoch := statefun.Epoch(0)
	commit := func() *table {
		epoch++
		p := backend.Part{Changes: backend.AppendPut(nil, 0, []byte("k"), []byte("v"))}
		if err := b.Commit(t.Context(), backend.Checkpoint{Epoch: epoch}, []backend.Part{p}); err != nil {
			t.Fatal(err)
		}
		return b.tables[0]
	}
	first := commit()
	if commit() != first {
		t.Errorf("copied without a scan")
	}
	var second *table
	for range b.Scan(t.Context(), backend.KeyGroupRange{First: 0, End: 1}) {
		if second = commit(); second == first {
			t.Errorf("written to while it was scanned")
		}
		if commit() != second {
			t.Errorf("copied again")
		}
		for range b.Scan(t.Context(), backend.KeyGroupRange{First: 0, End: 1}) {
			break
		}
	}
	if commit() != second {
		t.Errorf("copied after the scans had ended")
	}
	if n := first.scans.Load() + second.scans.Load(); n != 0 {
		t.Errorf("%d scans are still counted", n)
	}
}

// A scan that is told to stop stops at the next key group.
func TestScanContext(t *testing.T) {
	b, err := Open(t.Context(), backend.Options{Application: "a", KeyGroups: 2})
	if err != nil {
		t.Fatal(err)
	}
	changes := backend.AppendPut(nil, 0, []byte("k"), nil)
	changes = backend.AppendPut(changes, 1, []byte("k"), nil)
	if err := b.Commit(t.Context(), backend.Checkpoint{Epoch: 1}, []backend.Part{{Changes: changes}}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var seen []string
	for e, err := range b.Scan(ctx, backend.KeyGroupRange{First: 0, End: 2}) {
		seen = append(seen, fmt.Sprint(e.Group, err))
		cancel()
	}
	if want := "[0 <nil> 0 context canceled]"; fmt.Sprint(seen) != want {
		t.Errorf("yielded %v; want %v", seen, want)
	}
}

// Writing the same keys again and again allocates nothing for a change: it is what every epoch does.
func TestCommitAllocatesNothing(t *testing.T) {
	b, err := Open(t.Context(), backend.Options{Application: "a", KeyGroups: 4})
	if err != nil {
		t.Fatal(err)
	}
	var changes []byte
	for i := range 1000 {
		changes = backend.AppendPut(changes, statefun.KeyGroup(i%4), fmt.Append(nil, "key ", i), fmt.Append(nil, "value ", i))
	}
	parts := []backend.Part{{Changes: changes}}
	cp := backend.Checkpoint{}
	commit := func() {
		cp.Epoch++
		if err := b.Commit(t.Context(), cp, parts); err != nil {
			t.Fatal(err)
		}
	}
	commit()
	if allocs := testing.AllocsPerRun(10, commit); allocs > 10 {
		t.Errorf("%v allocations for 1000 changes; want none for a change", allocs)
	}
}
