// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/millrace-io/millrace/benchmarks/rounds"
)

// options say what to compare.
type options struct {
	cells          []cell
	durable        bool
	rounds         int
	scale          float64
	out            string
	stdout, stderr io.Writer
}

// compare measures, prints, keeps and judges, in this order: whoever has waited gets the figures, good or bad.
func (o options) compare(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "peers")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	r := results{Rounds: o.rounds, Scale: o.scale}
	var interrupted error
	if len(o.cells) > 0 {
		commands, versions, err := build(ctx, dir)
		if err != nil {
			return err
		}
		r.Versions = versions
		if r.Measurements, interrupted = o.measureAll(ctx, commands); len(r.Measurements) == 0 {
			return interrupted
		}
	}
	var durableErr error
	if o.durable && interrupted == nil {
		r.Durable, durableErr = durable(ctx, dir, o)
	}
	ctx = context.WithoutCancel(ctx) // What has been measured is kept.
	r.Commit, r.Machine, r.Taken = rounds.Commit(ctx), rounds.ThisMachine(), time.Now().UTC().Format(time.RFC3339)
	saved := o.save(ctx, r)
	io.WriteString(o.stdout, r.tables(o.cells))
	return errors.Join(interrupted, saved, durableErr, r.failures(), r.judge(o.cells))
}

// measureAll goes on when a program fails, and returns what there is when ctx is over: the others are worth having,
// and an hour would be lost.
func (o options) measureAll(ctx context.Context, commands map[string]string) (all []measurement, err error) {
	for round := 1; round <= o.rounds; round++ {
		for _, c := range o.cells {
			for _, p := range programs {
				m := p.measure(ctx, commands[p.name], c, uint64(round))
				if err := ctx.Err(); err != nil {
					return all, err
				}
				all = append(all, m)
				io.WriteString(o.stderr, m.line(c))
			}
		}
	}
	return all, nil
}

// save writes what was measured for people, for programs and as a picture, under one name.
func (o options) save(ctx context.Context, r results) error {
	text := r.raw(o.cells) + "\n" + r.tables(o.cells)
	name, err := rounds.Save(ctx, o.out, "peers", text)
	if err != nil {
		return err
	}
	base := strings.TrimSuffix(name, ".txt")
	var raw bytes.Buffer
	encoder := json.NewEncoder(&raw)
	encoder.SetIndent("", " ")
	if err := errors.Join(encoder.Encode(r), os.WriteFile(base+".json", raw.Bytes(), 0o644), r.plot(o.cells, base+".svg")); err != nil {
		return err
	}
	fmt.Fprintf(o.stderr, "results: %s.txt, .json, .svg\n", base)
	return nil
}

// failures reports the measurements that failed, or nil.
func (r results) failures() error {
	var errs []error
	for _, m := range r.Measurements {
		if m.Error != "" {
			errs = append(errs, fmt.Errorf("round %d: %s: %s: %s", m.Round, m.Cell, m.Program, m.Error))
		}
	}
	return errors.Join(errs...)
}
