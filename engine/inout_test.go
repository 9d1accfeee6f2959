// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/connector"
)

// Every router of an ingress gets every event. When the sources have ended and all is done, Run returns.
func TestRoutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var records recorder
		sources := []*wordSource{ended("a", "b"), ended(), ended("c")}
		e := open(t, engine.Config{}, probeModule(sayAll), deliver(records.sink()), bind(func(b *engine.Binder) {
			for _, s := range sources {
				engine.Connect(b, words, s)
			}
			engine.Route(b, words, Do, func(w string) string { return "by word " + w })
			engine.RouteKey(b, words, Do)
			engine.RouteFunc(b, words, func(d *engine.Downstream, w string) error {
				if w == "b" {
					return nil // Nowhere.
				}
				return cmp.Or(engine.Forward(d, Do.To("all"), w+"1"), engine.Forward(d, Do.To("all"), w+"2"))
			})
		}))
		if err := e.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s := e.Stats(); s.Events != 3 || s.Invocations() != 10 || s.QueuedBytesPeak == 0 {
			t.Errorf("stats %+v", s)
		}
		wantItems(t, &records.list) // Their epoch is open.
		closeEngine(t, e)
		got := records.take()
		slices.Sort(got)
		want := []string{"a:a", "all:a1", "all:a2", "all:c1", "all:c2", "b:b", "by word a:a", "by word b:b", "by word c:c", "c:c"}
		if !slices.Equal(got, want) {
			t.Errorf("said %q, want %q", got, want)
		}
		for i, s := range sources {
			if s.opened != 1 || s.closed != 1 {
				t.Errorf("source %d was opened %d times and closed %d times", i, s.opened, s.closed)
			}
		}
		if err := e.Run(t.Context()); err == nil {
			t.Error("Run runs twice")
		}
	})
}

// What a source or a router cannot do stops the source, at that event; Run says which. The engine goes on
// and can be closed, and what had come in before is done.
func TestRunFails(t *testing.T) {
	keyless := func(b *engine.Binder) { engine.RouteKey(b, words, Do) }
	forward := func(id string) func(b *engine.Binder) {
		return func(b *engine.Binder) {
			engine.RouteFunc(b, words, func(d *engine.Downstream, w string) error {
				if w != "bad" {
					return engine.Forward(d, Do.To(w), w)
				}
				return cmp.Or(engine.Forward(d, Do.To("part of it"), w), engine.Forward(d, Do.To(id), w))
			})
		}
	}
	good := &wordSource{words: []string{"good"}}
	tests := []struct {
		name   string
		source connector.Source
		route  func(b *engine.Binder)
		want   []string // What the error says.
		is     error
		said   []string
	}{
		{"open", &wordSource{openErr: errTest}, keyless, []string{"source test/words#0: open"}, errTest, nil},
		{"poll", &wordSource{words: good.words, end: errTest}, keyless, []string{"source test/words#0"}, errTest, []string{"good:good"}},
		{
			"router", ended("good", "bad", "good"),
			func(b *engine.Binder) {
				engine.RouteFunc(b, words, func(d *engine.Downstream, w string) error {
					if w == "bad" {
						return errTest
					}
					return engine.Forward(d, Do.To(w), w)
				})
			},
			[]string{"source test/words#0", "event 2 "},
			errTest,
			[]string{"good:good"},
		},
		{
			"router panics", ended("good", "bad"),
			func(b *engine.Binder) {
				engine.RouteFunc(b, words, func(d *engine.Downstream, w string) error {
					if w == "bad" {
						panic(errTest)
					}
					return engine.Forward(d, Do.To(w), w)
				})
			},
			[]string{"event 2 ", "the router panicked: " + errTest.Error()},
			nil,
			[]string{"good:good"},
		},
		{"half an event", ended("good", "bad"), forward(""), []string{"event 2 "}, engine.ErrMalformed, []string{"good:good"}},
		{"no key", ended("good", ""), keyless, []string{"event 2 ", "test/words: event without a key"}, connector.ErrMalformed, []string{"good:good"}},
		{"wrong type", typedSource("test/other"), keyless, []string{"event 1 ", "it takes io.statefun.types/string, not test/other"}, connector.ErrUnknownMessage, nil},
		{"undecodable", typedSource(""), keyless, []string{"event 1 ", "test/words"}, engine.ErrUndecodable, nil},
		{
			"nobody there", ended("bad"),
			func(b *engine.Binder) {
				engine.RouteFunc(b, words, func(d *engine.Downstream, w string) error { return engine.Forward(d, toAbsent.To(w), w) })
			},
			[]string{"event 1 "},
			engine.ErrNoFunction, nil,
		},
		{
			"too large", ended(strings.Repeat("x", 100)),
			func(b *engine.Binder) { engine.Route(b, words, Do, func(string) string { return "x" }) },
			[]string{"event 1 "},
			engine.ErrLimit, nil,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var records recorder
				e := open(t, engine.Config{PayloadBytesMax: 100}, probeModule(sayAll), deliver(records.sink()), bind(func(b *engine.Binder) {
					engine.Connect(b, words, tt.source)
					tt.route(b)
				}))
				err := e.Run(t.Context())
				if err == nil || tt.is != nil && !errors.Is(err, tt.is) {
					t.Fatalf("Run: %v, want %v", err, tt.is)
				}
				for _, want := range tt.want {
					if !strings.Contains(fmt.Sprint(err), want) {
						t.Errorf("Run: %v; it does not say %q", err, want)
					}
				}
				synctest.Wait() // What is on its way when the epoch ends belongs to the next.
				checkpoint(t, e)
				wantItems(t, &records.list, tt.said...)
				submit(t, e, "p", "still there")
				closeEngine(t, e)
				wantItems(t, &records.list, "p:still there")
				if s, ok := tt.source.(*wordSource); ok && s.closed != 1 {
					t.Errorf("the source was closed %d times", s.closed)
				}
			})
		})
	}
}

// typedSource hands out one event that is said to be of a type, and is not of the ingress's.
type typedSource string

func (typedSource) Open(context.Context, []byte) error { return nil }
func (typedSource) Position() []byte                   { return nil }
func (typedSource) Close() error                       { return nil }

func (s typedSource) Poll(_ context.Context, into *connector.Events) error {
	into.Append([]byte("key"), string(s), []byte{0xff})
	return io.EOF
}

// A source that fails when it is closed is an error of Close.
type unclosable struct{ typedSource }

func (unclosable) Poll(context.Context, *connector.Events) error { return io.EOF }
func (unclosable) Close() error                                  { return errTest }

func TestSourceCloseFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := open(t, engine.Config{}, probeModule(sayAll), bind(func(b *engine.Binder) {
			engine.Connect(b, words, unclosable{})
			engine.RouteKey(b, words, Do)
		}))
		if err := e.Run(t.Context()); err != nil {
			t.Error(err)
		}
		for range 2 { // A second Close says the same.
			if err := e.Close(t.Context()); !errors.Is(err, errTest) || !strings.Contains(err.Error(), "source test/words#0: close") {
				t.Errorf("Close: %v", err)
			}
		}
	})
}

// Records leave when the epoch of their invocation is committed, in the order of epoch and index; without
// epochs, at once.
func TestEgress(t *testing.T) {
	for _, interval := range []time.Duration{24 * time.Hour, time.Second, engine.EpochsOff} {
		t.Run(interval.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var records list[connector.Record]
				e := open(t, engine.Config{Application: "app", EpochInterval: interval}, probeModule(sayAll),
					deliver(connector.SinkFunc(func(r connector.Record) error { records.add(r); return nil })))
				submit(t, e, "a", "1", "b", "2", "c", "3", "a", "4")
				early := len(records.take())
				if interval == engine.EpochsOff {
					submit(t, e, "a", "5")
					if got := records.take(); early != 4 || len(got) != 1 || got[0].Index != 4 {
						t.Errorf("%d records have left, then %+v", early, got)
					}
					return
				}
				if early != 0 {
					t.Errorf("%d records have left before their epoch was committed", early)
				}
				before := e.Stats().EpochsCommitted
				time.Sleep(time.Second)
				synctest.Wait()
				if interval > time.Second {
					checkpoint(t, e)
				}
				submit(t, e, "a", "5")
				checkpoint(t, e)
				if s := e.Stats(); s.EpochsCommitted != before+2 || s.Egress[0] != (engine.EgressStats{Egress: "test/said", Delivered: 5}) {
					t.Errorf("stats %+v", s)
				}
				got := records.take()
				if len(got) != 5 || got[4].Epoch != got[0].Epoch+1 || got[4].Index != 0 {
					t.Fatalf("records %+v", got)
				}
				for i, r := range got[:4] {
					if r.Epoch != got[0].Epoch || r.Index != uint64(i) {
						t.Errorf("record %d is %d of epoch %d", i, r.Index, r.Epoch)
					}
				}
				r := got[4]
				if r.Application != "app" || r.Egress != "test/said" || r.Sender != Do.To("a").Address() || r.Typename != engine.String.Typename() {
					t.Errorf("record %+v", r)
				}
			})
		})
	}
}

// A record that the sink refuses is counted and does not hold up others. A sink that takes its time holds
// back no function.
func TestSinkRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failures failureLog
		slow := &slowSink{}
		e := open(t, engine.Config{Logger: slog.New(&failures)}, probeModule(sayAll), deliver(slow))
		submit(t, e, "a", "1", "a", "2", "a", "3")
		checkpoint(t, e)
		submit(t, e, "a", "4")
		if n := e.Stats().Invocations(); n != 4 {
			t.Errorf("%d invocations while the sink is busy", n)
		}
		pending := slow.take()
		if len(pending) != 3 {
			t.Fatalf("%d records were published", len(pending))
		}
		queued := e.Stats().QueuedBytes
		pending[1](errTest)
		pending[2](nil)
		pending[0](nil)
		if s := e.Stats(); s.Egress[0].Delivered != 2 || s.Egress[0].Dropped != 1 || s.QueuedBytes >= queued {
			t.Errorf("stats %+v, with %d queued before", s, queued)
		}
		if f := failures.take(); len(f) != 1 || f[0].err != errTest {
			t.Errorf("logged %v", f)
		}
		closeEngine(t, e)
		if n := len(slow.take()); n != 1 {
			t.Errorf("%d records were published by Close", n)
		}
	})
}

// slowSink keeps what says that a record is done. Close does not wait for it.
type slowSink struct{ list[func(error)] }

func (*slowSink) Open(context.Context) error                         { return nil }
func (*slowSink) Close(context.Context) error                        { return nil }
func (s *slowSink) Publish(_ connector.Record, done func(err error)) { s.add(done) }
