// SPDX-License-Identifier: Apache-2.0

// Command peers compares Millrace with plain Go and with Go's actor frameworks: the same workloads, the same ids,
// the same machine, in the same minutes.
//
// Every measurement is a process of its own, so that no program inherits another one's heap, and the programs
// take turns, so that a slow minute of the machine hits all of them. The median of the rounds counts. Millrace is
// measured as it ships: by the command loadgen. All of them are built first. With node and npm there, cmd/durable
// follows, which compares durable replies with those of Restate.
//
// It prints one table and writes every measurement, with the command line, the machine and the commit, to a
// folder. It fails when a program failed, or when one is far below what it is known to reach: then it was set up
// badly, and winning against it would mean nothing.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (code int) {
	o := options{stdout: stdout, stderr: stderr}
	set := flag.NewFlagSet("peers", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.IntVar(&o.rounds, "rounds", 5, "how often everything is measured; medians are reported")
	set.Float64Var(&o.scale, "scale", 1, "scale of the message counts; below 1 the run is shorter and says less")
	only := set.String("only", "", "measure the workloads whose names match this expression: "+names(plan(1))+", "+durableName)
	set.StringVar(&o.out, "out", filepath.Join("benchmarks", "results"), "folder for the results")
	readme := set.Bool("readme", false, "measure nothing: write the newest results into README.md")
	if err := set.Parse(args); err != nil {
		return 2
	}
	chosen, err := regexp.Compile(*only)
	if err == nil && (o.rounds < 1 || !(o.scale > 0 && o.scale <= 100) || set.NArg() > 0) {
		err = fmt.Errorf("want no arguments, -rounds of at least 1 and -scale above 0, up to 100")
	}
	if err == nil {
		o.cells, o.durable = selected(plan(o.scale), chosen), chosen.MatchString(durableName)
		if len(o.cells) == 0 && !o.durable {
			err = fmt.Errorf("-only %q matches none of %s, %s", *only, names(plan(1)), durableName)
		}
	}
	if err != nil {
		fmt.Fprintln(stderr, "peers:", err)
		return 2
	}
	if *readme {
		err = writeReadme("README.md", o.out)
	} else {
		err = o.compare(ctx)
	}
	if err != nil {
		fmt.Fprintln(stderr, "peers:", err)
		return 1
	}
	return 0
}

func names(cells []cell) (list string) {
	for i, c := range cells {
		if i > 0 {
			list += ", "
		}
		list += c.name
	}
	return list
}
