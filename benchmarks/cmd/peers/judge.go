// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
)

// scaleJudged is from which scale on figures are judged. Shorter runs measure start-up more than work.
const scaleJudged = 0.5

// margin is by how much a program may miss what is known of it. Ratios vary by up to two from one machine, or one
// noisy hour, to another; a program that is set up badly misses by more than that.
const margin = 3

// known is how a program compares with plain Go in the same run, by cell: above 1 it does better.
type known struct {
	program, cell string
	ratio         float64
}

// judge reports the programs that are plainly below what they are known to reach, or nil.
func (r results) judge(cells []cell) error {
	if r.Scale < scaleJudged {
		return nil
	}
	var errs []error
	for _, k := range knownRatios {
		for _, c := range cells {
			if c.name != k.cell {
				continue
			}
			// Not a number when one of the two was not measured, which is reported elsewhere: no comparison holds.
			if got := r.ratio(c, k.program, plainGo); got < k.ratio/margin {
				errs = append(errs, fmt.Errorf("%s: %s reaches %.3g of plain Go, known is %.3g: it is set up badly, or there is a newer figure",
					k.cell, k.program, got, k.ratio))
			}
		}
	}
	return errors.Join(errs...)
}

// knownRatios were measured on 2 cores of an AMD EPYC with 24 GiB and Go 1.26, in November 2026, with the settings that
// the packages of the programs describe: million messages a second, divided by those of plain Go in the same run.
var knownRatios = []known{
	// Medians of several runs: the best framework of each workload.
	{"protoactor-go", "counter/1000", 15.0 / 72},
	{"protoactor-go", "counter/100000", 0.61 / 26},
	{"goakt", "counter/100000", 0.61 / 26},
	{"protoactor-go", "counter/1000000", 0.45 / 8.2},
	{"protoactor-go", "counter/zipf", 1.1 / 12},
	{"hollywood", "counter/hot", 15.7 / 78},
	{"protoactor-go", "relay/1000", 12.0 / 62},
	{"protoactor-go", "relay/100000", 0.75 / 25},
	// The others, in one round of this command with a quarter to a half of the messages.
	{"hollywood", "counter/1000", 5.8 / 66},
	{"ergo", "counter/1000", 2.2 / 66},
	{"goakt", "counter/1000", 1.3 / 66},
	{"hollywood", "counter/100000", 0.71 / 80},
	{"ergo", "counter/100000", 0.54 / 80},
	{"protoactor-go", "counter/hot", 9.3 / 111},
	{"ergo", "counter/hot", 4.6 / 111},
	{"goakt", "counter/hot", 2.8 / 111},
	{"hollywood", "relay/1000", 6.3 / 78},
	{"ergo", "relay/1000", 3.2 / 78},
	{"goakt", "relay/1000", 3.6 / 78},
	{"hollywood", "relay/100000", 0.7 / 49},
	{"ergo", "relay/100000", 0.52 / 49},
	{"goakt", "relay/100000", 0.87 / 49},
	{"hollywood", "counter/1000000", 0.26 / 4.2},
	{"ergo", "counter/1000000", 0.11 / 4.2},
	{"goakt", "counter/1000000", 0.47 / 4.2},
	{"hollywood", "counter/zipf", 2.2 / 36},
	{"ergo", "counter/zipf", 0.69 / 36},
	{"goakt", "counter/zipf", 1.4 / 36},
	{"protoactor-go", "relay/1000000", 0.4 / 7.6},
	{"hollywood", "relay/1000000", 0.78 / 7.6},
	{"ergo", "relay/1000000", 0.54 / 7.6},
	{"goakt", "relay/1000000", 0.73 / 7.6},
}
