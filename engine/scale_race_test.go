// SPDX-License-Identifier: Apache-2.0

//go:build race

package engine_test

// A tenth of the usual numbers, because the race detector makes everything that much slower.
const (
	invocations  = 100_000
	propertyRuns = 1
)
