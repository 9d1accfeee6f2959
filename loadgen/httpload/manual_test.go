// SPDX-License-Identifier: Apache-2.0

package httpload

import (
	"context"
	"sync"
	"time"
)

// manual is a clock that goes on when it is told to.
type manual struct {
	mu      sync.Mutex
	at      time.Duration
	changed chan struct{} // Closed by the next advance.
}

func newManual() *manual { return &manual{changed: make(chan struct{})} }

func (m *manual) now() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.at
}

func (m *manual) advance(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.at += max(d, 0)
	close(m.changed)
	m.changed = make(chan struct{})
}

func (m *manual) until(ctx context.Context, moment time.Duration) error {
	for {
		m.mu.Lock()
		at, changed := m.at, m.changed
		m.mu.Unlock()
		if at >= moment {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
