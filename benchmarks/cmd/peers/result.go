// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"

	"github.com/millrace-io/millrace/benchmarks/rounds"
)

// result is one measurement.
type result struct {
	round     int
	cell      cell
	program   string
	perSecond float64
}

// median is the median of one program's measurements of one cell.
func median(results []result, c cell, program string) float64 {
	var values []float64
	for _, r := range results {
		if r.cell == c && r.program == program {
			values = append(values, r.perSecond)
		}
	}
	return rounds.Median(values)
}

// table shows the medians, in millions a second, and those of Millrace divided by those of the others.
func table(cells []cell, results []result) string {
	var b strings.Builder
	b.WriteString("| workload | keys |")
	for _, p := range programs {
		fmt.Fprintf(&b, " %s |", p.name)
	}
	for _, p := range programs[1:] {
		fmt.Fprintf(&b, " ÷ %s |", p.name)
	}
	b.WriteString("\n|" + strings.Repeat(" --- |", 1+2*len(programs)) + "\n")
	for _, c := range cells {
		fmt.Fprintf(&b, "| %s | %d |", c.workload, c.keys)
		for _, p := range programs {
			fmt.Fprintf(&b, " %.2f |", median(results, c, p.name)/1e6)
		}
		ours := median(results, c, millrace)
		for _, p := range programs[1:] {
			fmt.Fprintf(&b, " %.2f |", ours/median(results, c, p.name))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// raw is every single measurement, with what is needed to judge it.
func raw(results []result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# uniform keys, ids of 16 bytes, the load generator on the same cores; the seed is the round\n")
	fmt.Fprintf(&b, "%5s %-8s %9s %-14s %s\n", "round", "workload", "keys", "program", "messages/s")
	for _, r := range results {
		fmt.Fprintf(&b, "%5d %-8s %9d %-14s %.0f\n", r.round, r.cell.workload, r.cell.keys, r.program, r.perSecond)
	}
	return b.String()
}
