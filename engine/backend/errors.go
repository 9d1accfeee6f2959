// SPDX-License-Identifier: Apache-2.0

package backend

import "errors"

// The errors that a caller branches on. The first three stop the process: doubt halts.
var (
	// ErrFenced is returned once another generation owns the store.
	ErrFenced = errors.New("backend: fenced by another generation")
	// ErrCorrupt is returned when what is stored, or handed over, is damaged or missing.
	ErrCorrupt = errors.New("backend: corrupt")
	// ErrSync is returned when making data durable failed. It is never tried again: the operating
	// system may have dropped what it could not write.
	ErrSync = errors.New("backend: sync failed")
	// ErrEpochOrder is returned by Commit for an epoch that is not greater than the latest.
	ErrEpochOrder = errors.New("backend: epoch out of order")
	// ErrMismatch is returned by Open for a store of another application or number of key groups.
	ErrMismatch = errors.New("backend: store belongs to another application")
)
