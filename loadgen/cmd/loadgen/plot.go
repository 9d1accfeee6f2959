// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/spf13/pflag"

	"github.com/millrace-io/millrace/loadgen"
	"github.com/millrace-io/millrace/loadgen/chart"
)

// plotFile is the flag --plot: a file to draw to, or none.
type plotFile string

func (p *plotFile) flag(set *pflag.FlagSet) {
	set.StringVar((*string)(p), "plot", "", "draw throughput over time, and latency by percentile, to a file that ends in .svg or .png")
}

// check refuses a file that cannot be written, before anything is started.
func (p plotFile) check() error {
	if p == "" {
		return nil
	}
	return chart.Check(string(p))
}

// curve is what a run fills in, or nil when nothing is drawn.
func (p plotFile) curve(name, unit string) *loadgen.Curve {
	if p == "" {
		return nil
	}
	return &loadgen.Curve{Name: name, Unit: unit}
}

// write draws what runs have filled in.
func (p plotFile) write(title string, curves ...*loadgen.Curve) error {
	if p == "" {
		return nil
	}
	return chart.Write(string(p), title, curves...)
}
