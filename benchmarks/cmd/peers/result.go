// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/millrace-io/millrace/benchmarks/rounds"
)

// measurement is one process. Value is what it measured: messages or instances a second, or bytes.
type measurement struct {
	Round   int      `json:"round"`
	Cell    string   `json:"cell"`
	Program string   `json:"program"`
	Value   float64  `json:"value,omitzero"`
	Error   string   `json:"error,omitzero"`
	Command []string `json:"command"`
}

// results is a whole run, as it is kept. Cells and programs are kept by name, so that files stay readable when
// there are others.
type results struct {
	Commit       string            `json:"commit"`
	Machine      rounds.Machine    `json:"machine"`
	Taken        string            `json:"taken"` // RFC 3339; when the run ended.
	Rounds       int               `json:"rounds"`
	Scale        float64           `json:"scale"`
	Versions     map[string]string `json:"versions"` // Of the programs that are modules.
	Durable      string            `json:"durable"`  // What the comparison of durable replies said, or why there is none.
	Measurements []measurement     `json:"measurements"`
}

// median is the median of one program's measurements of one cell, in the cell's unit; 0 when it has none.
func (r results) median(c cell, program string) float64 {
	var values []float64
	for _, m := range r.Measurements {
		if m.Cell == c.name && m.Program == program && m.Error == "" {
			values = append(values, c.unit().convert(m.Value))
		}
	}
	return rounds.Median(values)
}

// ratio is how many times better than one program another is in a cell: above 1 it wins. NaN when one of them has
// no measurement.
func (r results) ratio(c cell, program, other string) float64 {
	a, b := r.median(c, program), r.median(c, other)
	if a == 0 || b == 0 {
		return math.NaN()
	}
	if c.unit().lowerWins {
		return b / a
	}
	return a / b
}

// best is the framework that does best in a cell; "" when none has a measurement.
func (r results) best(c cell) (name string) {
	for _, p := range programs {
		if p.framework() && r.median(c, p.name) > 0 && (name == "" || r.ratio(c, p.name, name) > 1) {
			name = p.name
		}
	}
	return name
}

// latest reads the newest results of a folder: names have their time in them.
func latest(folder string) (r results, err error) {
	files, err := filepath.Glob(filepath.Join(folder, "peers-*.json"))
	if err != nil || len(files) == 0 {
		return r, fmt.Errorf("no results in %s: run make bench-peers first", folder)
	}
	name := slices.Max(files)
	text, err := os.ReadFile(name)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("%s: %w", name, err)
	}
	return r, nil
}
