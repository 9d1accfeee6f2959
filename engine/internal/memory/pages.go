// SPDX-License-Identifier: Apache-2.0

// Package memory gets memory for instance tables from the operating system, outside the garbage
// collector's heap, in huge pages where there are any.
package memory

import "sync"

// Pages is the memory of one engine. The zero value is ready. Get may be called from any goroutine.
type Pages struct {
	mu     sync.Mutex
	mapped [][]byte // Guarded by mu.
}

// Free gives all memory back. Nothing that Get returned may be used afterwards.
func (p *Pages) Free() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unmap()
	p.mapped = nil
}
