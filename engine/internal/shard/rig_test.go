// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"sort"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"pgregory.net/rapid"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/internal/checkpoint"
	"github.com/millrace-io/millrace/engine/internal/clock"
	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/internal/invariant"
	"github.com/millrace-io/millrace/engine/internal/table"
	"github.com/millrace-io/millrace/engine/statefun"
)

// The function types of a rig, by number.
const (
	fnProbe envelope.Function = iota
	fnCaller
)

var errWanted = errors.New("wanted")

type permanent struct{ error }

func (permanent) Permanent() bool { return true }

// rig is a shard alone, with a function that does what its messages say. A message is a list of commands,
// separated by semicolons:
//
//	+N          adds N to the number of the state
//	=TEXT       sets the text of the state
//	~           removes all state
//	>ID:WORD    sends WORD, a command, to another instance
//	@MS,ID:WORD sends it after MS milliseconds; the token is kept under WORD
//	xWORD       cancels what was kept under WORD
//	!WORD       emits a record
//	<WORD       sends WORD to the caller outside that is named "caller"
//	?           notes the state in r.log
//	fail, panic, permanent   fails, in that way
//	flaky       fails as often as r.flaky says
type rig struct {
	t      rapid.TB
	s      *Shard
	inv    Invocation
	now    clock.Instant
	tokens map[string]Token
	cancel map[string]bool // What Cancel has returned.
	flaky  int
	log    []string
	store  map[string]backend.Entry  // What the parts so far amount to,
	put    map[string]statefun.Epoch // and in which of them it was put last.

	lapStep  float64        // How far a lap comes with each cut.
	lap      Lap            // As it is told.
	lapStart statefun.Epoch // The epoch that was closing when it began.
	since    statefun.Epoch // That from which on everything has been put, when the next part is there.
}

type rigConfig struct {
	shards, senders, batchMax, retries int
	limits                             Limits
	more                               func(*Config) // Adds what else the shard is to have.
}

const rigStart = 1_000_000

// The state of a probe: a number, kept as it lies in memory, and a text, kept encoded.
type probeState struct {
	n    int64
	text Cell
}

func newRig(t rapid.TB, c rigConfig) *rig {
	r := &rig{t: t, store: map[string]backend.Entry{}, put: map[string]statefun.Epoch{}, now: rigStart, tokens: map[string]Token{}, cancel: map[string]bool{}}
	if c.shards == 0 {
		c.shards = 1
	}
	if c.senders == 0 {
		c.senders = c.shards
	}
	if c.batchMax == 0 {
		c.batchMax = 4
	}
	if c.limits == (Limits{}) {
		c.limits = Limits{SendsMax: 1000, PayloadBytesMax: 1000}
	}
	route := make([]uint16, 16)
	for g := range route {
		route[g] = uint16(g * c.shards / len(route))
	}
	probe := &Function{
		Type: statefun.FunctionType{Namespace: "test", Name: "probe"},
		Impl: unsafe.Pointer(r),
		Inputs: []Input{
			{Typename: "test/word", Wire: func(impl unsafe.Pointer, inv *Invocation, payload []byte) error {
				return (*rig)(impl).do(inv, string(payload))
			}},
			{Typename: "test/add", Encode: encodeNumber, Memory: func(_ unsafe.Pointer, inv *Invocation, payload unsafe.Pointer) error {
				inv.Touch()
				stateOf(inv).n += *(*int64)(payload)
				inv.Row.Present |= 1
				return nil
			}, Wire: func(_ unsafe.Pointer, inv *Invocation, payload []byte) error {
				var n int64
				if err := decodeNumber(unsafe.Pointer(&n), payload); err != nil {
					return err
				}
				inv.Touch()
				stateOf(inv).n += n
				inv.Row.Present |= 1
				return nil
			}},
		},
		ByTypename: map[string]envelope.Input{"test/word": 0, "test/add": 1},
		Values: []Value{
			{Name: "n", Typename: "test/n", Encode: encodeNumber, Decode: decodeNumber},
			{Name: "text", Typename: "test/text", Number: 1, Offset: unsafe.Offsetof(probeState{}.text)},
		},
		StateBytes: int(unsafe.Sizeof(probeState{})),
		Retries:    c.retries,
	}
	caller := &Function{Type: statefun.FunctionType{Namespace: "test", Name: "caller"}, External: true}
	config := Config{
		Shards: c.shards, Route: route, Functions: []*Function{probe, caller}, Senders: c.senders,
		BatchMax: c.batchMax, Limits: c.limits, Now: r.now,
		Memory: func(n int) []byte { return make([]byte, n) }, Rand: rand.New(rand.NewPCG(1, 2)),
	}
	if c.more != nil {
		c.more(&config)
	}
	r.s = New(config)
	r.s.Bind(&r.inv)
	return r
}

func stateOf(inv *Invocation) *probeState { return (*probeState)(inv.State) }

func (r *rig) do(inv *Invocation, words string) error {
	for word := range strings.SplitSeq(words, ";") {
		rest := word[min(1, len(word)):]
		switch {
		case word == "fail":
			return errWanted
		case word == "flaky" && r.flaky > 0:
			r.flaky--
			return errWanted
		case word == "permanent":
			return fmt.Errorf("wrapped: %w", permanent{errWanted})
		case word == "panic":
			panic("as wanted")
		case word == "flaky", word == "":
		case word[0] == '+':
			n, _ := strconv.ParseInt(rest, 10, 64)
			inv.Touch()
			stateOf(inv).n += n
			inv.Row.Present |= 1
		case word[0] == '=':
			inv.Touch()
			inv.SetBytes(&stateOf(inv).text, []byte(rest))
			inv.Row.Present |= 2
		case word[0] == '~':
			inv.Touch()
			inv.SetBytes(&stateOf(inv).text, nil)
			stateOf(inv).n = 0
			inv.Row.Present = 0
		case word[0] == '>':
			id, word, _ := strings.Cut(rest, ":")
			b, e := inv.Post(fnProbe, 0, statefun.KeyHash(id), id)
			b.SetWire(e, []byte(word))
		case word[0] == '@':
			after, to, _ := strings.Cut(rest, ",")
			id, word, _ := strings.Cut(to, ":")
			ms, _ := strconv.ParseInt(after, 10, 64)
			b, e, token := inv.PostAfter(ms, fnProbe, 0, statefun.KeyHash(id), id)
			b.SetWire(e, []byte(word))
			r.tokens[word] = token
		case word[0] == 'x':
			r.cancel[rest] = inv.Cancel(r.tokens[rest])
		case word[0] == '!':
			b, e := inv.PostEgress(7)
			b.SetNamed(e, "test/record", []byte(rest))
		case word[0] == '<':
			b, e := inv.Post(fnCaller, envelope.Untyped, statefun.KeyHash("caller"), "caller")
			b.SetNamed(e, "test/answer", []byte(rest))
		case word[0] == '?':
			r.log = append(r.log, inv.Self().ID+" "+r.describe(inv.Row))
		default:
			r.t.Errorf("the probe does not know %q", word)
		}
	}
	return nil
}

// describe writes a row's state as the tests do: "n=1 text=foo", or "none".
func (r *rig) describe(row *table.Row) string {
	state := (*probeState)(row.State())
	var parts []string
	if row.Present&1 != 0 {
		parts = append(parts, fmt.Sprintf("n=%d", state.n))
	}
	if row.Present&2 != 0 {
		parts = append(parts, "text="+string(r.inv.Bytes(&state.text)))
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, " ")
}

// batch makes a batch of messages, each an id and a word with a space between them.
func (r *rig) batch(epoch statefun.Epoch, messages ...string) *envelope.Batch {
	b := envelope.New(len(messages))
	b.Epoch = epoch
	for _, m := range messages {
		id, word, _ := strings.Cut(m, " ")
		b.SetWire(b.Append(fnProbe, 0, statefun.KeyHash(id), id), []byte(word))
	}
	return b
}

// step runs messages in a batch from a door.
func (r *rig) step(messages ...string) { r.s.Step(r.now, r.batch(0, messages...)) }

func (r *rig) resume(ids ...string) { r.control(false, ids) }

// skip resumes addresses without their first messages.
func (r *rig) skip(ids ...string) { r.control(true, ids) }

func (r *rig) control(skip bool, ids []string) {
	b := envelope.New(1)
	for _, id := range ids {
		b.AppendResume(fnProbe, statefun.KeyHash(id), id, skip)
	}
	r.s.Step(r.now, b)
}

// advance moves time on and fires what is due, one timer after the other.
func (r *rig) advance(ms clock.Instant) {
	r.now += ms
	for r.s.Advance(r.now, 1) {
	}
}

// rows calls f for each instance of the probe.
func (r *rig) rows(f func(id string, row *table.Row)) {
	t := r.s.fns[fnProbe].table
	for slot := range t.Slots() {
		if row := t.Row(table.Slot(slot)); row.IDLen() > 0 {
			f(string(t.ID(row)), row)
		}
	}
}

// state describes all instances, in order: "a n=1, b none".
func (r *rig) state() string {
	var all []string
	r.rows(func(id string, row *table.Row) { all = append(all, id+" "+r.describe(row)) })
	sort.Strings(all)
	return strings.Join(all, ", ")
}

// messages describes the messages of a batch: "a→b:WORD", or "marker 2".
func (r *rig) messages(b *envelope.Batch) (all []string) {
	if len(b.Envelopes) == 0 {
		return []string{fmt.Sprintf("marker %d", b.Epoch)}
	}
	for i := range b.Envelopes {
		e := &b.Envelopes[i]
		_, from, _ := b.Caller(e)
		word := string(b.Wire(e))
		if e.Input == envelope.Untyped {
			_, value := b.Named(e)
			word = string(value)
		}
		all = append(all, fmt.Sprintf("%s→%s:%s", from, b.ID(e), word))
	}
	return all
}

// out takes what is to leave, and describes it in order: "0: a→b:+1 | replies: … | egress: …".
func (r *rig) out() string {
	var all []string
	add := func(name string, batches []*envelope.Batch) {
		var messages []string
		for _, b := range batches {
			messages = append(messages, r.messages(b)...)
		}
		if len(messages) > 0 {
			all = append(all, name+": "+strings.Join(messages, " "))
		}
	}
	for to := range len(r.s.outlets) - extraOutlets {
		add(strconv.Itoa(to), r.s.Drain(to))
	}
	add("replies", r.s.DrainReplies())
	add("egress", r.s.DrainEgress())
	return strings.Join(all, " | ")
}

// failures takes what has failed: "a 1 wanted, b 2 suspended panic: as wanted".
func (r *rig) failures() string {
	var all []string
	for _, f := range r.s.Failures() {
		if f.Resumed {
			continue
		}
		s := fmt.Sprintf("%s %d ", f.Address.ID, f.Attempt)
		if f.Suspended {
			s += "suspended "
		}
		all = append(all, s+f.Err.Error())
	}
	return strings.Join(all, ", ")
}

func encodeNumber(dst []byte, p unsafe.Pointer) ([]byte, error) {
	return strconv.AppendInt(dst, *(*int64)(p), 10), nil
}

func decodeNumber(p unsafe.Pointer, b []byte) (err error) {
	*(*int64)(p), err = strconv.ParseInt(string(b), 10, 64)
	return err
}

// part encodes what is frozen and returns what the closing epoch's part says of state: "put a n=1, delete b".
func (r *rig) part() string {
	r.t.Helper()
	states, _ := r.parts()
	return states
}

// whole puts the pieces of a part together.
func whole(p Part) backend.Part {
	all := backend.Part{Shard: p.Shard}
	for _, piece := range p.Changes {
		all.Changes = append(all.Changes, piece.Changes...)
	}
	return all
}

// parts is part that also returns what the part says of messages in flight: "wait a test/word:+1, gone b".
func (r *rig) parts() (states, messages string) {
	r.t.Helper()
	var state, other []string
	r.takePart(func(c backend.Change) {
		if checkpoint.KindOf(c.Key) == checkpoint.KindState {
			state = append(state, r.change(c))
		} else {
			other = append(other, r.flying(c))
		}
	})
	return strings.Join(state, ", "), strings.Join(other, ", ")
}

// takePart encodes what is frozen, has the store follow what the closing epoch's part says, and shows each change, in
// order.
func (r *rig) takePart(show func(backend.Change)) {
	r.t.Helper()
	for r.s.EncodeFrozen(1) {
	}
	p, ok := r.s.Part()
	if !ok {
		r.t.Fatalf("the part is not complete: %d markers, drained %v", r.s.epoch.markers, r.s.epoch.drained)
	}
	for c, err := range whole(p).All() {
		if err != nil {
			r.t.Fatal(err)
		}
		r.apply(c, p.Epoch)
		show(c)
	}
	r.lapped(p)
}

// lapped checks what follows from laps when the part of an epoch is there: nothing is older.
func (r *rig) lapped(p Part) {
	for key, epoch := range r.put {
		if epoch < r.since {
			r.t.Fatalf("with the part of epoch %d everything has been put since epoch %d; %q was in epoch %d", p.Epoch, r.since, key, epoch)
		}
	}
	if r.lap.Done >= 1 {
		r.since = r.lapStart
	}
}

// apply changes the store, as a backend does. What a shard deletes must be there.
func (r *rig) apply(c backend.Change, epoch statefun.Epoch) {
	key := fmt.Sprintf("%d/%s", c.Group, c.Key)
	if _, ok := r.store[key]; c.Delete && !ok {
		r.t.Fatalf("the part deletes %q of group %d, which the store does not have", c.Key, c.Group)
	}
	if c.Delete {
		delete(r.store, key)
		delete(r.put, key)
		return
	}
	r.put[key] = epoch
	r.store[key] = backend.Entry{Group: c.Group, Key: bytes.Clone(c.Key), Value: bytes.Clone(c.Value)}
}

// flying describes a change that is not about state.
func (r *rig) flying(c backend.Change) string {
	verb := map[bool]string{false: "", true: "gone "}[c.Delete]
	switch checkpoint.KindOf(c.Key) {
	case checkpoint.KindMessage:
		_, id, _, err := checkpoint.ParseMessageKey(c.Key)
		if err != nil || c.Delete {
			return verb + string(id)
		}
		m, err := checkpoint.ParseMessage(c.Value)
		if err != nil {
			r.t.Fatal(err)
		}
		return fmt.Sprintf("%s:%s", id, m.Value)
	case checkpoint.KindDelayed:
		if c.Delete {
			return "gone delayed"
		}
		d, err := checkpoint.ParseDelayed(c.Value)
		if err != nil {
			r.t.Fatal(err)
		}
		return fmt.Sprintf("%s:%s in %d", d.ID, d.Value, d.Due-rigStart)
	case checkpoint.KindSuspended:
		_, id, err := checkpoint.ParseSuspendedKey(c.Key)
		if err != nil {
			r.t.Fatal(err)
		}
		return verb + "suspended " + string(id)
	}
	_, id, key, err := checkpoint.ParseKeyKey(c.Key)
	if err != nil {
		r.t.Fatal(err)
	}
	return fmt.Sprintf("%skey %s of %s", verb, key, id)
}

// reloaded returns a shard that has been loaded from the store, one of as many as there are.
func (r *rig) reloaded(c rigConfig, more func(*Config)) *rig {
	r.t.Helper()
	given := c.more
	c.more = func(config *Config) {
		config.Now, config.Epoch, config.Numbers = r.now, r.s.Epoch()+1, r.s.numbers
		for _, f := range []func(*Config){given, more} {
			if f != nil {
				f(config)
			}
		}
	}
	n := newRig(r.t, c)
	n.now = r.now
	for key, e := range r.store { // In any order.
		if int(n.s.route[e.Group]) != n.s.id {
			continue
		}
		n.store[key], n.put[key] = e, r.put[key]
		if err := n.s.Load(e); err != nil {
			r.t.Fatalf("load %q: %v", key, err)
		}
	}
	n.s.Loaded()
	return n
}

func (r *rig) change(c backend.Change) string {
	fn, id, err := checkpoint.ParseStateKey(c.Key)
	if err != nil || fn != fnProbe || c.Group != statefun.KeyGroupOf(statefun.KeyHash(string(id)), len(r.s.route)) {
		r.t.Fatalf("a change of function %d, id %q, key group %d: %v", fn, id, c.Group, err)
	}
	if c.Delete {
		return "delete " + string(id)
	}
	if err := checkpoint.Validate(c.Value); err != nil {
		r.t.Fatal(err)
	}
	s := "put " + string(id)
	for v := range checkpoint.Values(c.Value) {
		s += " " + [...]string{"n", "text"}[v.Number] + "=" + string(v.Bytes)
	}
	return s
}

// cut ends the open epoch, as an announcement does, and gives the shard the marker of every sender.
func (r *rig) cut() {
	epoch := r.s.Epoch() + 1
	r.s.Cut(epoch)
	if r.lapStep > 0 {
		if r.lap.Number == 0 || r.lap.Done >= 1 {
			r.lap, r.lapStart = Lap{Number: r.lap.Number + 1}, epoch-1
		}
		r.lap.Done += r.lapStep
		r.s.ContinueLap(r.lap)
	}
	for range r.s.senders {
		r.s.Step(r.now, &envelope.Batch{Epoch: epoch})
	}
}

func want(t *testing.T, what, got, wanted string) {
	t.Helper()
	if got != wanted {
		t.Errorf("%s:\n got %q\nwant %q", what, got, wanted)
	}
}

// breaks reports whether f breaks an invariant.
func breaks(f func()) (broken bool) {
	defer func() { _, broken = recover().(invariant.Broken) }()
	f()
	return false
}

// idOn returns an id of a shard.
func (r *rig) idOn(shard int) string {
	for i := 0; ; i++ {
		id := "id" + strconv.Itoa(i)
		if r.s.destination(fnProbe, statefun.KeyHash(id), id) == shard {
			return id
		}
	}
}

// word8 is a payload for the input that adds, as it lies in memory.
func word8(b *envelope.Batch, id string, n int64) {
	*(*int64)(b.Append(fnProbe, 1, statefun.KeyHash(id), id).Inline(8)) = n
}
