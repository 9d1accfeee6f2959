// SPDX-License-Identifier: Apache-2.0

// Package requestreply speaks StateFun's 3.x request-reply protocol, as every SDK of it does: a request is
// a protobuf message with a batch of messages for one address and all its state, the reply is one with
// the effects of all of them. They travel as the bodies of one HTTP POST, with an [HTTP] invoker, or as
// bytes within the process, with one of [NewInProcess].
//
// [AppendRequest] and [DecodeReply] are written by hand, because each message of an application passes
// through them: they allocate nothing, copy a value once on its way out and not at all on its way in.
// They write and read what the code of protobuf's own generator does (internal/protocol); fuzz tests
// compare the two, and testdata/wire has the bytes of StateFun's own SDKs.
package requestreply
