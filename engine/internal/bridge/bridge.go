// SPDX-License-Identifier: Apache-2.0

// Package bridge lets the test kits below the engine put an application together without giving it
// goroutines. What it passes on is not public: package engine fills it in.
package bridge

import (
	"context"

	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/internal/clock"
	"github.com/millrace-io/millrace/engine/internal/driver"
	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/internal/mailbox"
	"github.com/millrace-io/millrace/engine/internal/memory"
	"github.com/millrace-io/millrace/engine/statefun"
)

// Application is one that has been put together and does not run: whoever holds it calls the Turns.
type Application struct {
	Loops  []*driver.Loop
	Pumps  []*driver.Pump
	Drains []*driver.Drain
	Epochs *driver.Epochs
	Gate   *mailbox.Gate
	Entry  connector.Entry
	// Send is Entry.Send for somebody who does not wait: a ticket like the one given comes back.
	Send func(statefun.Address, statefun.TypedValue, envelope.Ticket) error
	// Ask is Entry.Call likewise: the answer comes through the channel, and a ticket if that has a key.
	Ask func(to statefun.Address, m statefun.TypedValue, durable bool, t envelope.Ticket) (<-chan statefun.TypedValue, error)
	// Route is Entry.Route under a key likewise: a ticket comes back for each message, by its place among them.
	Route   func(ingress string, e connector.Event, t envelope.Ticket, told func(int, *envelope.Ticket)) error
	Outflow *driver.Outflow
	Memory  *memory.Pages
	// Moving is how many bytes are on their way, and do not merely wait.
	Moving func() int64
	// Epoch is the one that has been announced.
	Epoch func() statefun.Epoch
	// Engine is the *engine.Engine, for calls that do not wait.
	Engine any
}

// Assemble puts an application together: config is an engine.Config, modules a []engine.Module. failed is
// called when an ingress stops. What the backend of config holds is loaded; the clock is moved on to where that
// was made.
// It is loaded by one shard after the other.
var Assemble func(ctx context.Context, config any, clk *clock.Virtual, modules any, failed func(error)) (*Application, error)
