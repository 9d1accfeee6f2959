// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"image/color"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Colours that also those can tell apart who do not see all of them (Okabe and Ito's), and shapes beside.
var (
	colours = []color.RGBA{
		{0xD5, 0x5E, 0x00, 0xFF},
		{0x00, 0x00, 0x00, 0xFF},
		{0x00, 0x72, 0xB2, 0xFF},
		{0x00, 0x9E, 0x73, 0xFF},
		{0xCC, 0x79, 0xA7, 0xFF},
		{0xE6, 0x9F, 0x00, 0xFF},
	}
	shapes = []draw.GlyphDrawer{
		draw.CircleGlyph{}, draw.BoxGlyph{}, draw.PyramidGlyph{}, draw.RingGlyph{}, draw.SquareGlyph{}, draw.TriangleGlyph{},
	}
)

// plot draws the rates that were measured, one mark for each program. The axis is logarithmic: with bars from 0
// on, nobody would see the frameworks. Without rates there is nothing to draw, and no file.
func (r results) plot(cells []cell, file string) error {
	var shown []cell
	for _, c := range cells {
		if c.unit().name == million.name && r.median(c, millrace) > 0 {
			shown = append(shown, c)
		}
	}
	if len(shown) == 0 {
		return nil
	}
	p := plot.New()
	p.Title.Text = "Million messages per second"
	p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	p.Legend.Top = true
	labels := make([]string, len(shown))
	for i, c := range shown {
		labels[i] = strings.ReplaceAll(c.title, ", ", "\n")
	}
	p.NominalX(labels...)
	grid := plotter.NewGrid()
	grid.Vertical.Width = 0
	p.Add(grid)
	for i, program := range programs {
		var marks plotter.XYs
		for x, c := range shown {
			if y := r.median(c, program.name); y > 0 {
				marks = append(marks, plotter.XY{X: float64(x), Y: y})
			}
		}
		if len(marks) == 0 {
			continue
		}
		scatter, err := plotter.NewScatter(marks)
		if err != nil {
			return fmt.Errorf("plot: %s: %w", program.name, err)
		}
		scatter.GlyphStyle = draw.GlyphStyle{Color: colours[i%len(colours)], Radius: vg.Points(4), Shape: shapes[i%len(shapes)]}
		p.Add(scatter)
		p.Legend.Add(program.name, scatter)
	}
	p.Y.Min, p.Y.Max = p.Y.Min*0.7, p.Y.Max*1.4      // Room for whole marks.
	p.X.Min, p.X.Max = -0.5, float64(len(shown))+0.5 // Room for the legend at the right.
	return p.Save(vg.Length(len(shown)+2)*2.6*vg.Centimeter, 11*vg.Centimeter, file)
}
