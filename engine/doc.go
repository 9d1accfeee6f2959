// SPDX-License-Identifier: Apache-2.0

// Package engine runs stateful functions: virtual instances addressed by type and id, each with its own
// state, that message each other.
//
// A function type is declared as a contract, an interface whose methods are the messages it accepts
// ([Define], [Accept], [Answer]), and implemented by whatever implements the interface ([Bind]). State is
// declared where the implementation is made ([NewValue]). Messages are typed: a wrong message, a wrong
// state type or a wrong answer does not compile. A [Module] bundles functions, ingresses, routers and
// egresses; [Open] puts modules together and runs them.
//
// An invocation is atomic: its state changes, sends and records take effect together when the handler
// returns nil, or not at all. An address runs one invocation at a time, and messages from one sender to
// one target arrive in the order in which they were sent.
package engine
