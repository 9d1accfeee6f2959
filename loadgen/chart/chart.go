// SPDX-License-Identifier: Apache-2.0

// Package chart draws what a load did: throughput over time, and latency by percentile.
package chart

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	_ "gonum.org/v1/plot/vg/vgimg" // Draws PNG,
	_ "gonum.org/v1/plot/vg/vgsvg" // and SVG.

	"github.com/millrace-io/millrace/loadgen"
)

// Size of a drawing.
const (
	width  = 20 * vg.Centimeter
	height = 18 * vg.Centimeter
)

// Check reports whether a plot can be written to a file, whose name says what it is.
func Check(path string) error {
	if _, err := format(path); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("plot: %w", err)
	}
	return f.Close()
}

func format(path string) (string, error) {
	switch ext := filepath.Ext(path); strings.ToLower(ext) {
	case ".svg":
		return "svg", nil
	case ".png":
		return "png", nil
	}
	return "", fmt.Errorf("plot: %q, want a file that ends in .svg or .png", path)
}

// Write draws curves, a line for each, and writes them to a file. Where no latencies were taken there is only the
// throughput.
func Write(path, title string, curves ...*loadgen.Curve) (err error) {
	kind, err := format(path)
	if err != nil {
		return err
	}
	plots := [][]*plot.Plot{{throughput(title, curves)}}
	if latency := latencies(curves); latency != nil {
		plots = append(plots, []*plot.Plot{latency})
	}
	canvas, err := draw.NewFormattedCanvas(width, height, kind)
	if err != nil {
		return fmt.Errorf("plot: %w", err)
	}
	tiles := draw.Tiles{Rows: len(plots), Cols: 1, PadX: vg.Millimeter, PadY: 8 * vg.Millimeter, PadTop: 2 * vg.Millimeter, PadBottom: 2 * vg.Millimeter, PadRight: 4 * vg.Millimeter}
	for i, row := range plot.Align(plots, tiles, draw.New(canvas)) {
		plots[i][0].Draw(row[0])
	}
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("plot: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriter(f)
	if _, err := canvas.WriteTo(w); err != nil {
		return fmt.Errorf("plot: %w", err)
	}
	return w.Flush()
}

// add adds a line, with the colour of its number.
func add(p *plot.Plot, number int, name string, xys plotter.XYs) {
	if len(xys) == 0 {
		return
	}
	// It refuses only an empty list, and numbers that none of these is.
	line, err := plotter.NewLine(xys)
	if err != nil {
		panic(err)
	}
	line.Color = plotutil.Color(number)
	line.Width = vg.Points(1.2)
	p.Add(line)
	if name != "" {
		p.Legend.Add(name, line)
	}
}

func newPlot() *plot.Plot {
	p := plot.New()
	p.Add(plotter.NewGrid())
	p.Legend.Top = true
	return p
}
