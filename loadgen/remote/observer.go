// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"fmt"
	"sync"
	"time"

	"github.com/millrace-io/millrace/engine"
)

// observer counts the engine's requests. Its fields are guarded by mu.
type observer struct {
	mu        sync.Mutex
	requests  int64 // The handshake included.
	failures  int64
	failed    error // The first.
	measuring bool
	latency   latency
}

var _ engine.Observer = (*observer)(nil)

// Invoked implements engine.Observer.
func (o *observer) Invoked(_ engine.FunctionType, took time.Duration, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.requests++
	if err != nil {
		if o.failures++; o.failed == nil {
			o.failed = err
		}
	}
	if o.measuring {
		o.latency.record(took)
	}
}

// measure has latencies recorded, or not.
func (o *observer) measure(on bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.measuring = on
}

// count returns the requests so far; a failed one is an error, since it was done twice.
func (o *observer) count() (int64, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failed != nil {
		return 0, fmt.Errorf("%d of %d requests failed, the first with: %w", o.failures, o.requests, o.failed)
	}
	return o.requests, nil
}
