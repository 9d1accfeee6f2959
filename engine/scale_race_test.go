// SPDX-License-Identifier: Apache-2.0

//go:build race

package engine_test

// invocations is a tenth of the usual number, because the race detector makes each that much slower.
const invocations = 100_000
