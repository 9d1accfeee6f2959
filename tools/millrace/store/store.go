// SPDX-License-Identifier: Apache-2.0

// Package store opens the stores that --backend names, and says what is in them.
package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/backends/file"
	"github.com/millrace-io/millrace/backends/memory"
	"github.com/millrace-io/millrace/backends/pebble"
	"github.com/millrace-io/millrace/engine/backend"
)

// Location is where checkpoints go. The zero Location is memory, where nothing is kept of them.
type Location struct {
	driver *driver // Nil: memory.
	dir    string
	keep   bool // In memory the newest one is kept.
}

// driver is a backend that keeps a store in a directory.
type driver struct {
	scheme string
	mark   string // A file that a directory has once it is a store.
	open   func(ctx context.Context, dir string, opts backend.Options) (backend.Backend, error)
}

var drivers = []driver{
	{"file", "manifest", func(ctx context.Context, dir string, opts backend.Options) (backend.Backend, error) {
		return file.Open(ctx, file.Config{Dir: dir}, opts)
	}},
	{"pebble", "manifest", func(ctx context.Context, dir string, opts backend.Options) (backend.Backend, error) {
		return pebble.Open(ctx, pebble.Config{Dir: dir}, opts)
	}},
}

// In memory there are two ways: state can be asked for in both, whole checkpoints only where one is kept. Keeping it
// takes twice the memory, and nearly half of the rate when everything changes all the time.
const (
	inMemory     = "memory"
	keptInMemory = "memory:kept"
)

// Accepted says what Parse takes.
func Accepted() string {
	accepted := inMemory + ", " + keptInMemory
	for i, d := range drivers {
		separator := ", "
		if i == len(drivers)-1 {
			separator = " or "
		}
		accepted += separator + d.scheme + ":///directory"
	}
	return accepted
}

// notYet are backends of other versions.
var notYet = []string{"s3"}

// Parse reads the value of --backend.
func Parse(s string) (Location, error) {
	if s == inMemory || s == keptInMemory {
		return Location{keep: s == keptInMemory}, nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" {
		return Location{}, fmt.Errorf("%q, want %s", s, Accepted())
	}
	i := slices.IndexFunc(drivers, func(d driver) bool { return d.scheme == u.Scheme })
	switch {
	case i < 0 && slices.Contains(notYet, u.Scheme):
		return Location{}, fmt.Errorf("%q is not available in this version, which has %s", s, Accepted())
	case i < 0, !strings.HasPrefix(s, u.Scheme+":///"), filepath.Clean(u.Path) == "/", u.RawQuery != "", u.Fragment != "", u.User != nil:
		return Location{}, fmt.Errorf("%q, want %s", s, Accepted())
	}
	return Location{driver: &drivers[i], dir: filepath.Clean(u.Path)}, nil
}

// String returns the location as Parse reads it.
func (l Location) String() string {
	switch {
	case l.keep:
		return keptInMemory
	case l.IsMemory():
		return inMemory
	}
	return (&url.URL{Scheme: l.driver.scheme, Path: l.dir}).String()
}

// IsMemory reports whether nothing survives the process.
func (l Location) IsMemory() bool { return l.driver == nil }

// Open opens the store, or makes a new one; nil where nothing is kept.
func (l Location) Open(ctx context.Context, opts backend.Options) (backend.Backend, error) {
	switch {
	case l.keep:
		return memory.Open(ctx, opts)
	case l.IsMemory():
		return nil, nil
	}
	b, err := l.driver.open(ctx, l.dir, opts)
	return b, explain(err, l)
}

// ErrNone is returned by OpenExisting when there is no store.
var ErrNone = errors.New("there is no store")

// OpenExisting opens a store that is there: to look for one must not make one.
func (l Location) OpenExisting(ctx context.Context, opts backend.Options) (backend.Backend, error) {
	if l.IsMemory() {
		return nil, fmt.Errorf("memory: %w: it goes with the process; ask a running engine with --admin", ErrNone)
	}
	if _, err := os.Stat(filepath.Join(l.dir, l.driver.mark)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = ErrNone
		}
		return nil, fmt.Errorf("%v: %w", l, err)
	}
	return l.Open(ctx, opts)
}

// explain adds what to do to why a store is refused.
func explain(err error, l Location) error {
	if err == nil {
		return nil
	}
	for _, known := range []struct {
		is  error
		say string
	}{
		{file.ErrLocked, "stop that process first, or ask it with --admin"},
		{backend.ErrMismatch, "give --app as it was when the store was made, and --backend; --shards over 128 must be what it was then, else at most 128; or name another directory"},
		{backend.ErrCorrupt, "nothing was changed: put the file back, or a copy of the whole directory"},
		{fs.ErrPermission, "the user of this process must own " + l.dir + " and may write to it"},
	} {
		if errors.Is(err, known.is) {
			return fmt.Errorf("%w; %s", err, known.say)
		}
	}
	return err
}

// KeyGroups is the number of key groups of a new application that runs on so many shards.
func KeyGroups(shards int) int { return max(defaultKeyGroups, cmp.Or(shards, defaultKeyGroups)) }

// defaultKeyGroups is the engine's default: enough for the shards of any machine but the largest.
const defaultKeyGroups = 128
