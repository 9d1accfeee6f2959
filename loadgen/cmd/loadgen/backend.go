// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/millrace-io/millrace/backends/file"
	"github.com/millrace-io/millrace/backends/logstore"
	"github.com/millrace-io/millrace/backends/memory"
	"github.com/millrace-io/millrace/backends/pebble"
	"github.com/millrace-io/millrace/engine/backend"
)

// openBackend opens a backend.
type openBackend func(context.Context, backend.Options) (backend.Backend, error)

// parseBackend reads where checkpoints go, as millrace run does, and returns what opens it; nil where nothing is kept.
func parseBackend(s string) (name string, open openBackend, err error) {
	switch s {
	case "memory":
		return s, nil, nil
	case "memory:kept":
		return s, func(ctx context.Context, o backend.Options) (backend.Backend, error) { return memory.Open(ctx, o) }, nil
	}
	scheme, dir, _ := strings.Cut(s, "://")
	if inDir[scheme] != nil && filepath.IsAbs(dir) {
		return scheme, func(ctx context.Context, o backend.Options) (backend.Backend, error) {
			return openTemporary(ctx, scheme, dir, o)
		}, nil
	}
	return "", nil, fmt.Errorf("backend: %q, want memory, memory:kept, file:///directory or pebble:///directory", s)
}

// inDir opens the backends that keep a directory, by scheme, and returns how far their bases are behind the log.
var inDir = map[string]func(context.Context, string, backend.Options) (backend.Backend, func() logstore.Length, error){
	"file": func(ctx context.Context, dir string, o backend.Options) (backend.Backend, func() logstore.Length, error) {
		b, err := file.Open(ctx, file.Config{Dir: dir}, o)
		return b, func() logstore.Length { return b.Store.Stats(nil).Behind }, err
	},
	"pebble": func(ctx context.Context, dir string, o backend.Options) (backend.Backend, func() logstore.Length, error) {
		b, err := pebble.Open(ctx, pebble.Config{Dir: dir}, o)
		return b, func() logstore.Length { return b.Store.Stats(nil).Behind }, err
	},
}

// temporary is a backend in a directory of its own, which goes when it is closed: a run counts from zero.
type temporary struct {
	backend.Backend
	dir      string
	behind   func() logstore.Length
	furthest logstore.Length
}

func openTemporary(ctx context.Context, scheme, parent string, o backend.Options) (_ backend.Backend, err error) {
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return nil, err
	}
	var t temporary
	if t.dir, err = os.MkdirTemp(parent, "loadgen-"); err != nil {
		return nil, err
	}
	if t.Backend, t.behind, err = inDir[scheme](ctx, t.dir, o); err != nil {
		return nil, errors.Join(err, os.RemoveAll(t.dir))
	}
	return &t, nil
}

// Commit implements backend.Backend.
func (t *temporary) Commit(ctx context.Context, cp backend.Checkpoint, parts []backend.Part) error {
	err := t.Backend.Commit(ctx, cp, parts)
	behind := t.behind()
	t.furthest.Records = max(t.furthest.Records, behind.Records)
	t.furthest.Bytes = max(t.furthest.Bytes, behind.Bytes)
	return err
}

// Close implements backend.Backend.
func (t *temporary) Close() error {
	fmt.Fprintf(os.Stderr, "the base was at most %d epochs and %d MB behind the log\n", t.furthest.Records, t.furthest.Bytes/1e6)
	return errors.Join(t.Backend.Close(), os.RemoveAll(t.dir))
}
