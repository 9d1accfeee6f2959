// SPDX-License-Identifier: Apache-2.0

package module

import (
	"slices"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/kind"
	"github.com/millrace-io/millrace/engine/remote"
)

// Application is what the module files describe. Nothing of it has been started.
type Application struct {
	Components []*Component // In the order of the files.
}

// Component is a component of a module file, with what it brings.
type Component struct {
	Kind    string
	At      kind.Position
	ID      string // "" if it has none.
	Ingress bool   // It brings events in.

	Endpoints []remote.Endpoint
	Doors     []connector.Door
	Sinks     []Sink
	Sources   []Source
	Listens   []string // Addresses.

	in     component
	broken bool
}

// Sink delivers the records of an egress, "<namespace>/<name>".
type Sink struct {
	Egress string
	connector.Sink
}

// HasIngress reports whether any component brings events in. Without one there is nothing to run, unless
// events come from elsewhere.
func (a *Application) HasIngress() bool {
	return slices.ContainsFunc(a.Components, func(c *Component) bool { return c.Ingress })
}

// Module returns the application as a module, to be opened once: sinks, doors, sources and invokers belong to the
// engine from then on.
func (a *Application) Module(name string) engine.Module {
	return engine.Module{Name: name, Bind: func(b *engine.Binder) error {
		for _, c := range a.Components {
			for _, e := range c.Endpoints {
				b.Endpoint(e)
			}
			for _, s := range c.Sinks {
				b.Sink(s.Egress, s.Sink)
			}
			for _, d := range c.Doors {
				b.Door(d)
			}
			for _, s := range c.Sources {
				s.bind(b)
			}
		}
		return nil
	}}
}
