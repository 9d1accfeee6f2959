// SPDX-License-Identifier: Apache-2.0

// Package connector is the port between the engine and what lies outside: sources and doors bring
// events in, sinks take records out. Connectors import this package and package statefun, never the
// engine.
//
// A [Source] is one replayable partition: it hands out events in an order that it can repeat, and says
// where it stands. A [Door] cannot be replayed, such as an HTTP server: what it has not been given an
// acknowledgement for may be lost, and its client knows.
package connector
