// SPDX-License-Identifier: Apache-2.0

package sdktest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/remote"
	"github.com/millrace-io/millrace/engine/statefun"
	"github.com/millrace-io/millrace/protocols/requestreply"
)

// patience is how long a test waits for something before it gives it up for lost. Nothing is measured by it.
const patience = 100 * time.Second

// short reports whether tests are to do with fewer messages.
func short() bool { return testing.Short() || race }

// rig is an engine whose functions run elsewhere, with a door for the test and an egress that keeps records.
type rig struct {
	t      *testing.T
	engine *engine.Engine
	door   *door

	mu      sync.Mutex
	records []connector.Record // Guarded by mu.
}

// start runs an engine with endpoints and the egress "test/out" until the test ends.
func start(t *testing.T, endpoints ...remote.Endpoint) *rig {
	t.Helper()
	r := &rig{t: t, door: &door{}}
	var err error
	r.engine, err = engine.Open(t.Context(), engine.Config{Logger: logger()}, engine.Module{Name: "test", Bind: func(b *engine.Binder) error {
		for _, e := range endpoints {
			b.Endpoint(e)
		}
		b.Sink(out, connector.SinkFunc(r.keep))
		b.Door(r.door)
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	running := make(chan error, 1)
	go func() { running <- r.engine.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-running; err != nil {
			t.Error(err)
		}
		grace, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if t.Failed() {
			cancel() // What the test waited for in vain would only be waited for again.
		}
		if err := r.engine.Close(grace); err != nil && !t.Failed() {
			t.Error(err)
		}
	})
	select {
	case <-r.engine.Ready():
	case err := <-running:
		running <- nil
		t.Fatal(err)
	}
	return r
}

// logger drops what the tests provoke by the thousand; MILLRACE_SDKTEST_LOG shows it.
func logger() *slog.Logger {
	var to io.Writer = io.Discard
	if os.Getenv("MILLRACE_SDKTEST_LOG") != "" {
		to = os.Stderr
	}
	return slog.New(slog.NewTextHandler(to, nil))
}

// at is an endpoint for the functions of a pattern at a URL.
func at(t *testing.T, functions, url string, policy remote.Policy) remote.Endpoint {
	t.Helper()
	pattern, err := remote.ParsePattern(functions)
	if err != nil {
		t.Fatal(err)
	}
	invoker, err := requestreply.NewHTTP(requestreply.HTTPConfig{URL: url, PoolSize: policy.InFlightMax})
	if err != nil {
		t.Fatal(err)
	}
	return remote.Endpoint{Functions: pattern, Invoker: invoker, Policy: policy}
}

// impatient retries at once: what a server breaks by the thousand must not take minutes.
func impatient() remote.Policy {
	return remote.Policy{RetryFirst: time.Millisecond, RetryMost: 50 * time.Millisecond}
}

// door is the test's way in.
type door struct{ connector.Entry }

// Open implements connector.Door.
func (d *door) Open(_ context.Context, in connector.Entry) error {
	d.Entry = in
	return nil
}

// Close implements connector.Door.
func (*door) Close(context.Context) error { return nil }

// CallerType implements connector.Caller.
func (*door) CallerType() statefun.FunctionType { return asker }

var asker = statefun.FunctionType{Namespace: "test", Name: "asker"}

// address is that of a function "test/<name>".
func address(name, id string) statefun.Address {
	return statefun.Address{Type: statefun.FunctionType{Namespace: "test", Name: name}, ID: id}
}

func long(n int64) statefun.TypedValue {
	v, err := engine.Int64.Append(nil, n)
	if err != nil {
		panic(err)
	}
	return statefun.TypedValue{Typename: engine.Int64.Typename(), Value: v}
}

// send sends a message from outside and waits for credit.
func (r *rig) send(ctx context.Context, to statefun.Address, m statefun.TypedValue) error {
	for {
		err := r.door.Send(ctx, to, m, connector.Delivery{})
		if !errors.Is(err, connector.ErrNoCredit) {
			return err
		}
		select {
		case <-time.After(100 * time.Microsecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (r *rig) mustSend(to statefun.Address, m statefun.TypedValue) {
	r.t.Helper()
	if err := r.send(r.t.Context(), to, m); err != nil {
		r.t.Fatal(err)
	}
}

// read asks a counter for its total.
func (r *rig) read(id string) (t total, err error) {
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	for {
		answer, err := r.door.Call(ctx, asker, address("counter", id), statefun.TypedValue{Typename: "test/read", Value: []byte("{}")}, connector.Delivery{})
		switch {
		case errors.Is(err, connector.ErrNoCredit):
			continue
		case err != nil:
			return t, fmt.Errorf("read counter %s: %w", id, err)
		}
		return t, json.Unmarshal(answer.Value, &t)
	}
}

// count sends the numbers from 1 to messages, in order, to each of a number of counters, all at once. The
// channel tells when it is done.
func (r *rig) count(addresses, messages int) <-chan error { return r.countOn(addresses, 1, messages) }

// countOn is count from a number on.
func (r *rig) countOn(addresses, from, to int) <-chan error {
	const senders = 4
	group, ctx := errgroup.WithContext(r.t.Context())
	for s := range senders {
		group.Go(func() error {
			for n := from; n <= to; n++ {
				m := long(int64(n))
				for a := s; a < addresses; a += senders {
					if err := r.send(ctx, address("counter", id(a)), m); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
	sent := make(chan error, 1)
	go func() { sent <- group.Wait() }()
	return sent
}

func id(n int) string { return fmt.Sprint("counter-", n) }

// counted reads every counter back: each has had every message once, in order.
func (r *rig) counted(addresses, messages int) {
	r.t.Helper()
	var group errgroup.Group
	group.SetLimit(64)
	for a := range addresses {
		group.Go(func() error {
			got, err := r.read(id(a))
			if err == nil && (got.Count != int32(messages) || got.Sum != sum(messages) || got.Disorder != "") {
				err = fmt.Errorf("counter %s: %d messages, sum %d, disorder %q; want %d, %d and none", id(a), got.Count, got.Sum, got.Disorder, messages, sum(messages))
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		r.t.Error(err)
	}
}

// sum adds the numbers from 1 to n.
func sum(n int) int64 { return int64(n) * int64(n+1) / 2 }

// stats returns the counters of a function "test/<name>".
func (r *rig) stats(name string) engine.FunctionStats {
	all := r.engine.Stats().Functions
	if i := slices.IndexFunc(all, func(f engine.FunctionStats) bool { return f.Type == address(name, "").Type }); i >= 0 {
		return all[i]
	}
	return engine.FunctionStats{}
}

// in returns how many messages have taken effect at a function.
func (r *rig) in(name string) int64 { return r.stats(name).In }

// keep is the egress.
func (r *rig) keep(record connector.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.records = append(r.records, record)
	return nil
}

// kept returns the records that have left so far.
func (r *rig) kept() []connector.Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.records)
}

// until waits for a condition.
func (r *rig) until(what string, done func() bool) {
	r.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !done(); <-tick.C {
		if time.Now().After(deadline) {
			r.t.Fatalf("in vain for %v: %s; %+v", patience, what, r.engine.Stats().Functions)
		}
	}
}
