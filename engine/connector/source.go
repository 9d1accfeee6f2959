// SPDX-License-Identifier: Apache-2.0

package connector

import "context"

// Source is one replayable partition of an ingress. The engine drives it from one goroutine.
type Source interface {
	// Open prepares the source to hand out the events behind position, which an earlier Position
	// returned; nil means from where the source is configured to start. It is called once, first.
	Open(ctx context.Context, position []byte) error

	// Poll appends the next events to into, as many as it has at hand and into.Room allows, and waits
	// while it has none. It returns early, with what it has and a nil error, when ctx is done: the
	// engine needs the goroutine to end an epoch. io.EOF, with or without events, says that there will
	// be no more; any other error stops the ingress, visibly.
	Poll(ctx context.Context, into *Events) error

	// Position says where the source stands: just behind the last event that Poll returned. The bytes
	// are kept in checkpoints and mean nothing to the engine. The slice is valid until the next call.
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
	list []span
	data []byte
	room int
}

type span struct {
	typename   string
	start, mid int
	end        int
}

// NewEvents returns an empty list with room for n events.
func NewEvents(n int) *Events { return &Events{room: n} }

// Append copies an event to the end of the list. Appending beyond the room panics: what was read from
// a source cannot be given back.
func (e *Events) Append(key []byte, typename string, value []byte) {
	if e.Room() == 0 {
		panic("connector: Events.Append without room; check Room first")
	}
	start := len(e.data)
	e.data = append(e.data, key...)
	mid := len(e.data)
	e.data = append(e.data, value...)
	e.list = append(e.list, span{typename: typename, start: start, mid: mid, end: len(e.data)})
}

// Room returns how many events may still be appended.
func (e *Events) Room() int { return e.room - len(e.list) }

// Len returns the number of events in the list.
func (e *Events) Len() int { return len(e.list) }

// At returns event i. Its slices are valid until Reset.
func (e *Events) At(i int) Event {
	s := &e.list[i]
	return Event{Key: e.data[s.start:s.mid:s.mid], Typename: s.typename, Value: e.data[s.mid:s.end:s.end]}
}

// Reset empties the list and keeps its memory.
func (e *Events) Reset() { e.list, e.data = e.list[:0], e.data[:0] }
