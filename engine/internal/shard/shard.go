// SPDX-License-Identifier: Apache-2.0

// Package shard is the heart of the engine: a state machine that owns a set of key groups and everything
// about their addresses. A batch goes in ([Shard.Step]), batches come out ([Shard.Drain]).
//
// A shard is pure. There is no goroutine, channel, lock, clock, randomness or I/O here, and no order
// that differs from run to run; whoever drives it (package driver, or a simulation) passes the time in
// and carries the effects out. All fields are owned by the goroutine that drives the shard.
package shard

import (
	"cmp"
	"math/rand/v2"

	"github.com/millrace-io/millrace/engine/internal/clock"
	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/internal/invariant"
	"github.com/millrace-io/millrace/engine/internal/table"
	"github.com/millrace-io/millrace/engine/internal/timerwheel"
	"github.com/millrace-io/millrace/engine/statefun"
)

// Config is what a shard is made of.
type Config struct {
	ID     int
	Shards int
	// Route gives the shard of each key group. Shared by all shards, never written.
	Route []uint16
	// Functions are the function types by number, with what this shard needs of each, and Endpoints where
	// those of them run that do not run here.
	Functions []*Function
	Endpoints []*Endpoint
	// Resolve finds the number of a function type that was not known at the start, whose name is only
	// borrowed, and Describe what the shard needs of it. nil: there are none.
	Resolve  func(statefun.FunctionType) (envelope.Function, bool)
	Describe func(envelope.Function) *Function
	// Egresses are the numbers of the egresses.
	Egresses map[EgressName]envelope.Function
	// Senders is how many send batches to this shard: every shard, itself too, and every source.
	Senders  int
	BatchMax int // Envelopes in a batch.
	Limits   Limits
	Memory   func(bytes int) []byte // Zeroed, aligned to a cache line, never given back.
	Rand     *rand.Rand             // Jitter of retries, and the secret of the instance tables.
	Now      clock.Instant
	Epoch    statefun.Epoch // The first; 0 means 1.
	// Numbers is the greatest number of a message that a checkpoint knows (P11), KeysBytesMax how much
	// idempotency keys and their answers may take before there is no room for another.
	Numbers      uint64
	KeysBytesMax int64
	// Unstored says that nobody keeps checkpoints: then nothing is written for them.
	Unstored bool
	// Stack returns the stack of the goroutine that calls it, for the log; nil: stacks are not wanted.
	Stack func() []byte
}

// EgressName is the name of an egress.
type EgressName struct{ Namespace, Name string }

// Limits bound what one invocation may do; beyond them it fails and nothing of it takes effect.
type Limits struct {
	SendsMax        int // Messages, delayed ones and egress records of one invocation.
	PayloadBytesMax int // Of one message, state value or egress record, encoded.
}

// Shard is the state machine. Make it with New.
type Shard struct {
	id       int
	route    []uint16
	fns      []*Function
	byType   map[statefun.FunctionType]envelope.Function // Looked up, never ranged over.
	resolver func(statefun.FunctionType) (envelope.Function, bool)
	describe func(envelope.Function) *Function
	egresses map[EgressName]envelope.Function
	senders  int
	batchMax int
	limits   Limits
	rand     *rand.Rand
	seed     table.Seed
	stack    func() []byte

	arena       *table.Arena
	heap        *table.Heap
	wheel       *timerwheel.Wheel
	stored      store            // Messages that wait: for their time, or at their address.
	queues      map[place]*queue // Addresses at which messages wait. Looked up, never ranged over.
	spareQueues []*queue
	tokens      map[Token]pending   // Delayed messages. Looked up, never ranged over.
	names       map[Token]tokenName // Those of them that functions elsewhere have named,
	byName      map[tokenName]Token // both ways.
	delayedBy   map[sender]*int     // How many of them spare their sender. Looked up, never ranged over.
	numbers     uint64              // The greatest number of a message so far.
	fresh       [2]bitset           // Records that no checkpoint knows, by the parity of the epoch in which they came.
	flight      flight
	lap         lap
	alien       bool // The store has entries that the shard has not.
	keys        keyring
	egressHeld  bool
	loading     *loading // Until Loaded.

	endpoints []*Endpoint
	calls     []*Call  // Requests to be made.
	attempt   uint64   // Numbers them.
	changes   []change // Scratch for state values.
	encoded   []byte

	ahead   ahead
	view    envelope.Batch // Shows a stored message,
	running envelope.Batch // and the one that is being invoked.

	now         clock.Instant
	inv         *Invocation
	undo        []byte // The running instance's state as it was.
	outlets     []outlet
	sealed      []*envelope.Batch // Egress records of the epoch that is closing,
	sealedBytes int64             // and what they hold.
	spare       []*envelope.Batch // Empty batches.
	empties     []place           // Instances that were left without state by this step.
	failed      []Failure

	epoch     epochs
	Counts    Counts
	waiting   int64 // Bytes of messages that wait at an address,
	suspended int64 // and of those at suspended ones.
	delayed   int64 // Delayed messages that are pending.
}

// Outlets beyond those to the shards.
const (
	outletReplies = iota // To callers outside.
	outletEgress
	extraOutlets
)

// place is an instance: its function type and its slot there.
type place struct {
	fn   envelope.Function
	slot table.Slot
}

// Counts are the shard's counters since its start.
type Counts struct {
	Batches     uint64
	Invocations uint64 // Those that took effect.
	Failures    uint64 // Those that left no trace.
	Suspended   int64  // Addresses that are suspended now.
	Encoded     uint64 // Instances encoded for a checkpoint.
	Fired       uint64 // Delayed messages that came due.
	Skipped     uint64 // Messages that an operator has given up.
	Unanswered  uint64 // Answers that nobody could take.
	Stale       uint64 // Replies to requests that nothing waited for any more.
}

// Failure is an invocation that left no trace, or that a suspended address goes on.
type Failure struct {
	Address   statefun.Address
	Err       error
	Attempt   int
	Suspended bool
	Resumed   bool

	Remote     bool // A request, of a function that runs elsewhere.
	Exhausted  bool // Its time for one delivery is over,
	DeadLetter bool // and its messages have been emitted as dead letters.
}

// New makes a shard in which nothing has happened yet.
func New(c Config) *Shard {
	s := &Shard{
		id:        c.ID,
		route:     c.Route,
		byType:    make(map[statefun.FunctionType]envelope.Function, len(c.Functions)),
		resolver:  c.Resolve,
		describe:  c.Describe,
		egresses:  c.Egresses,
		senders:   c.Senders,
		batchMax:  c.BatchMax,
		limits:    c.Limits,
		rand:      c.Rand,
		stack:     c.Stack,
		arena:     table.NewArena(c.Memory),
		wheel:     timerwheel.New(int64(c.Now)),
		queues:    make(map[place]*queue),
		tokens:    make(map[Token]pending),
		names:     make(map[Token]tokenName),
		byName:    make(map[tokenName]Token),
		delayedBy: make(map[sender]*int),
		endpoints: c.Endpoints,
		numbers:   c.Numbers,
		keys:      newKeyring(cmp.Or(c.KeysBytesMax, keysBytesMax)),
		now:       c.Now,
		outlets:   make([]outlet, c.Shards+extraOutlets),
	}
	s.heap = table.NewHeap(s.arena)
	s.seed = table.Seed{s.rand.Uint64(), s.rand.Uint64()}
	s.epoch.now, s.epoch.unstored = max(c.Epoch, 1), c.Unstored
	s.undo = make([]byte, undoBytesMin)
	for _, fn := range c.Functions {
		s.add(fn)
	}
	return s
}

func (s *Shard) newTable(stateBytes int) *table.Table { return table.New(s.arena, s.heap, stateBytes) }

// Bind gives the shard the object in which invocations happen. It is called once, before the first step.
func (s *Shard) Bind(inv *Invocation) {
	s.inv = inv
	inv.shard = s
	inv.scratch = envelope.New(1)
}

// Functions returns the function types that the shard knows, by number.
func (s *Shard) Functions() []*Function { return s.fns }

// ID returns the shard's number.
func (s *Shard) ID() int { return s.id }

// Instances returns how many instances the shard holds.
func (s *Shard) Instances() (n int) {
	for _, fn := range s.fns {
		n += fn.table.Len()
	}
	return n
}

// Waiting returns the bytes of messages that wait at an address, Delayed how many wait for their time.
func (s *Shard) Waiting() int64 { return s.waiting }

// SuspendedBytes returns the bytes of messages that wait until somebody resumes their address.
func (s *Shard) SuspendedBytes() int64 { return s.suspended }

// Delayed returns how many delayed messages are pending.
func (s *Shard) Delayed() int64 { return s.delayed }

// MemoryBytes returns how much memory instances, index and strings take.
func (s *Shard) MemoryBytes() int64 { return s.arena.Bytes() }

// Failures returns what failed since the last call. The slice is valid until the next step.
func (s *Shard) Failures() []Failure {
	f := s.failed
	s.failed = s.failed[:0]
	return f
}

// NextTimer returns a time at or before which nothing is due, for a driver that wants to sleep.
func (s *Shard) NextTimer() (at clock.Instant, ok bool) {
	due, ok := s.wheel.Next()
	return clock.Instant(due), ok
}

// Recycle gives an empty batch back for reuse. After a burst, what is over goes to the garbage collector.
func (s *Shard) Recycle(b *envelope.Batch) {
	if len(s.spare) < spareMax {
		b.Reset()
		s.spare = append(s.spare, b)
	}
}

const spareMax = 512

// Spares returns how many empty batches there are for reuse.
func (s *Shard) Spares() int { return len(s.spare) }

func (s *Shard) take() *envelope.Batch {
	if n := len(s.spare) - 1; n >= 0 {
		b := s.spare[n]
		s.spare = s.spare[:n]
		return b
	}
	return envelope.New(s.batchMax)
}

func (s *Shard) setNow(now clock.Instant) {
	if now < s.now {
		invariant.Failf("shard %d: time runs back from %d to %d", s.id, s.now, now)
	}
	s.now = now
}
