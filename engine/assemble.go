// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"
	"time"
	"unsafe"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/internal/checkpoint"
	"github.com/millrace-io/millrace/engine/internal/clock"
	"github.com/millrace-io/millrace/engine/internal/driver"
	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/internal/mailbox"
	"github.com/millrace-io/millrace/engine/internal/memory"
	"github.com/millrace-io/millrace/engine/internal/shard"
	"github.com/millrace-io/millrace/engine/statefun"
)

// function is what the engine knows of a function type that a module provides, or of a type of callers.
type function struct {
	typ        FunctionType
	module     string
	external   bool // Callers outside.
	absent     bool // A checkpoint knows it, and no module provides it (P38).
	inputs     []*inputDeclaration
	byTypename map[string]envelope.Input
	any        func(impl unsafe.Pointer, inv *shard.Invocation, typename string, value []byte) error
	retries    int
	idles      bool // Its addresses are dropped
	idleAfter  time.Duration
	provide    func(*Schema) unsafe.Pointer
	counters   [][]*counted // By shard.

	values     []checkpoint.ValueName // Its state values by number, unless it runs elsewhere.
	undeclared bool                   // There are some among them that only the checkpoint knows.

	endpoint *endpoint // Where it runs; nil: here.
	states   *states   // Of what runs elsewhere.
}

// callerType is the type of callers that use this package.
var callerType = FunctionType{Namespace: "io.millrace.engine", Name: "caller"}

// wiring is an application put together and not yet running: what a simulation steps by hand, and what an
// Engine gives goroutines to.
type wiring struct {
	config    Config
	recovered recovered
	directory *directory
	endpoints []endpoint
	links     *links
	ingresses map[string]*ingress
	doors     []connector.Door
	calls     *calls
	reports   *reports

	clock    clock.Clock
	gate     *mailbox.Gate
	announce *driver.Announcement
	route    []uint16
	loading  []*shard.Shard // The loops' shards, until what the store holds is loaded.
	loaders  int            // How many are loaded at once; 0: all.
	loops    []*driver.Loop
	pumps    []*driver.Pump
	sources  []string // The names of the pumps' sources.
	drains   []*driver.Drain
	outflow  *driver.Outflow
	epochs   *driver.Epochs
	memory   *memory.Pages

	failed func(error) // An ingress stopped.
}

// assemble puts an application together, on what its store holds, or says everything that is wrong with it. ctx
// bounds the reading of the store's latest checkpoint, life what is assembled.
func assemble(ctx, life context.Context, c Config, clk startClock, modules []Module) (*wiring, error) {
	invalid := c.Validate()
	if c = c.withDefaults(); invalid != nil {
		c.Shards, c.Backend = 1, nil // Enough to see what is wrong with the modules.
	}
	stored, err := latest(ctx, c)
	if err != nil {
		return nil, err
	}
	b := newBinder()
	for _, m := range modules {
		b.module = m.Name
		if m.Bind == nil {
			b.errorf("Bind is nil")
			continue
		}
		if err := m.Bind(b); err != nil {
			b.errs = append(b.errs, fmt.Errorf("module %s: %w", m.Name, err))
		}
	}
	w := &wiring{
		config: c, recovered: stored, ingresses: b.ingresses, doors: b.doors, endpoints: b.endpoints,
		clock: clk(clock.Instant(stored.CreatedAt)), memory: &memory.Pages{},
	}
	functions := b.numberFunctions(stored.functions)
	b.check(functions)
	schemas := b.provide(functions, c.Shards)
	b.numberValues(functions, schemas)
	if err := errors.Join(b.errs...); err != nil {
		return nil, errors.Join(invalid, fmt.Errorf("engine: %w", err))
	}
	if invalid != nil {
		return nil, invalid
	}
	w.directory = newDirectory(functions, w.endpoints, w.namespaceFull)
	w.links = newLinks(w.directory, shard.Limits{SendsMax: c.SendsMax, PayloadBytesMax: c.PayloadBytesMax})
	w.connect(life, b, schemas)
	return w, nil
}

// check finds what single calls could not see.
func (b *Binder) check(functions []*function) {
	by := make(map[FunctionType]*function, len(functions))
	for _, f := range functions {
		if f.absent {
			continue
		}
		switch first := by[f.typ]; {
		case first == nil:
		case first.external || f.external:
			b.errs = append(b.errs, fmt.Errorf("%s is bound by module %s, but is the type of callers from outside: choose another name", f.typ, first.module+f.module))
		default:
			b.errs = append(b.errs, fmt.Errorf("%s is bound by module %s and by module %s", f.typ, first.module, f.module))
		}
		by[f.typ] = f
	}
	for _, r := range b.required {
		if by[r.typ] == nil && !b.served(r.typ) {
			b.errs = append(b.errs, fmt.Errorf("module %s requires %s, which no module binds", r.module, r.typ))
		}
	}
	for _, s := range b.sources {
		if len(b.ingresses[s.ingress].routers) == 0 {
			b.errs = append(b.errs, fmt.Errorf("ingress %s has a source and no route: use Route, RouteKey or RouteFunc", s.ingress))
		}
	}
	for id, in := range b.ingresses {
		if len(in.types) > 1 {
			b.errs = append(b.errs, fmt.Errorf("ingress %s is routed as %s: an ingress has one type", id, strings.Join(slices.Sorted(maps.Keys(in.types)), " and as ")))
		}
	}
	b.checkEndpoints()
	b.checkCount(functions)
}

// schema is what one shard's object of a function has declared.
type schema struct {
	impl   unsafe.Pointer
	values []shard.Value
	bytes  uintptr
}

// provide makes each shard's objects. All shards must declare the same state.
func (b *Binder) provide(functions []*function, shards int) [][]schema {
	schemas := make([][]schema, shards)
	for s := range schemas {
		schemas[s] = make([]schema, len(functions))
		for i, f := range functions {
			if f.provide == nil {
				continue
			}
			declared := &Schema{fn: f.typ, owner: unsafe.Pointer(f)}
			impl := f.provide(declared)
			schemas[s][i] = schema{impl, declared.values, declared.bytes}
			f.counters = append(f.counters, declared.counters)
			if s == 0 {
				b.errs = append(b.errs, declared.errs...)
			} else if !sameValues(declared.values, schemas[0][i].values) {
				b.errs = append(b.errs, fmt.Errorf("%s: state declared for shard %d differs from shard 0: it must not depend on the shard", f.typ, s))
			}
		}
	}
	return schemas
}

func sameValues(a, b []shard.Value) bool {
	return slices.EqualFunc(a, b, func(x, y shard.Value) bool {
		return x.Name == y.Name && x.Typename == y.Typename && x.Offset == y.Offset && x.Expiry == y.Expiry && x.TTL == y.TTL
	})
}

// connect makes all the parts and what lies between them.
func (w *wiring) connect(life context.Context, b *Binder, schemas [][]schema) {
	c := w.config
	w.gate = mailbox.NewGate(c.QueueBytesMax)
	w.announce = driver.NewAnnouncement(life, w.firstEpoch())
	w.route = make([]uint16, c.KeyGroups)
	for g := range w.route {
		w.route[g] = uint16(g * c.Shards / c.KeyGroups)
	}
	w.connectSinks(b)
	interval := max(c.EpochInterval, 0)
	w.sources = b.sourceNames()
	w.epochs = driver.NewEpochs(driver.EpochsConfig{
		Shards: c.Shards, Sources: len(w.sources), Interval: interval,
		Announce: w.announce, Backend: c.Backend, Outflow: w.outflow, Template: w.template(), Gate: w.gate,
		Names: w.names, Numbers: w.recovered.Numbers, Carried: w.recovered.unknownPositions(w.sources),
		Stuck: w.commitStuck,
	})
	w.calls = newCalls(w)
	w.reports = newReports()
	for id := range c.Shards {
		w.loops = append(w.loops, w.newLoop(id, len(w.sources), schemas[id]))
	}
	for i, s := range b.sources {
		w.pumps = append(w.pumps, w.newPump(w.sources[i], s))
	}
	driver.Connect(w.loops, w.pumps, c.RingSlots, w.gate)
}

func (w *wiring) connectSinks(b *Binder) {
	ids := make([]string, 0, len(b.egresses))
	for id := range b.egresses {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	w.links.egresses = make(map[string]envelope.Function, len(ids))
	for i, id := range ids {
		w.links.egresses[id] = envelope.Function(i)
		w.drains = append(w.drains, driver.NewDrain(id, b.egresses[id].sink, w.undeliverable))
	}
	w.outflow = driver.NewOutflow(driver.OutflowConfig{
		Application: w.config.Application, Sinks: w.drains, Gate: w.gate, Types: w.directory.nameOf, First: w.announce.Epoch(),
		Stores: w.config.Backend != nil, KeyGroups: w.config.KeyGroups, BytesMax: w.config.OutboxBytesMax,
	})
}

// commitStuck tells of a commit that fails for now; nil: it has succeeded after all.
func (w *wiring) commitStuck(epoch statefun.Epoch, err error) {
	if err != nil {
		w.config.Logger.Error("commit failed and is tried again; ingress is held", "epoch", epoch, "error", err)
		return
	}
	w.config.Logger.Info("commit succeeded after failures", "epoch", epoch)
}

func (w *wiring) undeliverable(r connector.Record, err error) {
	w.config.Logger.Warn("egress record dropped", "egress", r.Egress, "sender", clip(r.Sender.String()), "key", clip(r.IdempotencyKey()), "error", err)
}

func (w *wiring) newLoop(id, sources int, schemas []schema) *driver.Loop {
	c := w.config
	byEndpoint, endpoints, calls := w.shardEndpoints()
	functions := make([]*shard.Function, len(schemas))
	for i, f := range w.directory.all()[:len(schemas)] {
		s := schemas[i]
		if f.endpoint != nil {
			functions[i] = w.elsewhere(f, byEndpoint)
			continue
		}
		functions[i] = &shard.Function{
			Type: f.typ, External: f.external, Absent: f.absent, Owner: unsafe.Pointer(f), Impl: s.impl, ByTypename: f.byTypename, Any: f.any,
			Values: s.values, StateBytes: int(s.bytes), Undeclared: f.undeclared && f.provide != nil, Retries: f.retries,
			IdleAfter: milliseconds(f.idleAfter),
		}
		for _, in := range f.inputs {
			functions[i].Inputs = append(functions[i].Inputs, shard.Input{Typename: in.typename, Memory: in.memory, Encode: in.encode, Wire: in.wire, Check: in.check})
		}
	}
	s := shard.New(shard.Config{
		ID: id, Shards: c.Shards, Route: w.route, Functions: functions, Senders: c.Shards + sources,
		Endpoints: endpoints, Resolve: w.directory.number, Egresses: w.links.egressNames(),
		Describe: func(n envelope.Function) *shard.Function { return w.elsewhere(w.directory.at(n), byEndpoint) },
		BatchMax: c.BatchMax, Limits: w.links.limits, Memory: w.memory.Get,
		Rand: rand.New(rand.NewPCG(c.Seed, uint64(id))), Now: w.clock.Now(), Epoch: w.announce.Epoch(), Unstored: c.Backend == nil,
		KeysBytesMax: max(c.KeysBytesMax/int64(c.Shards), 1),
		Numbers:      w.recovered.Numbers,
		Stack:        debug.Stack,
	})
	ctx := &Context{links: w.links}
	s.Bind(&ctx.inv)
	w.loading = append(w.loading, s)
	var l *driver.Loop
	hooks := driver.Hooks{
		Part: w.epochs.AddPart, Replies: w.calls.deliver, Failed: w.reports.add, Recycle: recycle,
		Invoke: w.invoke(func() *driver.Loop { return l }),
	}
	if c.EpochInterval == EpochsOff {
		hooks.Egress = w.outflow.ReleaseEarly
	}
	l = driver.NewLoop(driver.LoopConfig{
		Shard: s, Clock: w.clock, Gate: w.gate, Inbox: mailbox.NewInbox[envelope.Batch](c.InboxSlots), Announce: w.announce, Hooks: hooks,
		CallsMax: calls, Outflow: w.outflow,
	})
	return l
}

func (w *wiring) newPump(name string, s source) *driver.Pump {
	c := w.config
	p := driver.NewPump(driver.PumpConfig{
		Name: name, Source: s.source, Position: w.recovered.position(name),
		Stores: c.Backend != nil && c.EpochInterval != EpochsOff,
		Gate:   w.gate, Announce: w.announce, Cut: w.epochs.AddPosition, Failed: func(err error) { w.failed(err) },
		BatchMax: c.BatchMax, PollMax: pollMax(c), Groups: w.route, Shards: c.Shards,
	})
	p.Route(w.ingresses[s.ingress].routeAll(&Downstream{event: new(connector.Event), links: w.links, to: p}, p))
	return p
}

// pollMax is how many events a source is asked for at once: as many as make one batch for each shard that
// is almost full. With a few more, chance would overfill some, and every other batch would be tiny.
func pollMax(c Config) int { return max(1, c.BatchMax*min(c.Shards, 16)*7/8) }

// template is what all checkpoints of this run have in common.
func (w *wiring) template() backend.Checkpoint {
	cp := backend.Checkpoint{Application: w.config.Application, KeyGroups: w.config.KeyGroups}
	if w.config.Backend != nil {
		cp.Generation = w.config.Backend.Generation()
	}
	return cp
}

func (w *wiring) namespaceFull(namespace string) {
	w.config.Logger.Warn("further function types of the namespace are refused: name those that there are in endpoints of their own",
		"namespace", clip(namespace), "types", addedMax)
}

// clip keeps what strangers choose from filling logs. slog quotes what would break a line.
func clip(s string) string {
	const most = 128
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
