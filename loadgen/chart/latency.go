// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"math"
	"strconv"

	"github.com/HdrHistogram/hdrhistogram-go"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"

	"github.com/millrace-io/millrace/loadgen"
)

// latencies is nil when there are none.
func latencies(curves []*loadgen.Curve) *plot.Plot {
	p := newPlot()
	p.X.Label.Text = "percentile"
	p.Y.Label.Text = "latency"
	p.X.Tick.Marker = plot.TickerFunc(percentiles)
	p.Y.Scale = plot.LogScale{}
	p.Y.Tick.Marker = plot.TickerFunc(durations)
	p.Legend.Left = true
	low, high := math.Inf(1), 0.0
	for i, c := range curves {
		if c.Latency == nil || c.Latency.TotalCount() == 0 {
			continue
		}
		line := tail(c.Latency)
		low, high = min(low, line[0].Y), max(high, line[len(line)-1].Y)
		add(p, i, c.Name, line)
	}
	if high == 0 {
		return nil
	}
	// Whole decades: on a logarithmic scale others are hard to read.
	p.Y.Min = math.Pow10(int(math.Floor(math.Log10(low))))
	p.Y.Max = math.Pow10(int(math.Floor(math.Log10(high))) + 1)
	p.X.Min = 0
	return p
}

// tail is latency, in nanoseconds, by the number of nines of the percentile: the place where a latency is drawn
// says how rare one as long is. It ends where there is a single value left.
func tail(h *hdrhistogram.Histogram) (xys plotter.XYs) {
	const steps = 20 // For each nine.
	most := math.Log10(float64(h.TotalCount()))
	for i := 0; ; i++ {
		nines := min(float64(i)/steps, most)
		xys = append(xys, plotter.XY{X: nines, Y: max(1, float64(h.ValueAtPercentile(100*(1-math.Pow(10, -nines)))))})
		if nines == most {
			break
		}
	}
	return append(xys, plotter.XY{X: most, Y: max(1, float64(h.Max()))})
}

// percentiles labels whole nines, and the median.
func percentiles(_, high float64) []plot.Tick {
	ticks := []plot.Tick{{Value: 0, Label: "0"}, {Value: math.Log10(2), Label: "50"}}
	for n := 1; float64(n) <= high; n++ {
		label := strconv.FormatFloat(100-math.Pow10(2-n), 'f', max(0, n-2), 64)
		ticks = append(ticks, plot.Tick{Value: float64(n), Label: label})
	}
	return ticks
}

// durations labels powers of ten of nanoseconds.
func durations(low, high float64) (ticks []plot.Tick) {
	units := []string{"ns", "µs", "ms", "s"}
	for n := int(math.Ceil(math.Log10(low) - 1e-9)); float64(n) <= math.Log10(high)+1e-9; n++ {
		u := min(n/3, len(units)-1)
		ticks = append(ticks, plot.Tick{Value: math.Pow10(n), Label: strconv.FormatFloat(math.Pow10(n-3*u), 'f', -1, 64) + " " + units[u]})
	}
	return ticks
}

// short writes a number with a unit instead of its zeros.
func short(x float64) string {
	for _, u := range []struct {
		of   float64
		name string
	}{{1e9, " G"}, {1e6, " M"}, {1e3, " k"}} {
		if math.Abs(x) >= u.of {
			return strconv.FormatFloat(x/u.of, 'g', 4, 64) + u.name
		}
	}
	return strconv.FormatFloat(x, 'g', 4, 64)
}
