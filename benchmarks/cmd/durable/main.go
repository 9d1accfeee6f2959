// SPDX-License-Identifier: Apache-2.0

// Command durable compares Millrace with Restate: an HTTP request that adds to a counter, and whose reply says
// the new count once that is on the disk. It is the same client, with the same number of connections, each of
// which sends the next request when it has its reply; the same keys; the same machine, in the same minutes. Each
// measurement starts its server anew, on an empty store.
//
// Millrace counts in a function of its own process, as a Go program embeds it; Restate in an object of a Node
// process, as its TypeScript SDK is used. Both sync every reply to the disk before they give it. Restate, the
// version that benchmarks/restate/package-lock.json says, is installed with npm into a temporary folder.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/millrace-io/millrace/benchmarks/rounds"
	"github.com/millrace-io/millrace/loadgen/keys"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (code int) {
	if len(args) == 2 && args[0] == serveArg {
		if err := serve(args[1], os.Stdin, stdout); err != nil {
			fmt.Fprintln(stderr, err)
			return 1
		}
		return 0
	}
	set := flag.NewFlagSet("durable", flag.ContinueOnError)
	set.SetOutput(stderr)
	count := set.Int("rounds", 3, "how often everything is measured; medians are reported")
	only := set.String("programs", "millrace,restate", "what is measured")
	l := load{}
	set.DurationVar(&l.duration, "duration", 10*time.Second, "of one measurement, after a fifth of that to warm up")
	set.IntVar(&l.connections, "connections", 64, "connections of the client")
	set.IntVar(&l.keys, "keys", 10_000, "number of counters")
	source := set.String("restate", filepath.Join("benchmarks", "restate"), "folder with what npm is to install")
	out := set.String("out", filepath.Join("benchmarks", "results"), "folder for the raw output")
	if err := set.Parse(args); err != nil {
		return 2
	}
	chosen, err := parsePrograms(*only, *source)
	if err == nil && (*count < 1 || set.NArg() > 0 || l.duration <= 0 || l.connections < 1 || l.keys < 1 || l.keys > keys.KeysMax) {
		err = fmt.Errorf("want no arguments, and -rounds, -duration, -connections and -keys above 0")
	}
	if err != nil {
		fmt.Fprintln(stderr, "durable:", err)
		return 2
	}
	if err := compare(ctx, *count, chosen, l, *out, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "durable:", err)
		return 1
	}
	return 0
}

func parsePrograms(names, source string) (chosen []program, err error) {
	all := []program{millrace{}, &restate{source: source}}
next:
	for name := range strings.SplitSeq(names, ",") {
		for _, p := range all {
			if p.name() == name {
				chosen = append(chosen, p)
				continue next
			}
		}
		return nil, fmt.Errorf("-programs: %q, want millrace, restate or both with a comma between them", name)
	}
	return chosen, nil
}

// program is one of those that are compared.
type program interface {
	name() string
	// install gets the program ready to start, in a folder of its own.
	install(ctx context.Context, dir string) error
	// start starts it with an empty store in a folder. stop ends it.
	start(ctx context.Context, dir string) (t target, stop func() error, err error)
}

func compare(ctx context.Context, count int, programs []program, l load, out string, stdout, stderr io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "durable")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for _, p := range programs {
		home := filepath.Join(dir, p.name())
		if err := os.Mkdir(home, 0o755); err != nil {
			return err
		}
		if err := p.install(ctx, home); err != nil {
			return fmt.Errorf("%s: install: %w", p.name(), err)
		}
	}
	results := map[string][]result{}
	var raw strings.Builder
	fmt.Fprintf(&raw, "# %d connections, %d keys, %v each\n%5s %-9s %12s %9s %9s %9s\n",
		l.connections, l.keys, l.duration, "round", "program", "requests/s", "p50 ms", "p99 ms", "max ms")
	for round := 1; round <= count; round++ {
		for _, p := range programs {
			r, err := measure(ctx, p, filepath.Join(dir, p.name(), fmt.Sprint("store-", round)), l, uint64(round))
			if err != nil {
				return fmt.Errorf("round %d: %s: %w", round, p.name(), err)
			}
			results[p.name()] = append(results[p.name()], r)
			line := fmt.Sprintf("%5d %-9s %12.0f %9.2f %9.2f %9.2f\n", round, p.name(), r.perSecond, r.p50, r.p99, r.most)
			raw.WriteString(line)
			io.WriteString(stderr, line)
		}
	}
	summary := table(programs, results)
	name, err := rounds.Save(ctx, out, "durable", raw.String()+"\n"+summary)
	if err != nil {
		return err
	}
	fmt.Fprintf(stderr, "raw output: %s\n", name)
	_, err = io.WriteString(stdout, summary)
	return err
}

func measure(ctx context.Context, p program, store string, l load, seed uint64) (r result, err error) {
	if err := os.Mkdir(store, 0o755); err != nil {
		return result{}, err
	}
	t, stop, err := p.start(ctx, store)
	if err != nil {
		return result{}, err
	}
	r, err = l.run(ctx, t, seed)
	if stopped := stop(); err == nil {
		err = stopped
	}
	return r, err
}

// table shows the medians, and the last program's divided into the others'.
func table(programs []program, results map[string][]result) string {
	median := func(p program, of func(result) float64) float64 {
		var values []float64
		for _, r := range results[p.name()] {
			values = append(values, of(r))
		}
		return rounds.Median(values)
	}
	perSecond := func(r result) float64 { return r.perSecond }
	last := programs[len(programs)-1]
	var b strings.Builder
	fmt.Fprintf(&b, "| program | requests/s | p50 ms | p99 ms | ÷ %s |\n| --- | --- | --- | --- | --- |\n", last.name())
	for _, p := range programs {
		fmt.Fprintf(&b, "| %s | %.0f | %.2f | %.2f | %.1f |\n", p.name(), median(p, perSecond),
			median(p, func(r result) float64 { return r.p50 }), median(p, func(r result) float64 { return r.p99 }),
			median(p, perSecond)/median(last, perSecond))
	}
	return b.String()
}
