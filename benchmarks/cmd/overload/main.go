// SPDX-License-Identifier: Apache-2.0

// Command overload asks an engine for twice and for ten times of what it can do, and says what is left: of its rate,
// of its memory's bounds, and of its checkpoints' pace.
//
// The engine runs in a process of its own, with one shard, so that on two cores the other one is left for the door
// and the load. Functions hash each message a number of times and count it. Over HTTP, where a refusal costs both
// sides as much as any request, they hash it for long: else ten times as many requests as can be served would take
// more than the machine has. In process a refusal costs next to nothing, and they hash it a few times only; the last
// load there is one that never waits.
//
// What counts as throughput is what functions have run, not what the door has accepted: a queue that fills accepts more
// than is done.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/millrace-io/millrace/benchmarks/rounds"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// plan is what is asked for.
type plan struct {
	settings
	peak, overload          time.Duration
	hashes, hashesInProcess int
	only, out               string
	loadgen                 string // The command.
}

// load is one row of the table. Its rate is a multiple of the peak; 0: a closed loop, which finds the peak.
type load struct {
	name        string
	times       float64
	connections int
}

// flatOut is a multiple that nobody reaches.
const flatOut = 1e6

var (
	overHTTP  = []load{{"http: peak", 0, 64}, {"http: 2 ×", 2, 64}, {"http: 10 ×", 10, 512}}
	inProcess = []load{{name: "in process: peak"}, {name: "in process: 2 ×", times: 2}, {name: "in process: 10 ×", times: 10}, {name: "in process: flat out", times: flatOut}}
)

// sender puts a load on a server for a time.
type sender func(ctx context.Context, s *server, l load, rate float64, d time.Duration) (counts, error)

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) (code int) {
	if len(args) == 2 && args[0] == serveArg {
		if err := serve(args[1], stdin, stdout); err != nil {
			fmt.Fprintln(stderr, "overload:", err)
			return 1
		}
		return 0
	}
	p := plan{settings: settings{Keys: 10_000, BodyBytes: 1024}}
	set := flag.NewFlagSet("overload", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.DurationVar(&p.overload, "for", 2*time.Minute, "of each overload")
	set.DurationVar(&p.peak, "peak", 20*time.Second, "of the closed loop that finds the peak, after a fifth of that to warm up")
	set.StringVar(&p.Backend, "backend", "file", "file, or memory:kept")
	set.Int64Var(&p.QueueBytesMax, "queue", 16<<20, "the engine's QueueBytesMax")
	set.IntVar(&p.hashes, "hashes", 2000, "how often a message that comes over HTTP is hashed")
	set.IntVar(&p.hashesInProcess, "hashes-in-process", 14, "how often one that comes from the same process is")
	set.StringVar(&p.only, "only", "", "http or process: only over HTTP, or only in process")
	set.StringVar(&p.loadgen, "loadgen", "", "the command loadgen; built when empty")
	set.StringVar(&p.out, "out", filepath.Join("benchmarks", "results"), "folder for the raw output")
	if err := set.Parse(args); err != nil {
		return 2
	}
	const least = time.Second // For a few epochs.
	if set.NArg() > 0 || p.overload < least || p.peak < least || p.QueueBytesMax < 1 || p.hashes < 1 || p.hashesInProcess < 1 ||
		p.Backend != "file" && p.Backend != "memory:kept" || p.only != "" && p.only != "http" && p.only != "process" {
		fmt.Fprintln(stderr, "overload: want no arguments, -backend file or memory:kept, -only http or process, -for and -peak of 1s or more, -queue and -hashes above 0")
		return 2
	}
	missed, err := p.measure(ctx, stdout, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "overload:", err)
		return 1
	}
	for _, m := range missed {
		fmt.Fprintln(stderr, "overload: missed:", m)
		code = 1
	}
	return code
}

func (p plan) measure(ctx context.Context, stdout, stderr io.Writer) (missed []string, err error) {
	if p.loadgen == "" && p.only != "process" {
		dir, err := os.MkdirTemp("", "overload")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
		if p.loadgen, err = rounds.BuildLoadgen(ctx, dir); err != nil {
			return nil, err
		}
	}
	var rows []row
	var raw strings.Builder
	fmt.Fprintf(&raw, "# backend %s, queue %d bytes, %d keys, messages of %d bytes, hashed %d times over HTTP and %d in process; peak %v, overload %v each\n",
		p.Backend, p.QueueBytesMax, p.Keys, p.BodyBytes, p.hashes, p.hashesInProcess, p.peak, p.overload)
	progress := io.MultiWriter(&raw, stderr)
	if p.only != "process" {
		rows, err = p.run(ctx, overHTTP, p.hashes, p.request, progress)
	}
	if err == nil && p.only != "http" {
		var more []row
		more, err = p.run(ctx, inProcess, p.hashesInProcess, func(ctx context.Context, s *server, _ load, rate float64, d time.Duration) (counts, error) {
			return s.offer(ctx, rate, d)
		}, progress)
		rows = append(rows, more...)
	}
	if err != nil {
		return nil, err
	}
	summary := table(rows, p.QueueBytesMax)
	for _, r := range rows {
		missed = append(missed, r.misses(p.QueueBytesMax)...)
	}
	for _, m := range missed {
		summary += "\nMissed: " + m + ".\n"
	}
	name, err := rounds.Save(ctx, p.out, "overload", raw.String()+"\n"+summary)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(stderr, "raw output: %s\n", name)
	_, err = io.WriteString(stdout, summary)
	return missed, err
}

// run puts loads on one process, one after the other, the peak first.
func (p plan) run(ctx context.Context, loads []load, hashes int, send sender, progress io.Writer) (rows []row, err error) {
	s, err := p.start(ctx, hashes)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if _, err := send(ctx, s, loads[0], 0, p.peak/5); err != nil {
		return nil, fmt.Errorf("warm up: %w", err)
	}
	for _, l := range loads {
		if err := s.drained(ctx); err != nil {
			return nil, fmt.Errorf("before %s: %w", l.name, err)
		}
		d, rate := p.peak, 0.0
		if l.times > 0 {
			d, rate = p.overload, l.times*rows[0].executed
		}
		var c counts
		samples, err := s.during(ctx, func() (err error) {
			c, err = send(ctx, s, l, rate, d)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", l.name, err)
		}
		r := newRow(l, rate, c, samples)
		r.peak, r.rssAtPeak = r.executed, r.rss
		if len(rows) > 0 {
			r.peak, r.rssAtPeak = rows[0].executed, rows[0].rss
		}
		rows = append(rows, r)
		fmt.Fprintf(progress, "%-22s %.0f/s executed; %+v\n", l.name, r.executed, c)
	}
	return rows, nil
}

// request is a load over HTTP. The closed loop waits for answers, so that it never has more under way than it has
// connections; the others only until the engine has their messages.
func (p plan) request(ctx context.Context, s *server, l load, rate float64, d time.Duration) (counts, error) {
	to, method := "", "PUT"
	if rate == 0 {
		to, method = "/call", "POST"
	}
	out, err := rounds.Output(exec.CommandContext(ctx, p.loadgen, "http", "--json", "--url", "http://"+s.address+to+"/bench/worker/{key}",
		"--method", method, "--header", "Content-Type: application/vnd."+taskType.Typename(), "--body", string(p.body()),
		"--keys", strconv.Itoa(p.Keys), "--connections", strconv.Itoa(l.connections), "--rate", strconv.FormatFloat(rate, 'f', -1, 64),
		"--duration", d.String(), "--timeout", "5s"))
	if err != nil {
		return counts{}, err
	}
	return parseReport(out, d)
}
