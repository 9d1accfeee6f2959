// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unsafe"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/internal/checkpoint"
	"github.com/millrace-io/millrace/engine/internal/clock"
	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/internal/mailbox"
	"github.com/millrace-io/millrace/engine/internal/shard"
	"github.com/millrace-io/millrace/engine/statefun"
)

// The function types of a floor, by number.
const (
	fnEcho envelope.Function = iota
	fnCaller
)

// floor is two loops with their coordinator, and no goroutine. Its function sends on what stands behind ">ID ",
// and answers all else to a caller outside.
type floor struct {
	*office
	loops     []*Loop
	answers   []string
	now       clock.Instant
	ran       int
	meanwhile func() // What others do while "meanwhile" is run.
}

func newFloor(t *testing.T) *floor {
	f := &floor{office: newOffice(t, 0, nil), now: 1000}
	route := make([]uint16, groups)
	for g := range route {
		route[g] = uint16(g * 2 / groups)
	}
	for id := range 2 {
		s := shard.New(shard.Config{
			ID: id, Shards: 2, Route: route, Senders: 2, BatchMax: 4, Limits: shard.Limits{SendsMax: 10, PayloadBytesMax: 1000},
			Functions: []*shard.Function{
				{Type: statefun.FunctionType{Namespace: "test", Name: "echo"}, Impl: unsafe.Pointer(f), Any: echo},
				{Type: statefun.FunctionType{Namespace: "test", Name: "caller"}, External: true},
			},
			Memory: func(n int) []byte { return make([]byte, n) }, Rand: rand.New(rand.NewPCG(1, 2)),
			Now: f.now, Epoch: f.announce.Epoch(),
		})
		s.Bind(&shard.Invocation{})
		f.loops = append(f.loops, NewLoop(LoopConfig{
			Shard: s, Gate: f.gate, Inbox: mailbox.NewInbox[envelope.Batch](8), Announce: f.announce, Outflow: f.outflow,
			Hooks: Hooks{
				Part: f.epochs.AddPart, Recycle: func(*envelope.Batch) {}, Failed: func(f shard.Failure) { t.Error(f.Err) },
				Replies: func(b *envelope.Batch, hold func(*envelope.Ticket)) {
					for i := range b.Envelopes {
						_, value := b.Named(&b.Envelopes[i])
						f.answers = append(f.answers, string(value))
						hold(f.ticket("answer " + string(value)))
					}
				},
			},
		}))
	}
	Connect(f.loops, nil, 8, f.gate)
	return f
}

func echo(impl unsafe.Pointer, inv *shard.Invocation, _ string, value []byte) error {
	f := (*floor)(impl)
	f.ran++
	fn, id, text := fnCaller, []byte("me"), string(value)
	if text == "meanwhile" {
		f.meanwhile()
	}
	if to, rest, ok := strings.Cut(text, " "); ok && strings.HasPrefix(to, ">") {
		fn, id, text = fnEcho, []byte(to[1:]), rest
	}
	b, e := inv.Post(fn, envelope.Untyped, statefun.KeyHash(string(id)), string(id))
	b.SetNamed(e, "test/word", []byte(text))
	return nil
}

// at returns an id of a shard.
func at(loop int) string {
	for n := 0; ; n++ {
		if id := fmt.Sprint(n); int(groupOf(id, groups))*2/groups == loop {
			return id
		}
	}
}

// send leaves a message at an address of a shard.
func (f *floor) send(loop int, text string, t *envelope.Ticket) {
	b := envelope.New(1)
	id := at(loop)
	e := b.Append(fnEcho, envelope.Untyped, statefun.KeyHash(id), id)
	b.SetNamed(e, "test/word", []byte(text))
	e.SetCaller(b.AppendCaller(fnCaller, []byte("me")))
	b.Ticket = t
	f.gate.Add(b.Bytes())
	if !f.loops[loop].Inbox().TryPush(b) {
		f.t.Fatal("the inbox is full")
	}
}

func (f *floor) step(loop int) bool { return f.loops[loop].Turn(f.now) }

func (f *floor) settle() {
	for f.step(0) || f.step(1) {
	}
}

func (f *floor) epoch(begin bool) {
	f.t.Helper()
	if err := f.turn(begin); err != nil {
		f.t.Fatal(err)
	}
}

// messages lists the messages that the store holds.
func (f *floor) messages() (list []string) {
	for e, err := range f.Scan(f.t.Context(), backend.KeyGroupRange{End: groups}) {
		if err != nil {
			f.t.Fatal(err)
		}
		if checkpoint.KindOf(e.Key) != checkpoint.KindMessage {
			continue
		}
		_, id, _, err := checkpoint.ParseMessageKey(e.Key)
		if err != nil {
			f.t.Fatal(err)
		}
		m, err := checkpoint.ParseMessage(e.Value)
		if err != nil {
			f.t.Fatal(err)
		}
		list = append(list, fmt.Sprintf("%s %s", id, m.Value))
	}
	return list
}

// A ticket belongs to the epoch that is open when the message is taken, however long it has lain there (P18), and
// an answer's to the one in which it leaves. One that is not durable, or refused, comes back at once.
func TestLoopTickets(t *testing.T) {
	f := newFloor(t)
	f.send(0, "early", f.ticket("early"))
	f.step(0)
	f.want("told at once", f.told)
	if !f.announce.Wanted() {
		t.Error("nobody knows that somebody waits")
	}
	f.send(0, "late", f.ticket("late")) // Pushed before the cut, and taken after it.
	f.epoch(false)
	f.send(1, "another", f.ticket("another"))
	f.settle()
	f.epoch(false)
	f.want("told by epoch 10", f.told, "early", "answer early")
	f.settle()
	f.epoch(false)
	f.want("told by epoch 11", f.told, "early", "answer early", "another", "answer another", "late", "answer late")
	f.want("answers", f.answers, "early", "late", "another")

	f.told = nil
	once := f.ticket("not durable")
	once.Durable = false
	f.send(0, "once", once)
	f.settle()
	f.want("not durable", f.told, "not durable")
	f.epoch(false)
	f.settle()
	f.epoch(false)
	f.told = nil
	for _, body := range []byte{1, 1, 2} {
		named := f.ticket(fmt.Sprint("body ", body))
		named.Key, named.Window, named.Body = []byte("key"), 1000, [16]byte{body}
		f.send(1, "named", named)
	}
	f.settle()
	f.want("another body", f.told, "body 2")
	f.epoch(false)
	f.settle()
	f.epoch(false)
	f.want("told with their epoch", f.told, "body 2", "body 1", "body 1", "answer named")
}

// What a shard has done before a cut in the middle of its turn is of the epoch that ends, and leaves with it.
func TestLoopCutsWithinTurn(t *testing.T) {
	f := newFloor(t)
	f.send(0, ">"+at(0)+" meanwhile", nil)
	f.step(0)
	f.meanwhile = func() {
		f.epochs.last = true
		f.epoch(true)
		f.step(1) // Its marker is here before this turn is over.
	}
	f.settle()
	f.epoch(false)
	f.want("answers", f.answers, "meanwhile")
	f.want("told", f.told, "answer meanwhile")
	f.want("in the checkpoint", f.messages())
}

// After the cut of the last epoch nothing leaves a shard: what was in flight is in the checkpoint and is run
// again after the next start, what lies in the inbox stays there, and answers are not given (P40).
func TestLoopLast(t *testing.T) {
	f := newFloor(t)
	onwards := ">" + at(1) + " in flight"
	f.send(1, ">"+at(0)+" "+onwards, nil)
	f.send(1, ">"+at(0)+" in flight", nil)
	f.step(1) // On their way from shard 1 to shard 0.
	f.send(0, "not taken", f.ticket("not taken"))
	f.epochs.last = true
	f.epoch(true)
	for f.step(0) {
	}
	f.step(1)
	f.settle()
	f.epoch(false)
	if cp, ok, err := f.Latest(t.Context()); err != nil || !ok || cp.Epoch != 10 {
		t.Fatalf("%+v, %v, %v", cp, ok, err)
	}
	f.want("in the checkpoint", f.messages(), at(0)+" "+onwards, at(0)+" in flight")
	f.want("answers", f.answers)
	f.want("told", f.told)
	if f.ran != 4 {
		t.Errorf("%d messages were run; want the first two, and those two that had to be logged", f.ran)
	}
	f.send(1, "too late", f.ticket("too late"))
	f.now += 1000
	f.settle()
	f.epoch(true)
	f.want("answers in the end", f.answers)
	if f.announce.Epoch() != 11 || f.ran != 4 || f.step(0) || f.step(1) {
		t.Errorf("shards go on in epoch %d, %d messages were run", f.announce.Epoch(), f.ran)
	}
}
