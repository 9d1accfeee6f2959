// SPDX-License-Identifier: Apache-2.0

//go:build race

package driver

// mostTicks is how many epochs end on the interval: the race detector makes everything slower.
const mostTicks = 0
