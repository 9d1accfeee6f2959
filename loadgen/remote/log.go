// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"io"
	"sync"
)

// sharedLog is a writer for several goroutines: the run, the engine, and what copies from the second process.
type sharedLog struct {
	mu sync.Mutex
	w  io.Writer // Guarded by mu.
}

// Write implements io.Writer.
func (l *sharedLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}
