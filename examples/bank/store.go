// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/url"
	"strconv"

	"github.com/millrace-io/millrace/backends/file"
	"github.com/millrace-io/millrace/backends/memory"
	"github.com/millrace-io/millrace/backends/pebble"
	"github.com/millrace-io/millrace/engine/backend"
)

const (
	application = "bank"
	keyGroups   = 128
)

// openStore opens the store that a URL names: memory, file:///directory or pebble:///directory. With
// ?compact=bytes it tidies up each time that it has grown by so much.
func openStore(ctx context.Context, name string) (backend.Backend, error) {
	opts := backend.Options{Application: application, KeyGroups: keyGroups}
	u, err := url.Parse(name)
	if err != nil {
		return nil, fmt.Errorf("backend: %w", err)
	}
	compact := int64(4 << 20) // The total is read from the store: that is to be quick.
	if s := u.Query().Get("compact"); s != "" {
		if compact, err = strconv.ParseInt(s, 10, 64); err != nil || compact < 1 {
			return nil, fmt.Errorf("backend %s: compact is a number of bytes", name)
		}
	}
	switch {
	case name == "memory": // Kept: the total is read from it.
		return memory.Open(ctx, opts)
	case u.Scheme == "file" && u.Path != "":
		return file.Open(ctx, file.Config{Dir: u.Path, CompactBytes: compact, SegmentBytes: compact}, opts)
	case u.Scheme == "pebble" && u.Path != "":
		return pebble.Open(ctx, pebble.Config{Dir: u.Path, FeedBytes: compact, SegmentBytes: compact}, opts)
	}
	return nil, fmt.Errorf("backend %s: want memory, file:///directory or pebble:///directory", name)
}
