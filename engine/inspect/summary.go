// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"iter"
	"math/bits"
	"slices"
	"time"

	"github.com/millrace-io/millrace/engine/statefun"
)

// Summary is what a checkpoint holds, counted.
type Summary struct {
	Instances, Messages, Suspended, Delayed, Keys, Records int64

	Bytes int64 // Of all keys and values.
	// State is the hash of all instances with their state, times included.
	State Hash
	// All is the hash of everything but positions of sources: also of what is under way.
	All Hash
}

// Hash tells whether two sets of entries are the same. It is a sum over the entries, each by what it means and by
// the names in it, so that neither their order counts, nor key groups, nor numbers that a store gives to names
// and to messages on arrival. It protects from mistakes, not from those who make up entries to have a certain sum.
type Hash struct{ high, low uint64 }

// String returns 32 hexadecimal digits.
func (h Hash) String() string {
	b := binary.BigEndian.AppendUint64(nil, h.high)
	return hex.EncodeToString(binary.BigEndian.AppendUint64(b, h.low))
}

func (h *Hash) add(o Hash) {
	var carry uint64
	h.low, carry = bits.Add64(h.low, o.low, 0)
	h.high, _ = bits.Add64(h.high, o.high, carry)
}

// Adder is shown each entry once.
type Adder interface{ Add(e Entry) error }

// Summarize counts entries, which are those of one checkpoint as [Checkpoint.All] yields them, and shows each to
// the adders.
func Summarize(entries iter.Seq2[Entry, error], also ...Adder) (Summary, error) {
	var s summarizer
	for e, err := range entries {
		if err != nil {
			return Summary{}, err
		}
		s.add(e)
		for _, a := range also {
			if err := a.Add(e); err != nil {
				return Summary{}, err
			}
		}
	}
	s.endGroup()
	return s.Summary, nil
}

type summarizer struct {
	Summary
	canon canon
	group statefun.KeyGroup
	queue []queued // The messages of the group.
}

// queued is a message by what it says, who it is for, and when it has its turn there.
type queued struct {
	target, content Hash
	number          uint64
}

func (s *summarizer) add(e Entry) {
	if at := e.stored(); at.Group != s.group {
		s.endGroup()
		s.group = at.Group
	}
	s.Bytes += int64(e.stored().Bytes)
	c := &s.canon
	c.b = c.b[:0]
	switch e := e.(type) {
	case Instance:
		s.Instances++
		c.instance(e)
		s.State.add(c.hash())
	case Message:
		s.Messages++
		q := queued{number: e.Number}
		c.address(e.Target)
		q.target = c.hash()
		c.b = c.b[:0]
		c.address(e.Caller)
		c.payload(e.Payload)
		q.content = c.hash()
		s.queue = append(s.queue, q)
		return // It counts by its place in the queue, which is known in the end.
	case Suspended:
		s.Suspended++
		c.kind('s')
		c.address(e.Address)
	case Delayed:
		s.Delayed++
		c.delayed(e)
	case Key:
		s.Keys++
		c.key(e)
	case Record:
		s.Records++
		c.record(e)
	}
	s.All.add(c.hash())
}

// endGroup adds the messages of a key group: all of an address are in one. Their numbers say no more than their
// order, and that is what is hashed.
func (s *summarizer) endGroup() {
	slices.SortFunc(s.queue, func(a, b queued) int {
		return cmp.Or(cmp.Compare(a.target.high, b.target.high), cmp.Compare(a.target.low, b.target.low), cmp.Compare(a.number, b.number))
	})
	place := uint64(0)
	for i, q := range s.queue {
		if place++; i == 0 || q.target != s.queue[i-1].target {
			place = 0
		}
		c := &s.canon
		c.b = c.b[:0]
		c.kind('m')
		for _, v := range []uint64{q.target.high, q.target.low, place, q.content.high, q.content.low} {
			c.uint(v)
		}
		s.All.add(c.hash())
	}
	s.queue = s.queue[:0]
}

// canon writes an entry in the one form that is hashed: numbers in 8 bytes, strings behind their length.
type canon struct {
	b      []byte
	values []Value
}

func (c *canon) hash() (h Hash) {
	sum := sha256.Sum256(c.b)
	return Hash{binary.BigEndian.Uint64(sum[:]), binary.BigEndian.Uint64(sum[8:])}
}

func (c *canon) kind(k byte)      { c.b = append(c.b, k) }
func (c *canon) uint(v uint64)    { c.b = binary.BigEndian.AppendUint64(c.b, v) }
func (c *canon) time(t time.Time) { c.uint(uint64(t.UnixMilli())) }

// maybe writes a time that may be none.
func (c *canon) maybe(t time.Time) {
	if c.bool(t.IsZero()); !t.IsZero() {
		c.time(t)
	}
}

func (c *canon) bool(v bool) {
	if v {
		c.b = append(c.b, 1)
	} else {
		c.b = append(c.b, 0)
	}
}

func (c *canon) text(s string) {
	c.uint(uint64(len(s)))
	c.b = append(c.b, s...)
}

func (c *canon) bytes(b []byte) {
	c.uint(uint64(len(b)))
	c.b = append(c.b, b...)
}

func (c *canon) address(a statefun.Address) {
	c.text(a.Type.Namespace)
	c.text(a.Type.Name)
	c.text(a.ID)
}

func (c *canon) payload(p Payload) {
	c.text(p.Typename)
	c.bool(p.Absent)
	c.bytes(p.Value)
}

func (c *canon) instance(in Instance) {
	c.kind('i')
	c.address(in.Address)
	c.values = append(c.values[:0], in.Values...)
	slices.SortFunc(c.values, func(a, b Value) int { return cmp.Compare(a.Name, b.Name) })
	c.uint(uint64(len(c.values)))
	for _, v := range c.values {
		c.text(v.Name)
		c.text(v.Typename)
		c.maybe(v.Stamp)
		c.bytes(v.Bytes)
	}
	c.maybe(in.Touched)
}

func (c *canon) delayed(d Delayed) {
	c.kind('d')
	c.uint(d.Token) // Its sender may keep it in its state.
	c.time(d.Due)
	c.address(d.Target)
	c.address(d.Sender)
	c.text(d.Name)
	c.payload(d.Payload)
}

func (c *canon) key(k Key) {
	c.kind('k')
	c.address(k.Address)
	c.bytes(k.Key)
	c.time(k.Expires)
	c.b = append(c.b, k.Body[:]...)
	c.text(k.Caller)
	c.bool(k.Answered)
	c.payload(k.Answer)
}

func (c *canon) record(r Record) {
	c.kind('r')
	c.text(r.Egress)
	c.uint(uint64(r.Epoch))
	c.uint(r.Index)
	c.address(r.Sender)
	c.payload(r.Payload)
}
