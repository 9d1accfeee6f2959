// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

// Package prefetch asks the processor for cache lines before they are needed.
//
// A load of a cold line holds up everything behind it for some hundred nanoseconds, once the processor's window of
// instructions is full. A prefetch does not: it is done with as soon as it is issued, and dozens are under way at a
// time. Go has no such instruction outside the runtime, hence the few lines of assembly, which take many addresses
// in one call.
package prefetch

// Lines fetches the cache line at each of the first n addresses, n > 0. They may be any.
//
//go:noescape
func Lines(first *uintptr, n int)
