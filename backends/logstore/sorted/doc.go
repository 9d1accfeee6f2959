// SPDX-License-Identifier: Apache-2.0

// Package sorted holds changes in the order of their key groups and keys: in memory while they are gathered
// ([Memtable]), and merged with what a base holds ([Merge]). There is at most one change of a key in each, the
// latest; a delete stays until nothing older is left that it could delete.
package sorted

import "github.com/millrace-io/millrace/engine/backend"

// Source yields changes in ascending order.
type Source interface {
	// Head returns the change at which the source stands, nil behind the last. It is valid until Advance.
	Head() *backend.Change
	// Advance goes to the next change. After an error the source is only closed.
	Advance() error
	// Close gives up what the source holds.
	Close()
}
