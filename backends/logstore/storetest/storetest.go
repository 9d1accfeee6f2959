// SPDX-License-Identifier: Apache-2.0

// Package storetest holds what every backend that is made of package logstore must survive, as tests: processes
// that die, disks that lose power, fill up, fail and rot, directories that are taken away, a second process.
//
// A store is given a history of epochs, of which it is known what it holds after each. Whatever happens, it shows
// one committed epoch, whole: the last that was acknowledged, or the one whose commit was under way.
package storetest

import (
	"context"
	"testing"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/backendtest"
	"github.com/millrace-io/millrace/engine/statefun"

	"github.com/millrace-io/millrace/backends/logstore"
	"github.com/millrace-io/millrace/backends/logstore/disk"
	"github.com/millrace-io/millrace/backends/logstore/disktest"
)

// Factory opens the stores that [Run] tests.
type Factory struct {
	// Open opens a store.
	Open func(ctx context.Context, config Config, opts backend.Options) (*logstore.Store, error)
	// Base begins the names of the files that a fold writes.
	Base string
	// Forgets says that the base is a [logstore.Emptier].
	Forgets bool
	// Foreign returns for a file of somebody else's format what an error calls it: damage to it is refused without
	// an offset, and parts of it may mean nothing. It returns "" for a file of the store's own.
	Foreign func(name string) string
}

// Config is how to open a store. Zero values stand for the backend's defaults.
type Config struct {
	Dir      string
	FS       disk.FS
	EpochMin statefun.Epoch
	Inline   bool

	SegmentBytes, FoldBytes, LogBytesMax, MemoryBytes int64
}

// tiny makes everything happen in small stores: segments of two records, a fold every few of them, and memory
// that is full at once.
func tiny(config Config) Config {
	config.SegmentBytes, config.FoldBytes, config.LogBytesMax, config.MemoryBytes = 12<<10, 20<<10, 80<<10, 1
	return config
}

type suite struct{ Factory }

// Run tests the stores of f. Its binary calls [Main].
func Run(t *testing.T, f Factory) {
	if f.Foreign == nil {
		f.Foreign = func(string) string { return "" }
	}
	s := suite{f}
	for _, test := range []struct {
		name string
		run  func(t *testing.T)
	}{
		{"conformance", s.conformance},
		{"after crashes", s.afterCrashes},
		{"forgets", s.forgets},
		{"crash anywhere", s.crashAnywhere},
		{"crash during recovery", s.crashDuringRecovery},
		{"fault anywhere", s.faultAnywhere},
		{"disk full", s.diskFull},
		{"read faults", s.readFaults},
		{"doubt halts", s.doubtHalts},
		{"read-only", s.readOnly},
		{"fenced during commit", s.fencedDuringCommit},
		{"fenced behind", s.fencedBehind},
		{"fold fails", s.foldFails},
		{"fold finds", s.foldFinds},
		{"beside a fold", s.besideFold},
		{"close beside a fold", s.closeBesideFold},
		{"fold is told to end", s.foldContext},
		{"scan beside folds", s.scanBesideFolds},
		{"flipped bytes", s.flippedBytes},
		{"flipped bytes, old witness", s.flippedBytesOldWitness},
		{"truncated files", s.truncatedFiles},
		{"missing files", s.missingFiles},
		{"lost tail of what is forgotten", s.lostTail},
		{"swapped", s.swapped},
		{"known epoch", s.epochMin},
		{"version", s.version},
		{"processes", s.processes},
		{"directory taken away", s.directoryTakenAway},
		{"not a directory", s.notADirectory},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t)
		})
	}
}

func (s suite) mustOpen(t *testing.T, fs disk.FS) *logstore.Store {
	t.Helper()
	return s.open(t, tiny(Config{FS: fs, Inline: true}))
}

func (s suite) open(t *testing.T, config Config) *logstore.Store {
	t.Helper()
	b, err := s.Open(t.Context(), config, Options)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (s suite) conformance(t *testing.T) {
	backendtest.Run(t, backendtest.Factory{
		Open: func(ctx context.Context, location string, opts backend.Options) (backend.Backend, error) {
			return lift(s.Open(ctx, tiny(Config{Dir: location}), opts))
		},
		Durable: true,
	})
}

// lift keeps a nil store from becoming a backend that is not nil.
func lift(b *logstore.Store, err error) (backend.Backend, error) {
	if err != nil {
		return nil, err
	}
	return b, nil
}

// Whatever a crash leaves of what was not synced, and however often the store tidies up, what was committed is
// there.
func (s suite) afterCrashes(t *testing.T) {
	for name, tt := range map[string]struct {
		survives disktest.Survives
		config   Config
	}{
		"lose, defaults":      {disktest.Lose, Config{}},
		"lose, tiny":          {disktest.Lose, tiny(Config{})},
		"keep, tiny":          {disktest.Keep, tiny(Config{})},
		"lose, tiny, inline":  {disktest.Lose, tiny(Config{Inline: true})},
		"keep, tiny segments": {disktest.Keep, Config{SegmentBytes: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			d := &disks{survives: tt.survives, disks: map[string]*disktest.Disk{}, open: map[string]int{}}
			backendtest.Run(t, d.factory(s, tt.config))
		})
	}
}
