// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// tables is what was measured, and the comparison of durable replies.
func (r results) tables(cells []cell) (text string) {
	if len(r.Measurements) > 0 {
		text = r.table(cells)
	}
	if text != "" && r.Durable != "" {
		text += "\n"
	}
	return text + r.Durable
}

// table shows the medians of the cells that were measured, and how Millrace compares: × 2 is twice as good,
// whichever way the unit goes.
func (r results) table(cells []cell) string {
	var b strings.Builder
	b.WriteString("| workload | unit |")
	for _, p := range programs {
		fmt.Fprintf(&b, " %s |", p.name)
	}
	b.WriteString(" best framework | to it | to plain Go |\n|" + strings.Repeat(" --- |", 5+len(programs)) + "\n")
	for _, c := range cells {
		if !r.measured(c) {
			continue
		}
		fmt.Fprintf(&b, "| %s | %s |", c.title, c.unit().name)
		for _, p := range programs {
			fmt.Fprintf(&b, " %s |", c.show(r.median(c, p.name)))
		}
		best := r.best(c)
		fmt.Fprintf(&b, " %s | %s | %s |\n", orDash(best), times(r.ratio(c, millrace, best)), times(r.ratio(c, millrace, plainGo)))
	}
	return b.String()
}

func (r results) measured(c cell) bool {
	for _, m := range r.Measurements {
		if m.Cell == c.name {
			return true
		}
	}
	return false
}

// show is a figure of a cell, in the cell's unit; a dash when there is none.
func (c cell) show(shown float64) string {
	if shown == 0 {
		return "–"
	}
	return strconv.FormatFloat(shown, 'f', c.unit().decimals(shown), 64)
}

func times(ratio float64) string {
	switch {
	case math.IsNaN(ratio):
		return "–"
	case ratio < 9.95:
		return fmt.Sprintf("× %.2g", ratio)
	default:
		return fmt.Sprintf("× %.0f", ratio)
	}
}

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

// raw is every single measurement.
func (r results) raw(cells []cell) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# ids of 16 bytes, epochs every 100 ms, the load generator on the same cores; the seed is the round\n")
	fmt.Fprintf(&b, "# rounds: %d, scale of the message counts: %g\n", r.Rounds, r.Scale)
	for _, p := range programs {
		if v := r.Versions[p.name]; v != "" {
			fmt.Fprintf(&b, "# %s: %s %s\n", p.name, p.module, v)
		}
	}
	fmt.Fprintf(&b, "%5s %-16s %-14s %12s %s\n", "round", "workload", "program", "measured", "unit")
	for _, m := range r.Measurements {
		for _, c := range cells {
			if c.name == m.Cell {
				b.WriteString(m.line(c))
			}
		}
	}
	return b.String()
}

// line is one measurement.
func (m measurement) line(c cell) string {
	if m.Error != "" {
		return fmt.Sprintf("%5d %-16s %-14s failed: %s\n", m.Round, m.Cell, m.Program, strings.ReplaceAll(m.Error, "\n", " / "))
	}
	return fmt.Sprintf("%5d %-16s %-14s %12.3f %s\n", m.Round, m.Cell, m.Program, c.unit().convert(m.Value), c.unit().name)
}
