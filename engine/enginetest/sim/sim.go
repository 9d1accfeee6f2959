// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/internal/bridge"
	"github.com/millrace-io/millrace/engine/internal/clock"
	"github.com/millrace-io/millrace/engine/statefun"
)

// Case is everything that a run depends on.
type Case struct {
	Config  Config
	Program Program
	// Schedule decides who takes the next turn. It is used up by a run.
	Schedule Choices
}

// Seed draws a case in which at least so many messages take effect.
func Seed(seed uint64, messages int) Case {
	c := rand.New(rand.NewPCG(seed, 0))
	config := DrawConfig(c)
	return Case{Config: config, Program: DrawProgram(c, config, messages), Schedule: c}
}

// Options are what a run does not depend on.
type Options struct {
	// Backend opens an empty store, which the run closes; nil runs a volatile engine.
	Backend func(backend.Options) (backend.Backend, error)
	// Log gets a line for everything that happens; nil logs nothing.
	Log io.Writer
}

// Result says what a run has done.
type Result struct {
	Trace       uint64 // The same for every run of the same case.
	Invocations int    // That took effect.
	Failures    int    // That left no trace.
	Cancelled   int    // Delayed messages.
	Skipped     int    // Messages that addresses were suspended for.
	Requests    int    // To functions elsewhere.
	Records     int
	Epochs      int
	Turns       int
}

// String returns the result on one line.
func (r Result) String() string {
	return fmt.Sprintf("%d invocations, %d failures, %d cancelled, %d skipped, %d requests, %d records, %d epochs, %d turns, trace %016x",
		r.Invocations, r.Failures, r.Cancelled, r.Skipped, r.Requests, r.Records, r.Epochs, r.Turns, r.Trace)
}

// run is a case that is being run.
type run struct {
	Case     Case
	options  Options
	schedule Choices

	app      *bridge.Application
	clock    *clock.Virtual
	first    statefun.Epoch
	model    *model
	sources  sources
	sinks    []*sink
	far      *far
	recorder *recorder
	slots    [len(kinds)][]slot
	doors    []*root               // Events that are still to come in through doors.
	resumed  []address             // Those that somebody has asked to be resumed.
	stored   map[address][]*uint64 // States as of the last commit.
	named    map[[2]uint64]bool    // Records that have left, by epoch and index.

	inTurn      [shardsMax]bool // The shards in the middle of their turn: more than one when interrupted.
	interrupted bool
	inEpochs    bool

	trace     trace
	turns     int
	violation error
}

// start is when runs begin, in engine time.
const start = 1_000_000

// Run runs the case to its end and returns the first violation of what package sim checks.
func (c Case) Run(o Options) (result Result, err error) {
	r := &run{
		Case: c, options: o, schedule: c.Schedule, clock: clock.NewVirtual(start), model: newModel(),
		stored: map[address][]*uint64{}, named: map[[2]uint64]bool{},
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
		if closed := r.close(); err == nil {
			err = closed
		}
		if err != nil {
			err = fmt.Errorf("%w\n\twith %+v", err, c.Config)
		}
		result = r.result()
	}()
	r.far = &far{run: r}
	if err := r.assemble(); err != nil {
		return result, err
	}
	r.anyOrder()
	if r.violation == nil {
		r.heal()
	}
	if r.violation == nil {
		r.violate(r.checkEnd())
	}
	return result, r.violation
}

func (r *run) close() (err error) {
	if r.recorder != nil {
		err = r.recorder.Close()
	}
	if r.app != nil {
		r.app.Memory.Free()
	}
	return err
}

func (r *run) result() Result {
	if r.app == nil {
		return Result{}
	}
	epochs, _ := r.app.Epochs.Committed()
	return Result{
		Trace: uint64(r.trace), Invocations: r.model.invocations, Failures: r.model.failures,
		Cancelled: r.model.cancelled, Skipped: r.model.skips, Requests: r.far.requests, Records: len(r.named), Epochs: int(epochs), Turns: r.turns,
	}
}

// violate notes the first violation. The run ends with the turn in which it was found.
func (r *run) violate(err error) {
	if r.violation == nil {
		r.violation = err
	}
}

func (r *run) assemble() error {
	cfg := r.Case.Config
	config := engine.Config{
		Application: "sim", Shards: cfg.Shards, KeyGroups: cfg.KeyGroups, BatchMax: cfg.BatchMax,
		RingSlots: cfg.RingSlots, InboxSlots: cfg.InboxSlots, QueueBytesMax: cfg.QueueBytesMax,
		PayloadBytesMax: payloadBytesMax, SendsMax: sendsMax, EpochInterval: time.Hour,
		Logger: slog.New(slog.DiscardHandler), Seed: 1,
	}
	if cfg.Early {
		config.EpochInterval = engine.EpochsOff
	}
	if r.options.Backend != nil {
		store, err := r.options.Backend(backend.Options{Application: config.Application, KeyGroups: cfg.KeyGroups})
		if err != nil {
			return err
		}
		r.recorder = &recorder{Backend: store, run: r, entries: map[address]map[string]string{}}
		config.Backend = r.recorder
	}
	for i := range cfg.Sources {
		r.sources = append(r.sources, &source{run: r, number: i, newest: map[statefun.Epoch]int{}})
	}
	for i := range egresses {
		r.sinks = append(r.sinks, &sink{run: r, number: i, index: -1})
	}
	for i, root := range r.Case.Program.roots {
		if root.from < cfg.Sources {
			r.sources[root.from].roots = append(r.sources[root.from].roots, i)
		} else {
			r.doors = append(r.doors, root)
		}
	}
	var err error
	modules := []engine.Module{{Name: "sim", Bind: r.bind}}
	if r.app, err = bridge.Assemble(context.Background(), config, r.clock, modules, r.violate); err != nil {
		return err
	}
	r.first = r.app.Loops[0].Epoch()
	for _, l := range r.app.Loops {
		l.SetPace(cfg.Pace)
	}
	return nil
}

func (r *run) bind(b *engine.Binder) error {
	for i := range nears {
		engine.Bind(b, kinds[i].fn, func(s *engine.Schema) actor {
			p := &player{run: r, kind: i, slots: kinds[i].slots(s)}
			r.slots[i] = p.slots
			return p
		}, engine.Retries(r.Case.Config.Retries))
	}
	r.bindFar(b)
	engine.RouteFunc(b, ingress, r.route)
	for _, s := range r.sources {
		engine.Connect(b, ingress, s)
	}
	for i, s := range r.sinks {
		engine.Deliver(b, egresses[i], s)
	}
	return nil
}
