// SPDX-License-Identifier: Apache-2.0

//go:build race

package envelope

// race is set under the race detector, whose instrumentation allocates.
const race = true
