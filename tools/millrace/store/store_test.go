// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/backends/file"
	"github.com/millrace-io/millrace/engine/backend"
)

func TestParse(t *testing.T) {
	for in, want := range map[string]string{
		"memory":                    "memory",
		"memory:kept":               "memory:kept",
		"file:///var/lib/shop":      "file:///var/lib/shop",
		"file:///var/lib/shop/../x": "file:///var/lib/x",
		"file:///a%20b%3F":          "file:///a%20b%3F",
		"pebble:///var/lib/shop":    "pebble:///var/lib/shop",
	} {
		l, err := Parse(in)
		if err != nil || l.String() != want || l.IsMemory() != strings.HasPrefix(in, "memory") {
			t.Errorf("%s: %v, %v", in, l, err)
		}
	}
	for _, in := range []string{
		"", "Memory", "memory:", "memory://", "memory?keep=true", "memory:kept:", "file", "file:", "file://", "file://x", "file://localhost/x", "file:x", "file:/x", "FILE:///x", "file:///", "file:///x?a=b",
		"file:///x#y", "/var/lib/shop", "file:///%zz", "s3://bucket/prefix", "redis://x",
	} {
		if l, err := Parse(in); err == nil || !strings.Contains(err.Error(), "memory, memory:kept, file:///directory or pebble:///directory") {
			t.Errorf("%q: %v, %v", in, l, err)
		}
	}
	if _, err := Parse("s3://bucket"); !strings.Contains(err.Error(), "not available in this version") {
		t.Errorf("%v", err)
	}
}

// Each place that is accepted makes a store, which is there when it is opened again, if it is one that lasts.
func TestOpen(t *testing.T) {
	for _, scheme := range []string{"memory", "memory:kept", "file", "pebble"} {
		t.Run(scheme, func(t *testing.T) {
			name := scheme
			if !strings.HasPrefix(scheme, "memory") {
				name = scheme + "://" + t.TempDir()
			}
			l, err := Parse(name)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := l.OpenExisting(t.Context(), options); !errors.Is(err, ErrNone) {
				t.Errorf("before there is a store: %v", err)
			}
			b, err := l.Open(t.Context(), options)
			if err != nil || (b == nil) != (scheme == "memory") {
				t.Fatal(b, err)
			}
			if b == nil {
				return
			}
			commit(t, b, 41)
			if b.Durable() == l.IsMemory() {
				t.Errorf("durable: %t", b.Durable())
			}
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
			if l.IsMemory() {
				return
			}
			if b, err = l.OpenExisting(t.Context(), options); err != nil {
				t.Fatal(err)
			}
			if cp, ok, err := b.Latest(t.Context()); cp.Epoch != 41 || !ok || err != nil {
				t.Errorf("%+v, %v", cp, err)
			}
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// What is refused says what to do, and what is not there is not made.
func TestOpenRefuses(t *testing.T) {
	open := func(dir string, opts backend.Options) error {
		l, err := Parse("file://" + dir)
		if err != nil {
			t.Fatal(err)
		}
		b, err := l.OpenExisting(t.Context(), opts)
		if err == nil {
			err = errors.Join(errors.New("it was opened"), b.Close())
		}
		return err
	}
	check := func(name string, err, is error, say string) {
		t.Helper()
		if !errors.Is(err, is) || !strings.Contains(err.Error(), say) {
			t.Errorf("%s: %v; want %v and %q", name, err, is, say)
		}
	}
	dir := made(t)
	check("another application", open(dir, backend.Options{Application: "bank", KeyGroups: 128}), backend.ErrMismatch, `it is of "shop"`)
	check("another application", open(dir, backend.Options{Application: "bank", KeyGroups: 128}), backend.ErrMismatch, "give --app as it was")

	held, err := file.Open(t.Context(), file.Config{Dir: dir}, options)
	if err != nil {
		t.Fatal(err)
	}
	check("in use", open(dir, options), file.ErrLocked, "; stop that process first, or ask it with --admin")
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}

	if err := os.Truncate(filepath.Join(dir, "manifest"), 20); err != nil {
		t.Fatal(err)
	}
	check("damaged", open(dir, options), backend.ErrCorrupt, "; nothing was changed")

	empty := t.TempDir()
	check("nothing", open(empty, options), ErrNone, "file://"+empty)
	check("no directory", open(filepath.Join(empty, "x"), options), ErrNone, "there is no store")
	if left, err := os.ReadDir(empty); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
	if os.Geteuid() != 0 { // Who may do anything is refused nothing.
		closed := made(t)
		if err := os.Chmod(closed, 0o500); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = os.Chmod(closed, 0o700) }()
		check("read-only", open(closed, options), os.ErrPermission, "must own "+closed)
	}
}

func TestKeyGroups(t *testing.T) {
	for shards, want := range map[int]int{0: 128, 1: 128, 128: 128, 129: 129, 1024: 1024} {
		if got := KeyGroups(shards); got != want {
			t.Errorf("%d shards: %d key groups, want %d", shards, got, want)
		}
	}
}
