// SPDX-License-Identifier: Apache-2.0

// The functions of ../functions.go, written with the JavaScript SDK. Serves them at port 8000 of this
// machine, or where the first argument says: a port, or unix:path.
"use strict";

const http = require("http");
const { StateFun, messageBuilder, egressMessageBuilder } = require("apache-flink-statefun");

const GreetRequest = StateFun.jsonType("example/GreetRequest");
const Visit = StateFun.jsonType("example/Visit");
const EgressRecord = StateFun.jsonType("io.statefun.playground/EgressRecord");

const statefun = new StateFun();

// Counts the visits of one person and has each of them greeted.
statefun.bind({
  typename: "example/person",
  specs: [{ name: "visits", type: StateFun.intType() }],
  fn(context, message) {
    const { name } = message.as(GreetRequest);
    const number = (context.storage.visits ?? 0) + 1;
    context.storage.visits = number;
    context.send(
      messageBuilder({ typename: "example/greeter", id: context.self.id, value: { name, number }, valueType: Visit }),
    );
  },
});

// Words a greeting and emits it.
statefun.bind({
  typename: "example/greeter",
  fn(context, message) {
    const payload = words(message.as(Visit));
    context.send(
      egressMessageBuilder({
        typename: "io.statefun.playground/egress",
        value: { topic: "greetings", payload },
        valueType: EgressRecord,
      }),
    );
  },
});

function words({ name, number }) {
  switch (number) {
    case 1:
      return `Welcome, ${name}! Please come in.`;
    case 2:
      return `${name}, you are back. How nice.`;
    case 3:
      return `Third time, ${name}: your chair is by the window.`;
    default:
      return `The usual, ${name}? This is visit ${number}.`;
  }
}

const address = process.argv[2] ?? "8000";
const where = address.startsWith("unix:") ? { path: address.slice("unix:".length) } : { host: "127.0.0.1", port: Number(address) };
const server = http.createServer(statefun.handler());
server.listen(where, () => console.log("serving example/person and example/greeter at", server.address()));

// Let requests that are in progress end.
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.on(signal, () => {
    server.close();
    server.closeIdleConnections();
  });
}
