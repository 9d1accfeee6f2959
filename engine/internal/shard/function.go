// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"unsafe"

	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/internal/table"
	"github.com/millrace-io/millrace/engine/statefun"
)

// Function is a function type as one shard runs it.
type Function struct {
	Type statefun.FunctionType
	// Endpoint is where the function runs; nil: here. DeadLetter is the egress of its policy.
	Endpoint   *Endpoint
	DeadLetter envelope.Function
	// Known are the state values that are known at the start, of a function that runs elsewhere. nil: none.
	Known *Specs
	// External marks a type whose addresses are callers outside: what is sent to them leaves. Absent marks one
	// that a checkpoint knows and nobody provides: its messages are parked (P38).
	External, Absent bool

	// Owner tells the state values of this function type from those of others.
	Owner  unsafe.Pointer
	Impl   unsafe.Pointer // Passed to every handler: the shard's own object that implements the function.
	Inputs []Input        // By number.
	// ByTypename finds the input for messages that come with a typename.
	ByTypename map[string]envelope.Input
	// Any takes messages whose typename has no input; nil refuses them.
	Any func(impl unsafe.Pointer, inv *Invocation, typename string, value []byte) error

	Values     []Value
	StateBytes int
	// Undeclared says that checkpoints may have values of the type that are not among Values. They are kept.
	Undeclared bool
	// IdleAfter is how long, in milliseconds, an address may go without a message before it is dropped with all
	// its state; 0: for ever. The endpoint's policy says so for what runs elsewhere.
	IdleAfter int64
	Retries   int // How often an invocation is tried again before its address is suspended.

	// Counts are what has happened to the function since the shard's start.
	Counts FunctionCounts

	number     envelope.Function
	special    bool // Its messages are not simply run.
	leased     bool // Rows have a lease, at leaseAt,
	renewed    bool // and invocations move it on.
	leaseAt    uintptr
	expiring   []int // Those of Values that expire.
	table      *table.Table
	dirty      [2]bitset // Slots that were changed, by the parity of the epoch.
	specs      *Specs    // Of a function that runs elsewhere.
	replyBytes int       // What a message makes of a reply, of late.
}

// FunctionCounts are the counters of a function type on one shard.
type FunctionCounts struct {
	In                    uint64 // Messages that took effect.
	OutLocal, OutRemote   uint64 // Messages sent to this shard, delayed ones too, and to others.
	OutEgress             uint64
	Failures, DeadLetters uint64
	Suspended             int64  // Addresses, now,
	Backlog, BacklogBytes int64  // what waits at addresses,
	InFlight              int64  // and requests under way.
	Changes               uint64 // Grows whenever another one changes.
}

// Input is one message that a function type accepts.
type Input struct {
	Typename string
	// Memory runs a message given as the memory image of its Go type; nil when that type has pointers.
	Memory func(impl unsafe.Pointer, inv *Invocation, payload unsafe.Pointer) error
	// Wire runs a message given in its wire encoding.
	Wire func(impl unsafe.Pointer, inv *Invocation, payload []byte) error
	// Encode appends the wire encoding of a memory image; nil when there is no Memory.
	Encode func(dst []byte, p unsafe.Pointer) ([]byte, error)
	// Check reports whether an encoding decodes.
	Check func(payload []byte) error
}

// Takes reports whether the function accepts messages with a typename. What runs elsewhere takes any.
func (f *Function) Takes(typename string) bool {
	_, ok := f.ByTypename[typename]
	return ok || f.Any != nil || f.External || f.Endpoint != nil
}

// Value is one state value of a function type and where it lies in the state area.
type Value struct {
	Name     string
	Typename string
	Number   int // In checkpoints.
	Offset   uintptr
	Bytes    uintptr // How many there are of it.
	// Expiry says whether the value expires, TTL after how many milliseconds. Then a stamp of 8 bytes lies in
	// front of it.
	Expiry Expiry
	TTL    int64
	// Encode appends the wire encoding of a value whose memory image lies at p. It is nil for a value
	// that is kept encoded: then a Cell lies at Offset.
	Encode func(dst []byte, p unsafe.Pointer) ([]byte, error)
	// Decode is the way back. nil exactly when Encode is.
	Decode func(p unsafe.Pointer, b []byte) error
}

// Cell is a state value that is kept in its wire encoding, in the shard's heap.
type Cell struct {
	ref table.Ref
	len uint32
	_   uint32
}

// CellBytes is the size of a Cell in the state area.
const CellBytes = unsafe.Sizeof(Cell{})
