// SPDX-License-Identifier: Apache-2.0

//go:build !race

package driver

// mostTicks is how many epochs end on the interval.
const mostTicks = 2
