// SPDX-License-Identifier: Apache-2.0

// Command peers compares Millrace with plain Go and with protoactor-go: the same workloads, the same ids,
// the same machine, in the same minutes.
//
// Every measurement is a process of its own, so that no program inherits another one's heap, and the
// programs take turns, so that a slow minute of the machine hits all of them. The median of the rounds
// counts. Millrace is measured as it ships: by the command loadgen, which is built first.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/millrace-io/millrace/benchmarks/rounds"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (code int) {
	if len(args) > 0 && args[0] == childArg {
		return child(args[1:], stdout, stderr)
	}
	set := flag.NewFlagSet("peers", flag.ContinueOnError)
	set.SetOutput(stderr)
	count := set.Int("rounds", 5, "how often everything is measured; medians are reported")
	scale := set.Float64("scale", 1, "scale of the message counts; below 1 the run is shorter and says less")
	keyList := set.String("keys", "1000,100000,1000000", "numbers of keys")
	loadgen := set.String("loadgen", "", "the command loadgen; built when empty")
	out := set.String("out", filepath.Join("benchmarks", "results"), "folder for the raw output")
	if err := set.Parse(args); err != nil {
		return 2
	}
	keyCounts, err := parseKeyCounts(*keyList)
	if err != nil {
		fmt.Fprintln(stderr, "peers:", err)
		return 2
	}
	if *count < 1 || *scale <= 0 || *scale > 100 || set.NArg() > 0 {
		fmt.Fprintln(stderr, "peers: want no arguments, -rounds of at least 1 and -scale above 0, up to 100")
		return 2
	}
	if err := compare(ctx, *count, plan(keyCounts, *scale), *loadgen, *out, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "peers:", err)
		return 1
	}
	return 0
}

func compare(ctx context.Context, count int, cells []cell, loadgen, out string, stdout, stderr io.Writer) error {
	if loadgen == "" {
		dir, err := os.MkdirTemp("", "peers")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		if loadgen, err = rounds.BuildLoadgen(ctx, dir); err != nil {
			return err
		}
	}
	var results []result
	for round := 1; round <= count; round++ {
		for _, c := range cells {
			for _, p := range programs {
				perSecond, err := p.measure(ctx, loadgen, c, uint64(round))
				if err != nil {
					return fmt.Errorf("round %d: %s: %s at %d keys: %w", round, p.name, c.workload, c.keys, err)
				}
				results = append(results, result{round, c, p.name, perSecond})
				fmt.Fprintf(stderr, "round %d of %d: %-7s %9d keys  %-13s %9.3f million/s\n", round, count, c.workload, c.keys, p.name, perSecond/1e6)
			}
		}
	}
	name, err := rounds.Save(ctx, out, "peers", raw(results)+"\n"+table(cells, results))
	if err != nil {
		return err
	}
	fmt.Fprintf(stderr, "raw output: %s\n", name)
	_, err = io.WriteString(stdout, table(cells, results))
	return err
}
