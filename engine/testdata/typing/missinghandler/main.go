// SPDX-License-Identifier: Apache-2.0

// A contract method without an implementation.
package main

import "github.com/millrace-io/millrace/engine"

type Cart interface {
	Add(*engine.Context, Item) error
	Total(*engine.Context, Query) (int64, error)
}

type (
	Item  struct{ Price int64 }
	Query struct{}
)

var (
	cart    = engine.Define[Cart]("shop/cart")
	Add     = engine.Accept(cart, engine.JSON[Item]("shop/Item"), Cart.Add)
	Total   = engine.Answer(cart, engine.JSON[Query]("shop/Query"), engine.Int64, Cart.Total)
	Items   = engine.NewIngress("shop/items", engine.JSON[Item]("shop/Item"))
	Totals  = engine.NewEgress("shop/totals", engine.Int64)
	Another = Add.To("bob")
)

type function struct {
	total engine.Value[int64]
	last  engine.Value[string]
}

func (f *function) Add(ctx *engine.Context, i Item) error {
	*f.total.Edit(ctx) += i.Price
	f.last.Set(ctx, "an item")
	Add.To("archive").Send(ctx, i)
	Another.SendAfter(ctx, 5, i)
	Totals.Send(ctx, f.total.Get(ctx))
	return nil
}

func (f *function) Sum(ctx *engine.Context, _ Query) (int64, error) {
	Total.Reply(ctx, f.total.Get(ctx))
	return 0, engine.ErrPending
}

func bind(b *engine.Binder) error {
	engine.Bind(b, cart, func(s *engine.Schema) Cart {
		return &function{total: engine.NewValue(s, "total", engine.Int64), last: engine.NewValue(s, "last", engine.String)} // ERROR missing method Total
	})
	engine.Route(b, Items, Add, func(i Item) string { return "all" })
	return nil
}

func main() { _ = bind }
