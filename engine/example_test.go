// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"time"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/connector"
)

// Counter is what may be sent to a counter.
type Counter interface {
	Add(*engine.Context, int64) (int64, error)
}

// The counter and its one message, which is answered with the sum.
var (
	counterFunction = engine.Define[Counter]("example/counter")
	Add             = engine.Answer(counterFunction, engine.Int64, engine.Int64, Counter.Add)
)

type counter struct{ sum engine.Value[int64] }

func (c *counter) Add(ctx *engine.Context, n int64) (int64, error) {
	sum := c.sum.Edit(ctx)
	*sum += n
	return *sum, nil
}

func Example() {
	ctx := context.Background()
	module := engine.Module{Name: "counters", Bind: func(b *engine.Binder) error {
		engine.Bind(b, counterFunction, func(s *engine.Schema) Counter {
			return &counter{engine.NewValue(s, "sum", engine.Int64)}
		})
		return nil
	}}
	e, err := engine.Open(ctx, engine.Config{}, module)
	if err != nil {
		log.Fatal(err)
	}
	for _, id := range []string{"apples", "pears", "apples"} {
		sum, err := Add.Ask(ctx, e, id, 2)
		fmt.Println(id, sum, err)
	}
	fmt.Println(e.Close(ctx))
	// Output:
	// apples 2 <nil>
	// pears 2 <nil>
	// apples 4 <nil>
	// <nil>
}

// Oven is a contract whose second message the oven sends to itself.
type Oven interface {
	Bake(*engine.Context, string) error
	Done(*engine.Context, string) error
}

// The oven, its messages, and where it reports.
var (
	ovenFunction = engine.Define[Oven]("example/oven")
	Bake         = engine.Accept(ovenFunction, engine.String, Oven.Bake)
	Done         = engine.Accept(ovenFunction, engine.JSON[string]("example/done"), Oven.Done)
	Bell         = engine.NewEgress("example/bell", engine.String)
)

type oven struct{}

func (oven) Bake(ctx *engine.Context, what string) error {
	Done.To(ctx.Self().ID).SendAfter(ctx, 10*time.Millisecond, what)
	return nil
}

func (oven) Done(ctx *engine.Context, what string) error {
	Bell.Send(ctx, what+" is done")
	return nil
}

// openOven opens an engine with an oven whose records go to the channel.
func openOven(ctx context.Context, rang chan<- string) *engine.Engine {
	e, err := engine.Open(ctx, engine.Config{EpochInterval: time.Millisecond}, engine.Module{Name: "bakery", Bind: func(b *engine.Binder) error {
		engine.Bind(b, ovenFunction, func(*engine.Schema) Oven { return oven{} })
		engine.Deliver(b, Bell, connector.SinkFunc(func(r connector.Record) error {
			s, err := engine.String.Decode(r.Value)
			rang <- s
			return err
		}))
		return nil
	}})
	if err != nil {
		log.Fatal(err)
	}
	return e
}

// A message can come later. The reference may be that of any instance.
func ExampleRef_SendAfter() {
	ctx, rang := context.Background(), make(chan string, 1)
	e := openOven(ctx, rang)
	if err := Bake.To("left").Submit(ctx, e, "bread"); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-rang)
	fmt.Println(e.Close(ctx))
	// Output:
	// bread is done
	// <nil>
}

// A record leaves when the epoch is committed in which it was emitted: at the latest when the engine closes.
func ExampleEgress() {
	ctx, rang := context.Background(), make(chan string, 1)
	e := openOven(ctx, rang)
	if err := Done.To("left").Submit(ctx, e, "cake"); err != nil {
		log.Fatal(err)
	}
	fmt.Println(e.Close(ctx))
	fmt.Println(<-rang)
	// Output:
	// <nil>
	// cake is done
}

// The key of an event is the id of the instance that gets it.
func ExampleRouteKey() {
	amounts := engine.NewIngress("example/amounts", engine.Int64)
	ctx := context.Background()
	e, err := engine.Open(ctx, engine.Config{}, engine.Module{Name: "sums", Bind: func(b *engine.Binder) error {
		engine.Bind(b, sumFunction, func(s *engine.Schema) Sum { return &sums{engine.NewValue(s, "sum", engine.Int64)} })
		engine.RouteKey(b, amounts, Put)
		engine.Connect(b, amounts, threeAmounts{})
		return nil
	}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(e.Run(ctx)) // Until the source has ended and all is done.
	for _, id := range []string{"even", "odd"} {
		sum, err := Read.Ask(ctx, e, id, true)
		fmt.Println(id, sum, err)
	}
	fmt.Println(e.Close(ctx))
	// Output:
	// <nil>
	// even 2 <nil>
	// odd 4 <nil>
	// <nil>
}

// Sum keeps a sum.
type Sum interface {
	Put(*engine.Context, int64) error
	Read(*engine.Context, bool) (int64, error)
}

// The sum and its messages.
var (
	sumFunction = engine.Define[Sum]("example/sum")
	Put         = engine.Accept(sumFunction, engine.Int64, Sum.Put)
	Read        = engine.Answer(sumFunction, engine.Bool, engine.Int64, Sum.Read)
)

type sums struct{ sum engine.Value[int64] }

func (s *sums) Put(ctx *engine.Context, n int64) error          { *s.sum.Edit(ctx) += n; return nil }
func (s *sums) Read(ctx *engine.Context, _ bool) (int64, error) { return s.sum.Get(ctx), nil }

// threeAmounts is a source of 1, 2 and 3.
type threeAmounts struct{}

func (threeAmounts) Open(context.Context, []byte) error { return nil }
func (threeAmounts) Position() []byte                   { return nil }
func (threeAmounts) Close() error                       { return nil }

func (threeAmounts) Poll(_ context.Context, into *connector.Events) error {
	for n := range int64(3) {
		amount, err := engine.Int64.Append(nil, n+1)
		if err != nil {
			return err
		}
		into.Append([]byte([]string{"even", "odd"}[(n+1)%2]), "", amount)
	}
	return io.EOF
}
