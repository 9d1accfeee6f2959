// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"math"
)

// Source is one replayable partition of an ingress. The engine makes one call at a time, and none while Open has not
// returned; Open has a goroutine of its own, because it may take long.
type Source interface {
	// Open prepares the source to hand out the events behind position, which an earlier Position
	// returned; nil means from where the source is configured to start. It is called once, first. Position
	// then says where that is: an engine that keeps checkpoints commits it before the first Poll, so that a
	// restart does not choose again and skip what has come in between.
	Open(ctx context.Context, position []byte) error

	// Poll appends the next events to into, as many as it has at hand and into.Room allows, and waits
	// while it has none. It returns early, with what it has and a nil error, when ctx is done: the
	// engine needs the goroutine to end an epoch. io.EOF, with or without events, says that there will
	// be no more; any other error stops the ingress, visibly.
	Poll(ctx context.Context, into *Events) error

	// Position says where the source stands: just behind the last event that Poll returned, or where Open
	// has begun. The bytes are kept in checkpoints and mean nothing to the engine. The slice is valid until the
	// next call.
	Position() []byte

	// Close releases what Open took. It is called once, last, also when Open failed.
	Close() error
}

// Event is one message from outside: a key, which most routers use as the id, and a typed value.
type Event struct {
	Key      []byte
	Typename string // Empty: the ingress's own type.
	Value    []byte
}

// Events is a reusable list of events whose bytes lie in one buffer, so that filling it allocates nothing
// once it has grown to its size. The zero value has no room; the engine makes them.
type Events struct {
	list  []span // Its capacity is the room.
	data  []byte
	names []string // The typenames that have occurred; the first is empty.
}

// span is an event: its key and value in data, its typename by number. It holds no pointers.
type span struct{ key, value, end, name uint32 }

// NewEvents returns an empty list with room for n events.
func NewEvents(n int) *Events { return &Events{list: make([]span, 0, n), names: []string{""}} }

// Append copies an event to the end of the list. Appending beyond the room panics: what was read from
// a source cannot be given back.
func (e *Events) Append(key []byte, typename string, value []byte) {
	n := len(e.list)
	if n == cap(e.list) {
		panic("connector: Events.Append without room; check Room first")
	}
	at, end := len(e.data), len(e.data)+len(key)+len(value)
	if end > cap(e.data) {
		e.grow(end)
	}
	e.data = e.data[:end]
	if len(key) == usualKey { // Two moves instead of a call to memmove.
		*(*[usualKey]byte)(e.data[at:]) = *(*[usualKey]byte)(key)
	} else {
		copy(e.data[at:], key)
	}
	if len(value) > 0 {
		copy(e.data[at+len(key):], value)
	}
	e.list = e.list[:n+1]
	e.list[n] = span{uint32(at), uint32(at + len(key)), uint32(end), 0}
	if typename != "" {
		e.list[n].name = e.number(typename)
	}
}

// usualKey is the length of keys that are worth a case of their own: UUIDs, and most natural ids.
const usualKey = 16

func (e *Events) grow(bytes int) {
	if uint64(bytes) > math.MaxUint32 {
		panic("connector: Events.Append of more than 4 GiB")
	}
	data := make([]byte, len(e.data), max(bytes, 2*cap(e.data)))
	copy(data, e.data)
	e.data = data
}

// number looks a typename up. A source has few, and mostly the same as last time.
func (e *Events) number(typename string) uint32 {
	for i := len(e.names) - 1; i > 0; i-- {
		if e.names[i] == typename {
			return uint32(i)
		}
	}
	e.names = append(e.names, typename)
	return uint32(len(e.names) - 1)
}

// Room returns how many events may still be appended: none, too, once there are very many bytes.
func (e *Events) Room() int {
	const most = 1 << 30
	if len(e.data) > most {
		return 0
	}
	return cap(e.list) - len(e.list)
}

// Len returns the number of events in the list.
func (e *Events) Len() int { return len(e.list) }

// At shows event i in into, field by field: for each message of a source, a copy of the whole costs more
// than all else that happens to it on the way. The slices are valid until Reset.
func (e *Events) At(i int, into *Event) {
	s := &e.list[i]
	into.Key = e.data[s.key:s.value:s.value]
	into.Typename = e.names[s.name]
	into.Value = e.data[s.value:s.end:s.end]
}

// Bytes returns the key and the value of event i. The slices are valid until Reset.
func (e *Events) Bytes(i int) (key, value []byte) {
	s := &e.list[i]
	return e.data[s.key:s.value:s.value], e.data[s.value:s.end:s.end]
}

// IsNamed reports whether event i has a typename of its own.
func (e *Events) IsNamed(i int) bool { return e.list[i].name != 0 }

// Reset empties the list and keeps its memory.
func (e *Events) Reset() {
	const namesMax = 1024 // A source that makes names up must not fill memory with them.
	e.list, e.data = e.list[:0], e.data[:0]
	if len(e.names) > namesMax {
		e.names = e.names[:1]
	}
}
