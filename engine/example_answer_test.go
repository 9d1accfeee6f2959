// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/millrace-io/millrace/engine"
)

// Desk answers orders, but not at once.
type Desk interface {
	Order(*engine.Context, string) (string, error)
	Ready(*engine.Context, string) error
}

// The desk, what it is asked, and what it tells itself.
var (
	deskFunction = engine.Define[Desk]("example/desk")
	Order        = engine.Answer(deskFunction, engine.String, engine.String, Desk.Order)
	Ready        = engine.Accept(deskFunction, engine.JSON[string]("example/ready"), Desk.Ready)
)

type desk struct{ customer engine.Value[engine.Address] }

func (d *desk) Order(ctx *engine.Context, dish string) (string, error) {
	customer, _ := ctx.Caller()
	d.customer.Set(ctx, customer)
	Ready.Same().SendAfter(ctx, 5*time.Millisecond, dish)
	return "", engine.ErrPending
}

func (d *desk) Ready(ctx *engine.Context, dish string) error {
	answer, err := engine.String.Append(nil, dish+" is ready")
	ctx.Send(d.customer.Get(ctx), engine.TypedValue{Typename: engine.String.Typename(), Value: answer})
	return err
}

// A question can be answered by a later invocation: the caller is an address like any other, and may be
// kept as state.
func ExampleAnswer() {
	ctx := context.Background()
	e, err := engine.Open(ctx, engine.Config{}, engine.Module{Name: "restaurant", Bind: func(b *engine.Binder) error {
		engine.Bind(b, deskFunction, func(s *engine.Schema) Desk {
			return &desk{engine.NewValue(s, "customer", engine.JSON[engine.Address]("example/address"))}
		})
		return nil
	}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(Order.Ask(ctx, e, "table 7", "soup"))
	fmt.Println(e.Close(ctx))
	// Output:
	// soup is ready <nil>
	// <nil>
}
