// SPDX-License-Identifier: Apache-2.0

//go:build !race

package engine_test

// invocations is how many a test of endurance runs.
const invocations = 1_000_000
