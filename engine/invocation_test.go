// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/engine"
)

// opaque is a string that cannot be encoded.
var opaque = engine.NewType("test/opaque",
	func([]byte, string) ([]byte, error) { return nil, errTest },
	func(b []byte) (string, error) { return string(b), nil })

// ask is a function that is asked, and two messages of it with types of their own.
type asked interface {
	Ask(*engine.Context, string) (string, error)
	Opaque(*engine.Context, string) error
	Rest(*engine.Context, engine.TypedValue) error
}

type askedFunc func(ctx *engine.Context, question string) (string, error)

func (f askedFunc) Ask(ctx *engine.Context, q string) (string, error) { return f(ctx, q) }
func (f askedFunc) Opaque(*engine.Context, string) error              { return nil }
func (f askedFunc) Rest(ctx *engine.Context, m engine.TypedValue) error {
	said.Send(ctx, fmt.Sprintf("%s:%s %d", ctx.Self().ID, m.Typename, len(m.Value)))
	return nil
}

var (
	askedFunction = engine.Define[asked]("test/asked")
	Ask           = engine.Answer(askedFunction, engine.String, engine.String, asked.Ask)
	Opaque        = engine.Accept(askedFunction, opaque, asked.Opaque)
)

func init() { engine.AcceptAny(askedFunction, asked.Rest) }

func askedModule(f askedFunc, options ...engine.FunctionOption) engine.Module {
	return bind(func(b *engine.Binder) {
		engine.Bind(b, askedFunction, func(*engine.Schema) asked { return f }, options...)
	})
}

// An invocation that fails leaves no trace, however it fails; one that stays within its limits takes
// effect whole.
func TestInvocationIsAtomic(t *testing.T) {
	const payload, sends = 40, 10 // The limits.
	long := func(n int) string {  // Its encoding has n bytes.
		return strings.Repeat("x", n-2)
	}
	to := func(id string) engine.Address { return engine.Address{Type: probeFunction.Type(), ID: id} }
	raw := func(n int) engine.TypedValue { return engine.TypedValue{Typename: "test/raw", Value: make([]byte, n)} }
	// The probe's own effects, see below, are 3 sends.
	tests := []struct {
		name string
		do   func(ctx *engine.Context) error
		want error // nil: it takes effect.
	}{
		{"nothing else", func(*engine.Context) error { return nil }, nil},
		{"error", func(*engine.Context) error { return errTest }, errTest},
		{"panic", func(*engine.Context) error { panic("so be it") }, errAny},
		{"nil pointer", func(ctx *engine.Context) error { return (*probeFunc)(nil).Do(ctx, "") }, errAny},
		{"pending without a request", func(*engine.Context) error { return engine.ErrPending }, engine.ErrPending},
		{"unknown function", func(ctx *engine.Context) error { toAbsent.To("x").Send(ctx, ""); return nil }, engine.ErrNoFunction},
		{"unknown function later", func(ctx *engine.Context) error { toAbsent.To("x").SendAfter(ctx, time.Second, ""); return nil }, engine.ErrNoFunction},
		{"unknown function with the same id", func(ctx *engine.Context) error { toAbsent.Same().Send(ctx, ""); return nil }, engine.ErrNoFunction},
		{"unknown function untyped", func(ctx *engine.Context) error {
			ctx.Send(engine.Address{Type: absentFunction.Type(), ID: "x"}, raw(1))
			return nil
		}, engine.ErrNoFunction},
		{"unknown egress", func(ctx *engine.Context) error { nowhere.Send(ctx, ""); return nil }, engine.ErrNoEgress},
		{"nobody to answer", func(ctx *engine.Context) error { Ask.Reply(ctx, ""); return nil }, engine.ErrNoCaller},
		{"empty id", func(ctx *engine.Context) error { Do.To("").Send(ctx, ""); return nil }, engine.ErrMalformed},
		{"longest id", func(ctx *engine.Context) error { Do.To(strings.Repeat("i", 4096)).Send(ctx, "rest"); return nil }, nil},
		{"too long an id", func(ctx *engine.Context) error { Do.To(strings.Repeat("i", 4097)).Send(ctx, ""); return nil }, engine.ErrMalformed},
		{"malformed address", func(ctx *engine.Context) error { ctx.Send(to(""), raw(1)); return nil }, engine.ErrMalformed},
		{"cannot be encoded", func(ctx *engine.Context) error { Opaque.To("x").Send(ctx, ""); return nil }, errTest},
		{"negative delay", func(ctx *engine.Context) error { Do.To("x").SendAfter(ctx, -1, ""); return nil }, engine.ErrDelay},
		{"negative delay untyped", func(ctx *engine.Context) error {
			ctx.SendAfter(-1, to("x"), engine.TypedValue{Typename: "io.statefun.types/string"})
			return nil
		}, engine.ErrDelay},
		{"message at the limit", func(ctx *engine.Context) error { Do.To("x").Send(ctx, long(payload)); return nil }, nil},
		{"message over it", func(ctx *engine.Context) error { Do.To("x").Send(ctx, long(payload+1)); return nil }, engine.ErrLimit},
		{"delayed message over it", func(ctx *engine.Context) error {
			Do.To("x").SendAfter(ctx, time.Hour, long(payload+1))
			return nil
		}, engine.ErrLimit},
		{"untyped message at the limit", func(ctx *engine.Context) error {
			ctx.Send(engine.Address{Type: askedFunction.Type(), ID: "x"}, raw(payload))
			return nil
		}, nil},
		{"untyped message over it", func(ctx *engine.Context) error { ctx.Send(to("x"), raw(payload+1)); return nil }, engine.ErrLimit},
		{"record at the limit", func(ctx *engine.Context) error { said.Send(ctx, long(payload)); return nil }, nil},
		{"record over it", func(ctx *engine.Context) error { said.Send(ctx, long(payload+1)); return nil }, engine.ErrLimit},
		{"sends at the limit", func(ctx *engine.Context) error { return sendMany(ctx, sends-3) }, nil},
		{"sends over it", func(ctx *engine.Context) error { return sendMany(ctx, sends-2) }, engine.ErrLimit},
		{"goes on after a failed call", func(ctx *engine.Context) error {
			nowhere.Send(ctx, "")
			Do.To("x").Send(ctx, "")
			return nil
		}, engine.ErrNoEgress},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var records recorder
				var failures failureLog
				failing := true
				e := open(t, engine.Config{PayloadBytesMax: payload, SendsMax: sends, Logger: slog.New(&failures)},
					probeModule(func(s *engine.Schema) probeFunc {
						count := engine.NewValue(s, "count", engine.Int64)
						text := engine.NewValue(s, "text", engine.String)
						var earlier engine.Token
						return func(ctx *engine.Context, word string) error {
							switch word {
							case "prepare":
								earlier = Do.Same().SendAfter(ctx, time.Hour, "rest")
								count.Set(ctx, 1)
								text.Set(ctx, "before")
							case "show":
								said.Send(ctx, fmt.Sprint(count.Get(ctx), text.Get(ctx)))
							case "act":
								*count.Edit(ctx)++
								*text.Edit(ctx) += "!"
								ctx.Cancel(earlier)
								Do.To("other").Send(ctx, "rest")
								Do.Same().SendAfter(ctx, time.Hour, "rest")
								said.Send(ctx, "acted")
								if failing {
									return tt.do(ctx)
								}
							}
							return nil
						}
					}, engine.Retries(0)), deliver(records.sink()),
					askedModule(func(*engine.Context, string) (string, error) { return "", nil }))

				submit(t, e, "p", "prepare")
				before := e.Stats().Invocations()
				submit(t, e, "p", "act")
				took := e.Stats().Invocations() - before
				suspended := sum(e, func(s engine.ShardStats) int64 { return s.Suspended })
				failed := failures.take()
				if tt.want == nil {
					if took < 2 || suspended != 0 || len(failed) != 0 {
						t.Fatalf("it failed: %v", failed)
					}
					return
				}
				if len(failed) != 1 || !failed[0].suspended || !errors.Is(failed[0].err, tt.want) && tt.want != errAny {
					t.Errorf("logged %v, want %v", failed, tt.want)
				}
				delayed := sum(e, func(s engine.ShardStats) int64 { return s.Delayed })
				if took != 0 || suspended != 1 || delayed != 1 {
					t.Errorf("%d invocations took effect, %d addresses are suspended, %d messages are delayed", took, suspended, delayed)
				}
				// Tried again, it takes effect once, on what was before; the message behind it comes after.
				failing = false
				submit(t, e, "p", "show")
				resume(t, e, "p")
				checkpoint(t, e)
				wantItems(t, &records.list, "acted", "2before!")
			})
		})
	}
}

// errAny stands for an error that has no name.
var errAny = errors.New("any")

func sendMany(ctx *engine.Context, n int) error {
	for range n {
		Do.To("x").Send(ctx, "rest")
	}
	return nil
}

func sum(e *engine.Engine, of func(engine.ShardStats) int64) (n int64) {
	for _, s := range e.Stats().Shards {
		n += of(s)
	}
	return n
}

// A message that fails is tried again, later and later; those behind it at the address wait, all others
// go on. When it has failed too often, or for good, the address waits to be resumed.
func TestRetries(t *testing.T) {
	tests := []struct {
		name     string
		err      error
		failures int // How often it fails.
		retries  int
		want     []bool // The failures that are logged: whether the address was suspended.
	}{
		{"until it succeeds", errTest, 3, 5, []bool{false, false, false}},
		{"until it was enough", errTest, 3, 2, []bool{false, false, true}},
		{"never", errTest, 1, 0, []bool{true}},
		{"never, for good", engine.Permanent(errTest), 1, 5, []bool{true}},
		{"never, for good, wrapped", fmt.Errorf("well: %w", engine.Permanent(errTest)), 1, 5, []bool{true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var records recorder
				var failures failureLog
				var times list[time.Duration]
				start, left := time.Now(), tt.failures
				e := open(t, engine.Config{Logger: slog.New(&failures), EpochInterval: engine.EpochsOff},
					probeModule(stateless(func(ctx *engine.Context, word string) error {
						if word == "fail" && left > 0 {
							left--
							times.add(time.Since(start))
							return tt.err
						}
						said.Send(ctx, ctx.Self().ID+":"+word)
						return nil
					}), engine.Retries(tt.retries)), deliver(records.sink()))
				submit(t, e, "p", "fail", "p", "behind", "q", "other", "p", "last")
				wantItems(t, &records.list, "q:other")

				time.Sleep(time.Hour)
				synctest.Wait()
				var got []bool
				for _, f := range failures.take() {
					got = append(got, f.suspended)
					if !errors.Is(f.err, errTest) {
						t.Errorf("failed with %v", f.err)
					}
				}
				if fmt.Sprint(got) != fmt.Sprint(tt.want) {
					t.Errorf("failures %v, want %v", got, tt.want)
				}
				at := times.take()
				for i := range at[1:] { // The first pause is of 25 to 50 ms, and it doubles.
					pause, most := at[i+1]-at[i], 50*time.Millisecond<<i
					if pause < most/2 || pause > most {
						t.Errorf("pause %d lasts %v, want %v to %v", i+1, pause, most/2, most)
					}
				}
				if last := tt.want[len(tt.want)-1]; last {
					wantItems(t, &records.list)
					if n := sum(e, func(s engine.ShardStats) int64 { return s.Suspended }); n != 1 {
						t.Errorf("%d addresses are suspended", n)
					}
					resume(t, e, "q") // Is not suspended.
					resume(t, e, "p")
					resume(t, e, "p")
				}
				wantItems(t, &records.list, "p:fail", "p:behind", "p:last")
				if n := sum(e, func(s engine.ShardStats) int64 { return s.Suspended + s.Instances }); n != 0 {
					t.Errorf("%d instances are left", n)
				}
				if got := e.Stats().Shards; got[0].Failures+got[1].Failures != int64(tt.failures) {
					t.Errorf("stats %+v", got)
				}
			})
		})
	}
	if engine.Permanent(nil) != nil {
		t.Error("Permanent(nil) is an error")
	}
}

func resume(t *testing.T, e *engine.Engine, id string) {
	t.Helper()
	if err := e.Resume(t.Context(), Do.To(id).Address()); err != nil {
		t.Error(err)
	}
	time.Sleep(time.Millisecond) // Resumed, it is tried in the next.
	synctest.Wait()
}

// textual is what other programs say instead of string.
type textual string

// probeCopy is the contract of test/probe as other programs see it.
type probeCopy interface {
	Do(*engine.Context, textual) error
	Bare(*engine.Context, int64) error
}

var (
	copied  = engine.Define[probeCopy]("test/probe")
	CopyDo  = engine.Accept(copied, engine.JSON[textual]("io.statefun.types/string"), probeCopy.Do)
	CopyOdd = engine.Accept(copied, engine.Int64, probeCopy.Bare)
	// A copy that agrees on the encoding and not on the Go type.
	alike   = engine.Define[probeCopy]("test/probe")
	AlikeDo = engine.Accept(alike, engine.NewType("io.statefun.types/string",
		func(dst []byte, v textual) ([]byte, error) { return engine.String.Append(dst, string(v)) },
		func(b []byte) (textual, error) { s, err := engine.String.Decode(b); return textual(s), err }), probeCopy.Do)
)

// What one declaration of a function type sends, another receives, by its encoding.
func TestCopiesOfAContract(t *testing.T) {
	tests := []struct {
		name   string
		submit func(e *engine.Engine) error
		want   error // What the receiver fails with; ErrNoInput is refused before.
		said   []string
	}{
		{"same encoding", func(e *engine.Engine) error { return AlikeDo.To("p").Submit(context.Background(), e, "hello") }, nil, []string{"p:hello"}},
		{"other encoding", func(e *engine.Engine) error { return CopyDo.To("p").Submit(context.Background(), e, "hello") }, engine.ErrUndecodable, nil},
		{"unknown message", func(e *engine.Engine) error { return CopyOdd.To("p").Submit(context.Background(), e, 1) }, engine.ErrNoInput, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var records recorder
				var failures failureLog
				e := open(t, engine.Config{Logger: slog.New(&failures), EpochInterval: engine.EpochsOff}, probeModule(sayAll), deliver(records.sink()))
				if err := tt.submit(e); tt.want == engine.ErrNoInput {
					if !errors.Is(err, tt.want) {
						t.Errorf("Submit: %v, want %v", err, tt.want)
					}
					return
				} else if err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Hour)
				synctest.Wait()
				wantItems(t, &records.list, tt.said...)
				failed := failures.take()
				if tt.want == nil {
					if len(failed) != 0 {
						t.Errorf("failed: %v", failed)
					}
					return
				}
				if len(failed) == 0 || !failed[len(failed)-1].suspended || !errors.Is(failed[0].err, tt.want) {
					t.Fatalf("failed: %v, want %v", failed, tt.want)
				}
				if tt.want == engine.ErrUndecodable && len(failed) != 1 {
					t.Errorf("tried again %d times: it does not decode better", len(failed)-1)
				}
			})
		})
	}
}

type (
	sized interface {
		Put(*engine.Context, small) error
	}
	sizedCopy interface {
		Put(*engine.Context, smallCopy) error
	}
	sizedFunc func(ctx *engine.Context, v small) error

	// smallCopy has the encoding of small and lies in memory otherwise: there is no padding in it.
	smallCopy struct {
		A int64
		B [7]uint8
	}
)

func (f sizedFunc) Put(ctx *engine.Context, v small) error { return f(ctx, v) }

var (
	sizedFunction = engine.Define[sized]("test/sized")
	_             = engine.Accept(sizedFunction, engine.Flat[small]("test/small"), sized.Put)
	PutCopy       = engine.Accept(engine.Define[sizedCopy]("test/sized"), engine.Flat[smallCopy]("test/small"), sizedCopy.Put)
)

// Memory of one Go type is never taken for that of another.
func TestCopiesWithMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got list[small]
		e := open(t, engine.Config{}, bind(func(b *engine.Binder) {
			engine.Bind(b, sizedFunction, func(*engine.Schema) sized {
				return sizedFunc(func(_ *engine.Context, v small) error { got.add(v); return nil })
			})
		}), probeModule(stateless(func(ctx *engine.Context, _ string) error {
			PutCopy.To("x").Send(ctx, smallCopy{A: 2, B: [7]uint8{0, 5, 0, 6, 0, 7, 0}})
			return nil
		})))
		if err := PutCopy.To("x").Submit(t.Context(), e, smallCopy{A: 1, B: [7]uint8{1, 2, 0, 3, 0, 4, 0}}); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		submit(t, e, "p", "send")
		wantItems(t, &got, small{1, true, [3]uint16{2, 3, 4}}, small{2, false, [3]uint16{5, 6, 7}})
	})
}
