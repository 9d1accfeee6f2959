// SPDX-License-Identifier: Apache-2.0

package module

import (
	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/statefun"
)

// Source hands out the events of an ingress, "<namespace>/<name>".
type Source struct {
	Ingress  string
	Typename string // Of the events.
	connector.Source
	Targets []statefun.FunctionType
}

// carried is what all targets of a source look like from here: what they do with an event is theirs to know.
type carried interface {
	Take(ctx *engine.Context, value []byte) error
}

// bind connects the source and sends its events on by their keys.
func (s Source) bind(b *engine.Binder) {
	// A router is done with a value when it returns, so it needs no copy.
	value := engine.NewType(s.Typename,
		func(dst, v []byte) ([]byte, error) { return append(dst, v...), nil },
		func(v []byte) ([]byte, error) { return v, nil })
	in := engine.NewIngress(s.Ingress, value)
	for _, t := range s.Targets {
		engine.RouteKey(b, in, engine.Accept(engine.Define[carried](t.String()), value, carried.Take))
	}
	engine.Connect(b, in, s.Source)
}
