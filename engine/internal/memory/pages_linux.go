// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"syscall"
	"unsafe"
)

const hugePage = 2 << 20

// Get returns zeroed memory. It asks the kernel for huge pages: a table of a million instances is far
// larger than what the processor can translate with small ones, and every cold instance would cost a
// walk of the page tables on top of its cache miss.
func (p *Pages) Get(bytes int) []byte {
	size := (bytes + hugePage - 1) &^ (hugePage - 1)
	// One page more, so that the region can begin at a huge page's boundary.
	b, err := syscall.Mmap(-1, 0, size+hugePage, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	if err != nil {
		return make([]byte, bytes) // No worse than running out of heap.
	}
	p.mu.Lock()
	p.mapped = append(p.mapped, b)
	p.mu.Unlock()
	start := int(-uintptr(unsafe.Pointer(&b[0])) & (hugePage - 1))
	b = b[start : start+size]
	_ = syscall.Madvise(b, syscall.MADV_HUGEPAGE) // Advice; a kernel without huge pages may refuse it.
	return b[:bytes:bytes]
}

func (p *Pages) unmap() {
	for _, b := range p.mapped {
		_ = syscall.Munmap(b)
	}
}
