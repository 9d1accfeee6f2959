// SPDX-License-Identifier: Apache-2.0

package logstore

import (
	"errors"
	"fmt"
	"math"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"

	"github.com/millrace-io/millrace/backends/logstore/disk"
	"github.com/millrace-io/millrace/backends/logstore/format"
)

// Config is how a backend opens a store. Its own configuration explains the fields to users.
type Config struct {
	// Name is the backend's, for errors.
	Name string
	Kind Kind

	Dir string
	// FS is used instead of Dir, if it is not nil. The store closes it.
	FS disk.FS
	// EpochMin is an epoch that is known to have been committed.
	EpochMin statefun.Epoch

	// SegmentBytes is the length at which the log begins another segment.
	SegmentBytes int64
	// FoldAt is the length of the log from which on it is folded into the base.
	FoldAt Length
	// Max is the length of the log at which commits wait.
	Max Length
	// MemoryBytes bounds the memory in which a fold gathers changes.
	MemoryBytes int64
	// Inline does everything within Commit.
	Inline bool

	// NewID makes the number of a new store, at random if it is nil.
	NewID func() format.StoreID
}

// Length is how much of the log there is that is not in the base. As a limit it is reached when either is.
type Length struct {
	Bytes   int64
	Records uint64 // One for each epoch, and for each generation.
}

// Endless is a number of records that is no limit.
const Endless = math.MaxUint64

func (l Length) reaches(limit Length) bool {
	return l.Bytes >= limit.Bytes || l.Records >= limit.Records
}

// Check returns everything that is wrong with options and with limits, which are shown by name.
func Check(opts backend.Options, dir string, fs disk.FS, limits ...Limit) error {
	var problems []error
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if dir == "" && fs == nil {
		problem("directory: empty, want a path")
	}
	for i, l := range limits {
		if l.Value < 0 {
			problem("%s: %d, want a positive number", l.Name, l.Value)
		}
		if l.AtLeastPrevious && l.Value < limits[i-1].Value {
			problem("%s: %d, want at least %s: %d", l.Name, l.Value, limits[i-1].Name, limits[i-1].Value)
		}
	}
	if opts.Application == "" {
		problem("application: empty, want a name")
	}
	if opts.KeyGroups < 1 || opts.KeyGroups > statefun.KeyGroupsMax {
		problem("key groups: %d, want 1 to %d", opts.KeyGroups, statefun.KeyGroupsMax)
	}
	return errors.Join(problems...)
}

// Limit is a number of a configuration.
type Limit struct {
	Name            string
	Value           int64
	AtLeastPrevious bool
}
