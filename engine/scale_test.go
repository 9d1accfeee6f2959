// SPDX-License-Identifier: Apache-2.0

//go:build !race

package engine_test

const (
	// invocations is how many a test of endurance runs.
	invocations = 1_000_000
	// propertyRuns is how often rapid looks for a counterexample, a hundred tries each.
	propertyRuns = 10
)
