// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package memory

// Get returns zeroed memory.
func (p *Pages) Get(bytes int) []byte { return make([]byte, bytes) }

func (p *Pages) unmap() {}
