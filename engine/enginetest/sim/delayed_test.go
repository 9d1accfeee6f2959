// SPDX-License-Identifier: Apache-2.0

package sim_test

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/internal/bridge"
	"github.com/millrace-io/millrace/engine/internal/clock"
)

// timed is the contract of the one function type of this test.
type timed interface {
	// Plan sends delayed messages and cancels some, and is a delayed message itself.
	Plan(ctx *engine.Context, round uint64) error
	// Fire and FireLarge are what is sent: kept in an envelope, and beside it.
	Fire(ctx *engine.Context, serial uint32) error
	FireLarge(ctx *engine.Context, m [20]uint64) error
}

var (
	timedFunc  = engine.Define[timed]("delayed/timed")
	timedPlan  = engine.Accept(timedFunc, engine.Flat[uint64]("delayed/plan"), timed.Plan)
	timedFire  = engine.Accept(timedFunc, engine.Flat[uint32]("delayed/fire"), timed.Fire)
	timedLarge = engine.Accept(timedFunc, engine.Flat[[20]uint64]("delayed/large"), timed.FireLarge)
)

const (
	timedIDs    = 50
	timedRounds = 400
	timedSends  = 50 // In a round: a million in all.
	timedShards = 4
)

// timedMessage is a delayed message as the model knows it.
type timedMessage struct {
	due    clock.Instant
	shard  int // The sender's.
	from   int
	to     int
	token  engine.Token
	missed bool // Too late to cancel.
	ended  bool // Fired or cancelled.
}

// timedModel is what all messages must do, and the function type.
type timedModel struct {
	t         *testing.T
	rand      *rand.Rand
	clock     *clock.Virtual
	sent      []timedMessage
	byID      [timedIDs][]int
	last      [timedShards][timedIDs]int // The message that fired last, by sender's shard and target.
	near      clock.Instant              // The last due time but for those
	far       []clock.Instant            // that are far away.
	plans     int
	fired     int
	cancelled int
	refused   int // Cancellations that came too late.
}

func timedID(i int) string { return fmt.Sprintf("id-%02d", i) }

func (m *timedModel) self(ctx *engine.Context) (id int) {
	if _, err := fmt.Sscanf(ctx.Self().ID, "id-%d", &id); err != nil {
		m.t.Fatal(err)
	}
	return id
}

func (m *timedModel) Plan(ctx *engine.Context, round uint64) error {
	self := m.self(ctx)
	m.plans++
	for range timedSends {
		m.send(ctx, self)
		if m.rand.IntN(4) == 0 {
			m.cancel(ctx, self)
		}
	}
	if round > 0 {
		timedPlan.Same().SendAfter(ctx, time.Duration(m.rand.IntN(200))*time.Millisecond, round-1)
	}
	return nil
}

func (m *timedModel) send(ctx *engine.Context, self int) {
	now := m.clock.Now()
	var delay clock.Instant
	switch m.rand.IntN(8) {
	case 0:
	case 1: // So many at once that one turn cannot fire them all.
		delay = 5000 - now%5000
	case 2:
		delay = clock.Instant(m.rand.IntN(3))
	default:
		delay = clock.Instant(m.rand.IntN(40_000))
	}
	if m.rand.IntN(20_000) == 0 {
		delay = clock.Instant(m.rand.Int64N(1 << 42)) // Up to a hundred years and more.
		m.far = append(m.far, now+delay)
	} else {
		m.near = max(m.near, now+delay)
	}
	serial, to := len(m.sent), m.rand.IntN(timedIDs)
	d := time.Duration(delay) * time.Millisecond
	if delay > 0 {
		d -= time.Duration(m.rand.IntN(int(time.Millisecond))) // Rounded up.
	}
	var token engine.Token
	if serial%3 == 0 {
		token = timedLarge.To(timedID(to)).SendAfter(ctx, d, [20]uint64{0: uint64(serial), 19: ^uint64(serial)})
	} else {
		token = timedFire.To(timedID(to)).SendAfter(ctx, d, uint32(serial))
	}
	m.sent = append(m.sent, timedMessage{due: now + delay, shard: ctx.Shard(), from: self, to: to, token: token})
	m.byID[self] = append(m.byID[self], serial)
}

func (m *timedModel) cancel(ctx *engine.Context, self int) {
	from := self
	if m.rand.IntN(20) == 0 {
		from = m.rand.IntN(timedIDs)
	}
	list := m.byID[from]
	if len(list) == 0 {
		return
	}
	msg := &m.sent[list[len(list)-1-m.rand.IntN(min(len(list), 2000))]]
	ok := ctx.Cancel(msg.token)
	switch now := m.clock.Now(); {
	case from != self || msg.ended || msg.missed:
		if ok {
			m.t.Errorf("cancelled from %d at %d: %+v", self, now, *msg)
		}
		m.refused++
	case ok:
		msg.ended = true
		m.cancelled++
	case msg.due > now:
		m.t.Errorf("not cancelled at %d: %+v", now, *msg)
	default: // It fires at this very moment.
		msg.missed = true
		m.refused++
	}
}

func (m *timedModel) FireLarge(ctx *engine.Context, v [20]uint64) error {
	if v[19] != ^v[0] {
		m.t.Errorf("message %d came as %x", v[0], v)
	}
	return m.Fire(ctx, uint32(v[0]))
}

func (m *timedModel) Fire(ctx *engine.Context, serial uint32) error {
	msg := &m.sent[serial]
	now := clock.Instant(ctx.Now().UnixMilli())
	self := m.self(ctx)
	if msg.ended || msg.due != now || msg.to != self || now != m.clock.Now() {
		m.t.Errorf("message %d fires at %d at %d: %+v", serial, self, now, *msg)
	}
	msg.ended = true
	m.fired++
	// Of one sending shard, all come to a target by due time, and then by the order of sending.
	last := &m.last[msg.shard][self]
	if before := m.sent[*last]; cmp.Or(cmp.Compare(before.due, msg.due), cmp.Compare(*last, int(serial))) > 0 {
		m.t.Errorf("message %d, %+v, fires after %d, %+v", serial, *msg, *last, before)
	}
	*last = int(serial)
	return nil
}

// A million delayed messages, of which many are cancelled, in virtual time: each fires at its millisecond
// or is cancelled, and those of one sender to one target in the order in which they are due.
func TestMillionDelayed(t *testing.T) {
	m := &timedModel{t: t, rand: rand.New(rand.NewPCG(1, 2)), clock: clock.NewVirtual(1_700_000_000_000)}
	config := engine.Config{Shards: timedShards, EpochInterval: engine.EpochsOff, Logger: slog.New(slog.DiscardHandler), Seed: 1}
	app, err := bridge.Assemble(context.Background(), config, m.clock, []engine.Module{{Name: "delayed", Bind: func(b *engine.Binder) error {
		engine.Bind(b, timedFunc, func(*engine.Schema) timed { return m })
		return nil
	}}}, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	defer app.Memory.Free()
	settle := func() {
		for busy := true; busy; {
			busy = false
			for _, l := range app.Loops {
				busy = l.Turn(m.clock.Now()) || busy
			}
		}
	}
	e := app.Engine.(*engine.Engine)
	for i := range timedIDs {
		if err := timedPlan.To(timedID(i)).Submit(t.Context(), e, timedRounds-1); err != nil {
			t.Fatal(err)
		}
	}
	// Time passes by the millisecond while there is something due all the time, and then from one to the next.
	const all = timedIDs * timedRounds * timedSends
	for settle(); !t.Failed() && (m.plans < timedIDs*timedRounds || m.clock.Now() < m.near); settle() {
		m.clock.Advance(1)
	}
	slices.Sort(m.far)
	for _, due := range m.far {
		m.clock.Advance(due - 1 - m.clock.Now())
		settle()
		m.clock.Advance(due - m.clock.Now())
		settle()
	}
	if len(m.sent) != all || m.fired+m.cancelled != all || m.cancelled < all/20 || m.refused < all/20 {
		t.Errorf("%d sent, %d fired, %d cancelled, %d cancelled too late", len(m.sent), m.fired, m.cancelled, m.refused)
	}
	t.Logf("%d fired, %d cancelled, %d cancelled too late", m.fired, m.cancelled, m.refused)
}
