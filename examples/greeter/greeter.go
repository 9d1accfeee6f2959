// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/connector"
)

// Person counts the visits of one person, by name, and has each of them greeted.
type Person interface {
	Visit(*engine.Context, Visit) error
	Visits(*engine.Context, VisitsQuery) (VisitsReply, error)
}

// Greeter words the greetings. There is one instance for each language.
type Greeter interface {
	Greet(*engine.Context, Greet) error
}

// The messages. They are JSON on the wire.
type (
	Visit       struct{}
	VisitsQuery struct{}
	VisitsReply struct {
		Visits int64 `json:"visits"`
	}
	Greet struct {
		Name   string `json:"name"`
		Visits int64  `json:"visits"`
	}
)

// What others can send, and what leaves.
var (
	person  = engine.Define[Person]("example/person")
	Visited = engine.Accept(person, engine.JSON[Visit]("example/Visit"), Person.Visit)
	Visits  = engine.Answer(person, engine.JSON[VisitsQuery]("example/VisitsQuery"), engine.JSON[VisitsReply]("example/VisitsReply"), Person.Visits)

	greeter  = engine.Define[Greeter]("example/greeter")
	Greeting = engine.Accept(greeter, engine.JSON[Greet]("example/Greet"), Greeter.Greet)

	Greetings = engine.NewEgress("example/greetings", engine.String)
)

type personFunction struct{ visits engine.Value[int64] }

func (p *personFunction) Visit(ctx *engine.Context, _ Visit) error {
	n := p.visits.Edit(ctx)
	*n++
	Greeting.To("en").Send(ctx, Greet{Name: ctx.Self().ID, Visits: *n})
	return nil
}

func (p *personFunction) Visits(ctx *engine.Context, _ VisitsQuery) (VisitsReply, error) {
	return VisitsReply{p.visits.Get(ctx)}, nil
}

type greeterFunction struct{}

func (greeterFunction) Greet(ctx *engine.Context, g Greet) error {
	Greetings.Send(ctx, fmt.Sprintf("Hello %s, visit %d", g.Name, g.Visits))
	return nil
}

// module is the application: two functions, a door and an egress.
func module(door connector.Door, greetings connector.Sink) engine.Module {
	return engine.Module{Name: "greeter", Bind: func(b *engine.Binder) error {
		engine.Bind(b, person, func(s *engine.Schema) Person {
			return &personFunction{visits: engine.NewValue(s, "visits", engine.Int64)}
		})
		engine.Bind(b, greeter, func(*engine.Schema) Greeter { return greeterFunction{} })
		engine.Deliver(b, Greetings, greetings)
		b.Door(door)
		return nil
	}}
}
