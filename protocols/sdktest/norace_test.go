// SPDX-License-Identifier: Apache-2.0

//go:build !race

package sdktest

// race is whether the race detector is on, with which all takes ten times as long.
const race = false
