// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/remote"
	"github.com/millrace-io/millrace/engine/statefun"
)

// actor is the contract of all function types of a simulation: one method for each form.
type actor interface {
	Small(ctx *engine.Context, m small) error
	Large(ctx *engine.Context, m large) error
	Text(ctx *engine.Context, m string) error
	Query(ctx *engine.Context, m query) (string, error)
	Any(ctx *engine.Context, m engine.TypedValue) error
}

// Messages carry their serial number, and more bytes that follow from it.
type (
	small struct{ Serial, Check uint64 }
	large [12]uint64
	query struct{ Serial uint64 }
)

var (
	smallType = engine.Flat[small]("sim/small")
	largeType = engine.Flat[large]("sim/large")
	queryType = engine.JSON[query]("sim/query")
)

const unlisted = "sim/unlisted" // A typename that no function type accepts.

func smallOf(serial uint64) small { return small{serial, ^serial} }

func largeOf(serial uint64) (m large) {
	for i := range m {
		m[i] = serial + uint64(i)
	}
	return m
}

func textOf(serial uint64) string {
	return strconv.FormatUint(serial, 10) + strings.Repeat(".", int(serial%5*serial%200))
}

func serialOfText(s string) uint64 {
	serial, err := strconv.ParseUint(strings.TrimRight(s, "."), 10, 64)
	if err != nil || textOf(serial) != s {
		return 0
	}
	return serial
}

func anyOf(serial uint64) engine.TypedValue {
	return engine.TypedValue{Typename: unlisted, Value: binary.LittleEndian.AppendUint64(nil, serial)}
}

func serialOfAny(v engine.TypedValue) uint64 {
	if v.Typename != unlisted || len(v.Value) != 8 {
		return 0
	}
	return binary.LittleEndian.Uint64(v.Value)
}

// serialOf reads a message that is given by its typename.
func serialOf(v engine.TypedValue) (serial uint64, f form) {
	switch v.Typename {
	case smallType.Typename():
		if m, err := smallType.Decode(v.Value); err == nil && m.Check == ^m.Serial {
			return m.Serial, formSmall
		}
	case largeType.Typename():
		if m, err := largeType.Decode(v.Value); err == nil && m == largeOf(m[0]) {
			return m[0], formLarge
		}
	case engine.String.Typename():
		if s, err := engine.String.Decode(v.Value); err == nil {
			return serialOfText(s), formText
		}
	case queryType.Typename():
		if m, err := queryType.Decode(v.Value); err == nil {
			return m.Serial, formQuery
		}
	}
	return serialOfAny(v), formAny
}

// kind is a function type and what instances of it keep.
type kind struct {
	fn    engine.Function[actor]
	small engine.Input[small]
	large engine.Input[large]
	text  engine.Input[string]
	query engine.Request[query, string]
	// counts says that the first slots are kept by the simulation (slotsKept).
	counts bool
	// far says that the function runs elsewhere.
	far   bool
	slots func() []slot
	// idle is after how long without messages an instance is dropped, in milliseconds; 0: never.
	idle int64
}

// kinds differ in how much state there is and how it is kept. The first are functions of this process.
var kinds = [...]kind{
	define("sim/ledger", true, func() []slot {
		return []slot{
			newSlot("count", engine.Int64, func(v uint64) int64 { return int64(v) }),
			newSlot("chain", hashType, func(v uint64) uint64 { return v }),
			newSlot("balance", engine.Int64, func(v uint64) int64 { return int64(v) }),
			newSlot("sum", hashType, func(v uint64) uint64 { return v }),
			newSlot("number", engine.Int64, func(v uint64) int64 { return -int64(v) }),
			newSlot("text", engine.String, func(v uint64) string { return strings.Repeat("ä", int(v%40)) }),
		}
	}),
	define("sim/wide", false, func() []slot {
		return []slot{
			newSlot("inline", wideType, func(v uint64) (w wide) { w[0], w[23] = v, ^v; return w }),
			newSlot("encoded", hugeType, func(v uint64) (h huge) { h[1], h[39] = v, ^v; return h }),
			newSlot("bytes", engine.Bytes("sim/bytes"), bytesOf),
		}
	}),
	define("sim/thin", false, func() []slot {
		return []slot{
			newSlot("flag", engine.Bool, func(v uint64) bool { return v%2 == 1 }),
			newSlot("number", engine.Int32, func(v uint64) int32 { return int32(v) }),
		}
	}),
	define("sim/none", false, func() []slot { return nil }),
	idling(define("sim/idle", false, func() []slot {
		return []slot{
			newSlot("number", engine.Int64, func(v uint64) int64 { return int64(v) }),
			newSlot("bytes", engine.Bytes("sim/bytes"), bytesOf),
		}
	})),
	define("sim/brief", false, func() []slot {
		return []slot{
			newLeased("brief", engine.Int64, func(v uint64) int64 { return int64(v) }, lease{nothing, 40}),
			newLeased("invoked", engine.String, func(v uint64) string { return strings.Repeat("ö", int(v%40)) }, lease{invocation, 3000}),
			newLeased("read", engine.Bytes("sim/bytes"), bytesOf, lease{reading, 100_000}),
			newSlot("number", engine.Int32, func(v uint64) int32 { return int32(v) }),
		}
	}),

	elsewhere(define("sim/far", true, func() []slot {
		return []slot{
			newSlot("count", engine.Int64, func(v uint64) int64 { return int64(v) }),
			newSlot("chain", hashType, func(v uint64) uint64 { return v }),
			newSlot("balance", engine.Int64, func(v uint64) int64 { return int64(v) }),
			newSlot("sum", hashType, func(v uint64) uint64 { return v }),
			newSlot("bytes", engine.Bytes("sim/bytes"), bytesOf),
			newSlot("text", engine.String, func(v uint64) string { return strings.Repeat("ä", int(v%40)) }),
		}
	})),
	elsewhere(define("wild/thin", false, func() []slot {
		return []slot{newSlot("flag", engine.Bool, func(v uint64) bool { return v%2 == 1 })}
	})),
	elsewhere(define("wild/none", false, func() []slot { return nil })),
	elsewhere(define("wild/brief", false, func() []slot {
		return []slot{
			newLeased("brief", engine.Int64, func(v uint64) int64 { return int64(v) }, lease{nothing, 40}),
			newLeased("invoked", engine.Bytes("sim/bytes"), bytesOf, lease{invocation, 3000}),
		}
	})),
}

// nears is how many of the kinds are functions of this process.
const nears = 6

// endpoints serve the others: one of them by its name, and the others by their namespace.
var endpoints = [...]remote.Pattern{{Namespace: "sim", Name: "far"}, {Namespace: "wild", Name: "*"}}

// Names that no module provides anything for.
var (
	absent = define("sim/absent", false, nil)
	nobody = engine.NewEgress("sim/nobody", engine.Int64)
)

type (
	wide [24]uint64 // Kept as it lies in memory.
	huge [40]uint64 // Kept encoded.
)

var (
	hashType = engine.Flat[uint64]("sim/hash")
	wideType = engine.Flat[wide]("sim/wide")
	hugeType = engine.Flat[huge]("sim/huge")
)

// bytesOf yields all lengths that a heap treats differently, nothing at all among them.
func bytesOf(v uint64) []byte {
	n := int(v % 600)
	switch {
	case v%5 == 0:
		n = 0
	case v%97 == 1:
		n = 70_000
	}
	return []byte(strings.Repeat(string(rune('a'+v%26)), n))
}

func define(name string, counts bool, slots func() []slot) kind {
	fn := engine.Define[actor](name)
	k := kind{
		fn:     fn,
		small:  engine.Accept(fn, smallType, actor.Small),
		large:  engine.Accept(fn, largeType, actor.Large),
		text:   engine.Accept(fn, engine.String, actor.Text),
		query:  engine.Answer(fn, queryType, engine.String, actor.Query),
		counts: counts, slots: slots,
	}
	engine.AcceptAny(fn, actor.Any)
	return k
}

func idling(k kind) kind {
	k.idle = 500
	return k
}

func elsewhere(k kind) kind {
	k.far = true
	return k
}

// ids are chosen so that they are alike where tables compare them, and cross every size that is treated
// in a way of its own.
var ids = func() []string {
	list := []string{
		"a", "a\x00", "0123456789abcdef", "0123456789abcdefg", "0123456789abcdefh",
		strings.Repeat("long", 80), "0123456789abcde\x00", "\xff",
	}
	for i := len(list); i < 24; i++ {
		list = append(list, fmt.Sprintf("id-%d", i))
	}
	return list
}()

// idNumbers are the places of ids.
var idNumbers = func() map[string]int {
	numbers := map[string]int{}
	for i, id := range ids {
		numbers[id] = i
	}
	return numbers
}()

// isText reports whether an id can be shown to a function elsewhere.
func isText(id int) bool { return utf8.ValidString(ids[id]) }

func (a address) address() engine.Address {
	return engine.Address{Type: kinds[a.kind].fn.Type(), ID: ids[a.id]}
}

// addressOf finds an address of ours.
func addressOf(a statefun.Address) (address, bool) {
	kind := slices.IndexFunc(kinds[:], func(k kind) bool { return k.fn.Type() == a.Type })
	id, ok := idNumbers[a.ID]
	return address{kind, id}, ok && kind >= 0
}
