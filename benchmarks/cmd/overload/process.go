// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"strconv"
	"strings"
)

// residentBytes is the process's memory; 0 where the system does not say.
func residentBytes() int64 {
	b, _ := os.ReadFile("/proc/self/statm") // Linux: total and resident size, in pages.
	return number(string(b), 1) * int64(os.Getpagesize())
}

// cpuSeconds is what the process has had of the processors; 0 where the system does not say.
func cpuSeconds() float64 {
	b, _ := os.ReadFile("/proc/self/stat")
	return parseCPU(string(b))
}

// parseCPU reads Linux's line about a process. Its second field is the name in parentheses, which may hold anything;
// the 14th and the 15th are what it has used, in hundredths of a second.
func parseCPU(stat string) float64 {
	const user, system, ticks = 14 - 3, 15 - 3, 100
	behind := stat[strings.LastIndexByte(stat, ')')+1:]
	return float64(number(behind, user)+number(behind, system)) / ticks
}

// number is a field of a line; 0 when it is none.
func number(line string, field int) (n int64) {
	if fields := strings.Fields(line); field < len(fields) {
		n, _ = strconv.ParseInt(fields[field], 10, 64)
	}
	return n
}
