// SPDX-License-Identifier: Apache-2.0

// Package http lets messages in over HTTP ([Ingress], a connector.Door) and takes records out over HTTP
// ([Egress], a connector.Sink).
//
// # Ingress
//
//	PUT|POST /<namespace>/<type>/<id>    send a message to an address: 202
//	POST /call/<namespace>/<type>/<id>   send it and wait for the answer: 200
//	PUT|POST /ingress                    hand an event to the ingress's routers: 202
//
// The path is taken as the client wrote it: three segments, each percent-decoded once, so that a slash
// inside a namespace or an id is %2F and an id may hold any bytes. The first segment "call" is taken; a
// namespace of that name is written %63all. A query is refused, because an id with a forgotten %3F would
// otherwise reach another address.
//
// The body is the value, and Content-Type says of which type:
//
//	application/vnd.<typename>   the raw bytes of a value of that type
//	text/plain                   UTF-8 text, wrapped as io.statefun.types/string
//	application/json             the raw bytes of a value whose type the header Millrace-Typename names
//
// Answers of a call come back the same way: io.statefun.types/string as text/plain without its wrapping,
// everything else as application/vnd.<typename>, byte for byte. An event for the routers has the key that
// the header Millrace-Key gives, or none. Every refusal, also of what is not HTTP, is JSON:
// {"error":{"code":…,"message":…,"hint":…}}.
//
// With ack: durable, the default if the backend survives the process, a message is acknowledged when it is
// in a committed checkpoint, and so is the answer of a call. With ack: accepted it is acknowledged when the
// engine has it; a crash before the next commit loses it.
//
// A request with the header Idempotency-Key, 1 to 255 printable ASCII characters, counts once, however often
// it is sent within the idempotencyWindow: a call that is repeated gets the answer of the first one. A key
// belongs to one ingress and one target address; there, another body under the same key is refused with 422.
// So a client that gets no answer, or a 503, sends the request again with the same key.
//
// # Egress
//
// Each record is one POST with the headers Millrace-Sender, Millrace-Egress, Idempotency-Key and
// Content-Type. The records of one sending address go out one after another; those of different
// addresses side by side. Delivery is at least once: a receiver that wants each record once must honour
// Idempotency-Key, which is the same however often a record is sent.
package http
