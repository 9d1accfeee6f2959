// SPDX-License-Identifier: Apache-2.0

// Package admin is the address of a running engine that is for its operator: health, metrics, counters,
// profiles, what is stored, and a way to send a message or to resume an address by hand. [Server] serves it, [Client] asks.
//
//	GET  /healthz          200 while the process serves
//	GET  /readyz           200 while the application's doors are open; 503 before and after
//	GET  /metrics          for Prometheus
//	GET  /v1/stats         {"state","addresses","stats"}: the last with the fields of engine.Stats
//	POST /v1/send          sends a message: 202
//	POST /v1/call          sends a message and waits for the answer: 200
//	GET  /v1/suspended     {"addresses":[{"namespace","type","id","since_ms","error"}],"more"}: at most 10,000 of
//	                       those that are suspended, and how many more there are
//	POST /v1/resume        has a suspended address go on; with skip=true it gives up its first message: 202.
//	                       With all=<namespace>/<type> all those of a function: {"addresses"}, how many
//	GET  /v1/state         the state of an address as of a committed epoch:
//	                       {"address","epoch","states":[{"name","typename","bytes","text","expires_at_ms"}]}
//	GET  /v1/checkpoints   [{"epoch","generation","created_at_ms","instances","in_flight","timers","outbox","bytes"}]
//	GET  /v1/checkpoint    the newest one with its "state_hash", and with "sum" of sum=<namespace>/<type>:<state>
//	                       and "sum_in_flight" of sum_in_flight=<typename>
//	POST /v1/checkpoint    takes one now: {"epoch","generation","created_at_ms"}
//	GET  /debug/pprof/     profiles
//
// Parameters are those of a query: address=<namespace>/<type>/<id> and, for messages, type=<typename>,
// durable=true, which has the answer wait until the message is in a committed checkpoint, and key=<key>, under
// which it counts once; the value is the body, as it is. The value of an answer is the body too, and its type is in the header
// Millrace-Typename. Refusals are JSON: {"error":{"code":…,"message":…,"hint":…}}.
//
// # Who may
//
// The first three are open to whoever can connect. The rest decides over the application. Behind a loopback
// address or a unix socket, which only its owner may open, it is open to this machine's users, but not to
// the pages in their browsers: the Host header must name this machine, and the request must not come from
// another origin. With a token file, which every other address needs, a request must bear the token. There is
// no TLS: across a network that others can read, put something with TLS in front.
package admin
