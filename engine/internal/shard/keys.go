// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"math"
	"slices"
	"strconv"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/internal/checkpoint"
	"github.com/millrace-io/millrace/engine/internal/clock"
	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/internal/planted"
	"github.com/millrace-io/millrace/engine/internal/timerwheel"
	"github.com/millrace-io/millrace/engine/statefun"
)

// A door's message may come under an idempotency key. What has come under it is part of the state of the target
// address (P17): it is kept for the key's window, and written to checkpoints whenever it changes. The answer to
// a call is a message to the caller; one under a key comes to the shard that keeps the key, is kept with it, and
// goes on to all who have asked.

// keyed is what is kept of a message that has come under a key.
type keyed struct {
	address keyedAddress
	key     string
	hash    uint64 // Of the address's id.
	checkpoint.Key
	asking []string // Callers that wait for the answer, beside the first.
	timer  timerwheel.Handle

	loggedIn statefun.Epoch // Into the part of this epoch, the last time; 0: before the start.

	next, prev uint32 // Of the same address, plus one.
}

type keyedAddress struct {
	fn envelope.Function
	id string
}

type addressKey struct {
	keyedAddress
	key string
}

// keyring holds the keys of all addresses of a shard.
type keyring struct {
	byKey     map[addressKey]uint32   // Places in list. Looked up, never ranged over.
	byAddress map[keyedAddress]uint32 // The last of an address, likewise.
	byCaller  map[string]uint32       // Those whose answer is still to come, likewise.
	list      []keyed
	free      []uint32
	count     int
	bytes     int64 // About what they take, with their answers,
	max       int64 // and from when on there is no room for another.
}

const (
	// keysBytesMax is the room for keys of a shard that is not told otherwise.
	keysBytesMax = 1 << 30
	// keyedBytes is about what a key takes beside its own bytes: its entries in the maps, its timer.
	keyedBytes = 1000
)

func (k *keyed) bytes() int64 {
	return keyedBytes + int64(len(k.address.id)+len(k.key)+len(k.Caller)+len(k.Typename)+len(k.Value))
}

func newKeyring(most int64) keyring {
	return keyring{
		byKey: make(map[addressKey]uint32), byAddress: make(map[keyedAddress]uint32), byCaller: make(map[string]uint32), max: most,
	}
}

// judge decides about the message of a ticket, and reports whether it is to run.
func (s *Shard) judge(b *envelope.Batch) (run bool) {
	t, e := b.Ticket, &b.Envelopes[0]
	t.Verdict = envelope.Taken
	if len(t.Key) == 0 {
		return true
	}
	s.lookBefore(b, e)
	_, caller, _ := b.Caller(e)
	if place, ok := s.keys.byKey[addressKey{keyedAddress{e.Function, alias(b.ID(e))}, alias(t.Key)}]; ok {
		k := &s.keys.list[place]
		if k.Body != t.Body || len(caller) > 0 && len(k.Caller) == 0 {
			t.Verdict = envelope.Conflicting // Who calls what has been sent would wait for an answer to nobody.
			return false
		}
		t.Verdict = envelope.Known
		s.ask(k, b, e, caller)
		return false
	}
	if s.keys.bytes >= s.keys.max {
		t.Verdict = envelope.Crowded
		return false
	}
	expires := s.now + clock.Instant(t.Window)
	if expires < s.now {
		expires = math.MaxInt64
	}
	place := s.keepKey(keyed{
		address: keyedAddress{e.Function, string(b.ID(e))}, key: string(t.Key), hash: e.Hash,
		Key: checkpoint.Key{Expires: expires, Body: t.Body, Caller: append([]byte(nil), caller...)},
	})
	s.logKey(place)
	return true
}

// ask has a caller get the answer that is known, or will be.
func (s *Shard) ask(k *keyed, b *envelope.Batch, e *envelope.Envelope, caller []byte) {
	switch fn, _, ok := b.Caller(e); {
	case !ok: // It only wants to know that the message has come.
	case k.Answered:
		s.sendAnswer(fn, caller, &k.Key)
	default:
		if len(k.asking) == askingMax {
			k.asking = slices.Delete(k.asking, 0, 1)
		}
		k.asking = append(k.asking, string(caller))
	}
}

// askingMax is how many callers of one key are told of its answer: the latest. Whoever has given up does not say
// so, and an answer may never come.
const askingMax = 256

func (s *Shard) keepKey(k keyed) (place uint32) {
	r := &s.keys
	if n := len(r.free) - 1; n >= 0 {
		place, r.free = r.free[n], r.free[:n]
		r.list[place] = k
	} else {
		place = uint32(len(r.list))
		r.list = append(r.list, k)
	}
	if last, ok := r.byAddress[k.address]; ok {
		r.list[place].next, r.list[last].prev = last+1, place+1
	}
	r.byAddress[k.address] = place
	r.byKey[addressKey{k.address, k.key}] = place
	if len(k.Caller) > 0 && !k.Answered {
		r.byCaller[string(k.Caller)] = place
	}
	r.count++
	r.bytes += k.bytes()
	r.list[place].timer = s.wheel.Add(int64(k.Expires), timerKey|uint64(place))
	return place
}

// logKey puts a key into the open epoch. It is written as it changes, so that there is nothing to freeze (P13).
func (s *Shard) logKey(place uint32) {
	if planted.KeyNotInCut {
		return
	}
	k := &s.keys.list[place]
	k.loggedIn = s.epoch.now
	s.putKey(k, s.epoch.parity())
}

func (s *Shard) putKey(k *keyed, parity int) {
	s.epoch.key = checkpoint.AppendKeyKey(s.epoch.key[:0], k.address.fn, bytesOf(k.address.id), bytesOf(k.key))
	s.epoch.value = checkpoint.AppendKey(s.epoch.value[:0], &k.Key)
	s.put(parity, s.groupOf(k.hash), s.epoch.key, s.epoch.value)
}

// dropKey forgets a key whose window is over.
func (s *Shard) dropKey(place uint32) {
	r := &s.keys
	k := &r.list[place]
	s.epoch.key = checkpoint.AppendKeyKey(s.epoch.key[:0], k.address.fn, bytesOf(k.address.id), bytesOf(k.key))
	s.delete(s.epoch.parity(), s.groupOf(k.hash), s.epoch.key)
	delete(r.byKey, addressKey{k.address, k.key})
	switch {
	case k.prev != 0:
		r.list[k.prev-1].next = k.next
	case k.next != 0:
		r.byAddress[k.address] = k.next - 1
	default:
		delete(r.byAddress, k.address)
	}
	if k.next != 0 {
		r.list[k.next-1].prev = k.prev
	}
	if at, ok := r.byCaller[string(k.Caller)]; ok && at == place {
		delete(r.byCaller, string(k.Caller))
	}
	r.bytes -= k.bytes()
	*k = keyed{}
	r.free = append(r.free, place)
	r.count--
}

// dropKeys forgets all keys of an address.
func (s *Shard) dropKeys(fn envelope.Function, id string) {
	for place, ok := s.keys.byAddress[keyedAddress{fn, id}]; ok; place, ok = s.keys.byAddress[keyedAddress{fn, id}] {
		s.wheel.Cancel(s.keys.list[place].timer)
		s.dropKey(place)
	}
}

// owes reports whether a call that has come under a key waits for its answer.
func (s *Shard) owes(fn envelope.Function, id string) bool {
	place, ok := s.keys.byAddress[keyedAddress{fn, id}]
	if !ok {
		return false
	}
	for at := place + 1; at != 0; at = s.keys.list[at-1].next {
		if k := &s.keys.list[at-1]; len(k.Caller) > 0 && !k.Answered {
			return true
		}
	}
	return false
}

// answer takes a message to a caller who has called under a key. The first is the answer.
func (s *Shard) answer(b *envelope.Batch, e *envelope.Envelope) {
	place, ok := s.keys.byCaller[alias(b.ID(e))]
	if !ok { // A further answer, which his door drops, or the window is over, and he still waits.
		s.forward(s.replies(), b, e)
		return
	}
	k := &s.keys.list[place]
	delete(s.keys.byCaller, string(k.Caller))
	typename, value := b.Named(e)
	s.keys.bytes -= k.bytes()
	k.Answered, k.Absent = true, e.IsAbsent()
	k.Typename, k.Value = append([]byte(nil), typename...), append([]byte(nil), value...)
	s.keys.bytes += k.bytes()
	s.logKey(place)
	s.sendAnswer(e.Function, k.Caller, &k.Key)
	for _, caller := range k.asking {
		s.sendAnswer(e.Function, bytesOf(caller), &k.Key)
	}
	k.asking = nil
}

// sendAnswer has an answer leave for a caller outside.
func (s *Shard) sendAnswer(fn envelope.Function, caller []byte, k *checkpoint.Key) {
	o := s.replies()
	b := o.open
	if b == nil || b.Full(s.batchMax) {
		b = s.extend(o)
	}
	e := b.Append(fn, envelope.Untyped, 0, alias(caller))
	b.SetNamed(e, alias(k.Typename), k.Value)
	if k.Absent {
		e.SetAbsent()
	}
}

// keyedCaller returns the key group of a caller who has called under a key: his id begins with its number, in
// four hexadecimal digits, and ends in a k.
func (s *Shard) keyedCaller(id string) (group statefun.KeyGroup, ok bool) {
	if len(id) < 6 || id[len(id)-1] != 'k' || id[4] != '-' {
		return 0, false
	}
	n, err := strconv.ParseUint(id[:4], 16, 16)
	return statefun.KeyGroup(n), err == nil && int(n) < len(s.route)
}

func (s *Shard) loadKey(e backend.Entry) error {
	number, id, key, err := checkpoint.ParseKeyKey(e.Key)
	if err != nil {
		return err
	}
	hash, err := s.locate(e, id)
	if err != nil {
		return err
	}
	if _, err := s.known(number); err != nil {
		return err
	}
	k, err := checkpoint.ParseKey(e.Value)
	if err != nil {
		return err
	}
	k.Caller = append([]byte(nil), k.Caller...)
	k.Typename, k.Value = append([]byte(nil), k.Typename...), append([]byte(nil), k.Value...)
	s.keepKey(keyed{address: keyedAddress{number, string(id)}, key: string(key), hash: hash, Key: k})
	return nil
}
