// SPDX-License-Identifier: Apache-2.0

package pebble

import (
	"context"
	"path"
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
			SegmentBytes: c.SegmentBytes, FeedBytes: c.FoldBytes, LagBytesMax: c.LogBytesMax, MemoryBytes: c.MemoryBytes,
			CacheBytes: 1 << 20,
		}, opts)
		if err != nil {
			return nil, err
		}
		return b.Store, nil
	},
	Base: feedName,
	Foreign: func(name string) string {
		switch {
		case path.Ext(name) == ".sst":
			return strings.TrimSuffix(name, ".sst")
		case strings.HasPrefix(name, "marker."):
			return name[:strings.LastIndex(name, ".0000")]
		case left(name):
			return name
		}
		return ""
	},
}

func TestMain(m *testing.M) {
	tableBytes = 1 << 10
	storetest.Main(m, factory)
}

func TestStore(t *testing.T) { storetest.Run(t, factory) }
