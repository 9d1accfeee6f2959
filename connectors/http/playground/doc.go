// SPDX-License-Identifier: Apache-2.0

// Package playground has the two kinds of components with which StateFun's playground is tried out from a
// shell: a way in over HTTP, and an egress whose records are fetched over HTTP.
//
//	kind: io.statefun.playground.v1/ingress
//	spec: {port: 8090}
//	---
//	kind: io.statefun.playground.v1/egress
//	spec: {port: 8091, topics: [greetings]}
//
//	curl -X PUT -H "Content-Type: application/vnd.example/Greet" -d '{}' localhost:8090/example/person/Bob
//	curl localhost:8091/greetings
//
// # Ingress
//
// Any method, and the path /<namespace>/<function>/<id>. The value is the body as it is. Its type is what
// follows "application/vnd." in the first Content-Type that begins so, to the letter; with any other
// Content-Type it is io.statefun.types/string, and since nothing is wrapped, the body has to be such a
// string already.
//
// # Egress
//
// The egress is io.statefun.playground/egress. Its records have the type
// io.statefun.playground/EgressRecord, which is JSON, {"topic": …, "payload": …}. Each request for /<topic>
// takes the oldest payload. Payloads wait in memory, up to 2^20 in a topic; what comes beyond is dropped,
// counted and logged.
//
// # Answers
//
// What StateFun answers is answered in the same way: the status line says 200 whatever happened, and the
// header Status has the code.
//
//	ingress   200 taken, 500 bad path
//	egress    200 the payload, as the body; 404 the topic is empty; 405 there is no such topic
//
// For everything else a true status line says the same as the header Status, so that nobody takes a lost
// message for one that arrived: 500 without any Content-Type, where StateFun fails too; 404 for an unknown
// function, 503 when the runtime is out of credit or ends, and what is wrong with HTTP itself. Those
// answers are JSON, {"error":{"code":…,"message":…,"hint":…}}. The header Millrace-Error says what is wrong
// with a path.
//
// # Differences from StateFun
//
// They are few, and none is seen by who follows its documentation.
//
//   - The servers listen on 127.0.0.1, not on all addresses; the field host says otherwise.
//   - A slash inside a segment is %2F, a path with another slash at its end is a bad one, and a semicolon is
//     a character like others.
//   - An unknown function is refused, and so is a message without credit; StateFun's job fails at the one
//     and its client waits at the other.
//   - A body has at most maxBodyBytes, 16 MiB by default.
//   - A record that is none, or for a topic that is not declared, is undeliverable; StateFun's job fails.
//   - A HEAD request takes no payload.
//   - All topics together hold at most 256 MiB.
package playground
