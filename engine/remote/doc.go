// SPDX-License-Identifier: Apache-2.0

// Package remote is the port to functions that run elsewhere: in another process, or in this one behind
// bytes. Protocols import this package and package statefun, never the engine.
//
// The engine decides what is sent and when: one request at a time for an address, its messages in order,
// its state beside them, again after a failure. An [Invoker] carries a request to where the function is
// served and brings the reply back; it keeps no state of its own and tries nothing twice. The effects of
// a reply take place together when the engine has it, or not at all.
package remote
