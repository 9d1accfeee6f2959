// SPDX-License-Identifier: Apache-2.0

// Answers the requests beside it with StateFun's SDK for JavaScript.
"use strict";

const fs = require("node:fs");
const path = require("node:path");
const { Readable } = require("node:stream");
const { StateFun, messageBuilder, kafkaEgressMessage, kinesisEgressMessage } = require("apache-flink-statefun");

const say = (value) => messageBuilder({ typename: "example/log", id: "all", value });

function golden(context, message) {
  const storage = context.storage;
  switch (message.isString() ? message.asString() : "") {
    case "show": {
      const show = (v) => (v === null ? "none" : JSON.stringify(v));
      context.send(say(`count=${show(storage.count)} flag=${show(storage.flag)} note=${show(storage.note)}`));
      break;
    }
    case "count":
      storage.count = (storage.count ?? 0) + 1;
      storage.flag = true;
      break;
    case "zero":
      storage.count = 0;
      storage.flag = false;
      storage.note = "";
      context.send(say(0));
      context.send(say(""));
      break;
    case "clear":
      storage.count = storage.flag = storage.note = null;
      break;
    case "who": {
      const name = (a) => (a === null ? "an ingress" : `${a.namespace}/${a.name}/${a.id}`);
      context.send(say(`${name(context.caller)} calls ${name(context.self)}`));
      break;
    }
    case "send":
      context.send(say("hello"));
      break;
    case "later":
      context.sendAfter(1500, say("late"));
      context.sendAfter(60000, say("later"), "token-1");
      break;
    case "cancel":
      context.cancelDelayedMessage("token-1");
      break;
    case "egress":
      context.send(kafkaEgressMessage({ typename: "example/kafka", topic: "topic", key: "key", value: "value" }));
      context.send(kinesisEgressMessage({ typename: "example/kinesis", stream: "stream", partitionKey: "key", value: "value" }));
      break;
    case "past":
      context.sendAfter(-5, say("too late"));
      break;
    case "nothing":
      break;
    default:
      context.send(say(`${message.valueTypeName} ${message.rawValueBytes.toString("hex")}`));
  }
}

const statefun = new StateFun();
statefun.bind({
  typename: "example/golden",
  fn: golden,
  specs: [
    { name: "count", type: StateFun.intType() },
    { name: "flag", type: StateFun.booleanType(), expireAfterWrite: 60 * 60 * 1000 },
    { name: "note", type: StateFun.stringType(), expireAfterCall: 60 * 1000 },
  ],
});

// The SDK has no other public way in than a request of Node's HTTP server; it reads the body of one and
// writes the status and the body of the response.
async function answer(request) {
  let status;
  let reply;
  await statefun.handle(Readable.from([request]), {
    writeHead: (code) => (status = code),
    end: (body) => (reply = body),
  });
  if (status !== 200) {
    throw new Error(`status ${status}`);
  }
  return Buffer.from(reply);
}

async function main() {
  const dir = path.join(__dirname, "..");
  for (const file of fs.readdirSync(dir).filter((f) => f.endsWith(".request.hex"))) {
    const request = Buffer.from(fs.readFileSync(path.join(dir, file), "utf8").replace(/\s/g, ""), "hex");
    const reply = (await answer(request)).toString("hex");
    fs.writeFileSync(path.join(dir, file.replace(".request.", ".js.reply.")), reply.replace(/.{1,64}/g, "$&\n"));
  }
}

main();
