// SPDX-License-Identifier: Apache-2.0

package file

import (
	"context"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/backend"

	"github.com/millrace-io/millrace/backends/logstore"
	"github.com/millrace-io/millrace/backends/logstore/storetest"
)

var factory = storetest.Factory{
	Open: func(ctx context.Context, c storetest.Config, opts backend.Options) (*logstore.Store, error) {
		b, err := Open(ctx, Config{
			Dir: c.Dir, FS: c.FS, EpochMin: c.EpochMin, Inline: c.Inline,
			SegmentBytes: c.SegmentBytes, CompactBytes: c.FoldBytes, LogBytesMax: c.LogBytesMax, MemoryBytes: c.MemoryBytes,
		}, opts)
		if err != nil {
			return nil, err
		}
		return b.Store, nil
	},
	Base: "table-", Forgets: true,
}

func TestMain(m *testing.M) { storetest.Main(m, factory) }

func TestStore(t *testing.T) { storetest.Run(t, factory) }

// One error names everything that is wrong.
func TestOpenJoinsProblems(t *testing.T) {
	_, err := Open(t.Context(), Config{SegmentBytes: -1, CompactBytes: 10, LogBytesMax: 5}, backend.Options{KeyGroups: 40000})
	for _, want := range []string{
		"directory: empty", "segment bytes: -1", "log bytes max: 5, want at least compact bytes: 10",
		"application: empty", "key groups: 40000, want 1 to 32768",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v; want %q in it", err, want)
		}
	}
}
