// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/backendtest"
	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/internal/checkpoint"
	"github.com/millrace-io/millrace/engine/internal/clock"
	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/internal/mailbox"
	"github.com/millrace-io/millrace/engine/internal/shard"
	"github.com/millrace-io/millrace/engine/statefun"
)

var errTest = errors.New("as the test wants it")

const (
	groups = 16
	sender = envelope.Function(0)
)

// office is a coordinator of two shards, of which there are only the parts, and what stands behind it.
type office struct {
	*backendtest.Model
	t         *testing.T
	announce  *Announcement
	gate      *mailbox.Gate
	outflow   *Outflow
	drain     *Drain
	epochs    *Epochs
	before    func() error // What happens in a commit, and what comes of it.
	commits   []string     // What was to be committed.
	published []connector.Record
	dones     []func(error)
	stuck     []string
	told      []string // Tickets, by their name, in the order in which they came back.
}

func newOffice(t *testing.T, sources int, more func(*EpochsConfig)) *office {
	t.Helper()
	model, err := backendtest.NewModel(backend.Options{Application: "test", KeyGroups: groups})
	if err != nil {
		t.Fatal(err)
	}
	o := &office{Model: model, t: t, announce: NewAnnouncement(t.Context(), 10), gate: mailbox.NewGate(1 << 20), before: func() error { return nil }}
	o.drain = NewDrain("test/out", way{o}, func(connector.Record, error) {})
	o.outflow = NewOutflow(OutflowConfig{
		Application: "test", Sinks: []*Drain{o.drain}, Gate: o.gate, Stores: true, KeyGroups: groups, BytesMax: 1000,
		Types: func(n envelope.Function) (statefun.FunctionType, bool) {
			return statefun.FunctionType{Namespace: "test", Name: "sender"}, n == sender
		},
	})
	c := EpochsConfig{
		Shards: 2, Sources: sources, Announce: o.announce, Backend: o, Outflow: o.outflow, Gate: o.gate,
		Template: backend.Checkpoint{Application: "test", Generation: 1, KeyGroups: groups},
		Names:    func() []byte { return []byte("names") },
		Stuck:    func(e statefun.Epoch, err error) { o.stuck = append(o.stuck, fmt.Sprint(e, " ", err)) },
	}
	if more != nil {
		more(&c)
	}
	o.epochs = NewEpochs(c)
	return o
}

func (o *office) Commit(ctx context.Context, cp backend.Checkpoint, parts []backend.Part) error {
	o.commits = append(o.commits, fmt.Sprintf("%+v %x", cp, parts))
	if err := o.before(); err != nil {
		return err
	}
	return o.Model.Commit(ctx, cp, parts)
}

// way is the sink. It is done with records when the test says so.
type way struct{ o *office }

func (way) Open(context.Context) error  { return nil }
func (way) Close(context.Context) error { return nil }

func (w way) Publish(r connector.Record, done func(error)) {
	w.o.published, w.o.dones = append(w.o.published, r), append(w.o.dones, done)
}

func (o *office) turn(begin bool) error {
	_, err := o.epochs.Turn(o.t.Context(), begin)
	o.drain.Turn()
	return err
}

// part has a shard hand its part of the closing epoch over, with records and the tickets of those who wait.
func (o *office) part(number int, records []string, tickets ...string) {
	p := Part{Part: shard.Part{
		Shard: number, Changes: []backend.Part{{Shard: number}}, Epoch: o.announce.Epoch() - 1, Now: clock.Instant(1000 + number), Numbers: uint64(70 - number),
	}}
	for _, r := range records {
		b := envelope.New(1)
		e := b.Append(0, envelope.Untyped, 0, "")
		e.SetCaller(b.AppendCaller(sender, []byte("s"+r)))
		b.SetNamed(e, "test/record", []byte(r))
		p.Egress, p.EgressBytes = append(p.Egress, b), p.EgressBytes+b.Bytes()
	}
	o.gate.Add(p.EgressBytes)
	for _, name := range tickets {
		p.Tickets = append(p.Tickets, o.ticket(name))
	}
	o.epochs.AddPart(p)
}

func (o *office) ticket(name string) *envelope.Ticket {
	return &envelope.Ticket{Durable: true, Done: func(*envelope.Ticket) { o.told = append(o.told, name) }}
}

// records lists what the store holds of records: their names.
func (o *office) records() (names []string) {
	for e, err := range o.Scan(context.Background(), backend.KeyGroupRange{End: groups}) {
		if err != nil {
			o.t.Fatal(err)
		}
		epoch, index, err := checkpoint.ParseRecordKey(e.Key)
		if err != nil {
			o.t.Fatal(err)
		}
		r, err := checkpoint.ParseRecord(e.Value)
		if err != nil {
			o.t.Fatal(err)
		}
		names = append(names, fmt.Sprintf("%d.%d %s", epoch, index, r.Value))
	}
	slices.Sort(names)
	return names
}

func (o *office) want(what string, got []string, want ...string) {
	o.t.Helper()
	if !slices.Equal(got, want) {
		o.t.Errorf("%s: %q; want %q", what, got, want)
	}
}

// The checkpoint has what all shards and sources have said, what is carried, and the records. Only when it is
// committed its tickets come back and its records leave (I5); what a sink is done with goes with the next.
func TestEpochsCommit(t *testing.T) {
	o := newOffice(t, 1, func(c *EpochsConfig) {
		c.Numbers, c.Carried = 50, []backend.SourcePosition{{Source: "gone", Position: []byte("x")}}
	})
	o.before = func() error {
		if len(o.told)+len(o.published) > 0 {
			t.Errorf("before the commit has returned %q are told, %d records have left", o.told, len(o.published))
		}
		return nil
	}
	if err := o.turn(true); err != nil || len(o.commits) > 0 {
		t.Fatalf("committed without parts: %v", err)
	}
	o.part(1, []string{"c"}, "second")
	o.part(0, []string{"a", "b"}, "first")
	o.epochs.AddPosition(Position{Epoch: 10, Source: "here", Position: []byte("7"), Ticket: o.ticket("source")})
	if err := o.turn(false); err != nil {
		t.Fatal(err)
	}
	cp, ok, err := o.Latest(t.Context())
	if err != nil || !ok || cp.Epoch != 10 || cp.Numbers != 70 || cp.CreatedAt != 1001 || string(cp.Names) != "names" || cp.Generation != 1 {
		t.Errorf("%+v, %v, %v", cp, ok, err)
	}
	if s := fmt.Sprintf("%q", cp.Sources); s != `[{"gone" "x"} {"here" "7"}]` {
		t.Errorf("positions %s", s)
	}
	o.want("told", o.told, "second", "first", "source")
	o.want("stored", o.records(), "10.0 a", "10.1 b", "10.2 c")
	var left []string
	for i, r := range o.published {
		left = append(left, fmt.Sprintf("%d.%d %s %s", r.Epoch, r.Index, r.Sender.ID, r.Value))
		if i != 1 {
			o.dones[i](nil)
		}
	}
	o.want("left", left, "10.0 sa a", "10.1 sb b", "10.2 sc c")

	o.before = func() error { return nil }
	o.told = nil
	if err := o.turn(true); err != nil {
		t.Fatal(err)
	}
	o.part(0, nil)
	o.part(1, []string{"d"})
	o.epochs.AddPosition(Position{Epoch: 11, Source: "here", Position: []byte("8")})
	if err := o.turn(false); err != nil {
		t.Fatal(err)
	}
	o.want("stored after the next", o.records(), "10.1 b", "11.0 d")
	o.want("told by the next", o.told)
	if n, bytes := o.epochs.Committed(); n != 2 || bytes == 0 {
		t.Errorf("%d epochs, %d bytes", n, bytes)
	}
}

// That somebody waits is a level of the open epoch: it ends at once if it can, and else when the closing one is
// committed (P20). An epoch for which nobody waits does not end by itself.
func TestEpochsWanted(t *testing.T) {
	o := newOffice(t, 0, nil)
	step := func(what string, want statefun.Epoch) {
		t.Helper()
		if err := o.turn(false); err != nil {
			t.Fatal(err)
		}
		if got := o.announce.Epoch(); got != want {
			t.Fatalf("%s: epoch %d is announced; want %d", what, got, want)
		}
	}
	step("nobody waits", 10)
	o.announce.Want(10)
	step("somebody does", 11)
	o.announce.Want(10)
	o.part(0, nil)
	step("half of it is there", 11)
	o.announce.Want(11)
	step("another waits for the next", 11)
	o.part(1, nil)
	step("committed", 12)
	o.announce.Want(11) // Late: it is closing.
	o.part(0, nil)
	o.part(1, nil)
	step("nobody waits for the open one", 12)
	if len(o.commits) != 2 {
		t.Errorf("%d commits", len(o.commits))
	}
}

// A commit that fails is tried again with the same bytes, whatever sinks and senders do meanwhile; ingress is held
// (P24, D5).
func TestEpochsCommitIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, 0, nil)
		commit := func(records ...string) {
			t.Helper()
			if err := o.turn(true); err != nil {
				t.Fatal(err)
			}
			o.part(0, records)
			o.part(1, nil, "waits")
			if err := o.turn(false); err != nil {
				t.Fatal(err)
			}
		}
		commit("a", "b", "c")
		o.dones[0](nil)
		o.commits, o.told = nil, nil
		tries := 0
		o.before = func() error {
			if tries++; tries < 3 {
				o.dones[tries](nil) // It belongs to the next commit.
				return errTest
			}
			if o.gate.Open() || len(o.told) > 0 {
				t.Errorf("the gate is open: %v; told: %q", o.gate.Open(), o.told)
			}
			return nil
		}
		commit("d")
		if len(o.commits) != 3 || o.commits[0] != o.commits[1] || o.commits[0] != o.commits[2] {
			t.Errorf("tried:\n%s", strings.Join(o.commits, "\n"))
		}
		o.want("stuck", o.stuck, "11 as the test wants it", "11 <nil>")
		o.want("told", o.told, "waits")
		o.want("stored", o.records(), "10.1 b", "10.2 c", "11.0 d")
		if !o.gate.Open() || o.epochs.Failures() != 2 {
			t.Errorf("the gate is open: %v, %d failures", o.gate.Open(), o.epochs.Failures())
		}
		o.before = func() error { return nil }
		commit()
		o.want("stored in the end", o.records(), "11.0 d")
	})
}

// Doubt ends it: the commit is not tried again, and nobody is told (D6).
func TestEpochsInDoubt(t *testing.T) {
	for _, fatal := range []error{backend.ErrFenced, backend.ErrCorrupt, backend.ErrSync, backend.ErrEpochOrder} {
		o := newOffice(t, 0, nil)
		o.before = func() error { return fmt.Errorf("store: %w", fatal) }
		if err := o.turn(true); err != nil {
			t.Fatal(err)
		}
		o.part(0, []string{"a"}, "waits")
		o.part(1, nil)
		if err := o.turn(false); !errors.Is(err, fatal) {
			t.Errorf("%v: got %v", fatal, err)
		}
		if len(o.commits) != 1 || len(o.told)+len(o.published)+len(o.stuck) > 0 {
			t.Errorf("%v: %d commits, told %q, %d records have left", fatal, len(o.commits), o.told, len(o.published))
		}
	}
}

// After the last epoch there is no other, whoever asks. One more commit has the store forget the records that
// sinks are done with; without any there is none (P40).
func TestEpochsLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, 1, func(c *EpochsConfig) { c.Interval = time.Second })
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- o.epochs.Run(ctx) }()
		last := make(chan error, 1)
		go func() { last <- o.epochs.Last(ctx) }()
		synctest.Wait()
		if o.announce.Epoch() != 11 || o.announce.Last() != 10 {
			t.Fatalf("epoch %d is announced, the last is %d", o.announce.Epoch(), o.announce.Last())
		}
		if err := o.epochs.Checkpoint(ctx); err == nil {
			t.Error("a checkpoint after the last")
		}
		o.part(0, []string{"a", "b"}, "waits")
		o.part(1, nil)
		o.epochs.AddPosition(Position{Epoch: 10, Source: "here", Position: []byte("7")})
		if err := <-last; err != nil {
			t.Fatal(err)
		}
		o.announce.Want(11)
		time.Sleep(time.Minute)
		if o.announce.Epoch() != 11 || len(o.commits) != 1 {
			t.Errorf("epoch %d is announced, %d commits", o.announce.Epoch(), len(o.commits))
		}
		if err := o.epochs.Sweep(ctx); err != nil || len(o.commits) != 1 {
			t.Errorf("with nothing to forget: %v, %d commits", err, len(o.commits))
		}
		o.drain.Turn()
		o.dones[1](nil)
		if err := o.epochs.Sweep(ctx); err != nil {
			t.Error(err)
		}
		o.want("stored", o.records(), "10.0 a")
		cp, _, err := o.Latest(ctx)
		if s := fmt.Sprintf("%q", cp.Sources); err != nil || cp.Epoch != 11 || cp.Numbers != 70 || string(cp.Names) != "names" || s != `[{"here" "7"}]` {
			t.Errorf("%+v, %v", cp, err)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
