// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"

	"github.com/millrace-io/millrace/loadgen"
)

// bins is how many rates a line is drawn through. With more, it shows when samples were taken rather than what
// was done.
const bins = 100

func throughput(title string, curves []*loadgen.Curve) *plot.Plot {
	p := newPlot()
	p.Title.Text = title
	p.X.Label.Text = "seconds"
	p.Y.Label.Text = "per second"
	p.Y.Tick.Marker = plot.TickerFunc(thousands)
	for i, c := range curves {
		p.Y.Label.Text = c.Unit + " per second"
		add(p, i, c.Name, rates(c.Samples))
	}
	p.X.Min, p.Y.Min = 0, 0
	p.Y.Max *= 1.15 // Room for the legend.
	return p
}

// rates is how much was done in each bin, by the second, drawn at the bin's middle.
func rates(samples []loadgen.Sample) (xys plotter.XYs) {
	if len(samples) < 2 {
		return nil
	}
	last := samples[len(samples)-1].At
	from := samples[0]
	for _, s := range samples[1:] {
		// A bin ends with the first sample behind its end: there are none where nothing was sampled.
		if s.At-from.At < last/bins && s.At != last || s.At == from.At {
			continue
		}
		xys = append(xys, plotter.XY{
			X: (from.At + s.At).Seconds() / 2,
			Y: float64(s.Done-from.Done) / (s.At - from.At).Seconds(),
		})
		from = s
	}
	return xys
}

// thousands labels ticks with a unit instead of zeros.
func thousands(low, high float64) []plot.Tick {
	ticks := plot.DefaultTicks{}.Ticks(low, high)
	for i := range ticks {
		if ticks[i].Label != "" {
			ticks[i].Label = short(ticks[i].Value)
		}
	}
	return ticks
}
