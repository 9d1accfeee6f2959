// SPDX-License-Identifier: Apache-2.0

// A counter for each key, as a virtual object of Restate. The number of the port is written to stdout; the
// process ends with its stdin.
import * as http2 from "node:http2";
import * as restate from "@restatedev/restate-sdk";

const counter = restate.object({
  name: "counter",
  handlers: {
    add: async (ctx, n) => {
      const count = ((await ctx.get("count")) ?? 0) + n;
      ctx.set("count", count);
      return count;
    },
  },
});

const server = http2.createServer(restate.createEndpointHandler({ services: [counter] }));
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.on("end", () => process.exit(0)).resume();
