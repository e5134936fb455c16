/** What protects requests over NBD, switched off one at a time. */

import type { Mutation } from "../mutations.ts";

const LINK = "nbd/src/client/client-link.ts";
const CONNECTION = "nbd/src/client/client-connection.ts";
const TRANSMISSION = "nbd/src/server/transmission.ts";
const REQUEST_SERVER = "nbd/src/server/request-server.ts";

export const NBD_MUTATIONS: readonly Mutation[] = [
  {
    name: "nbd-replay-left-out",
    about: "what was answered and not flushed is not sent again to a server that came back",
    scenario: "nbd-killed",
    by: "random",
    edits: [{ file: LINK, find: "      for (const change of this.#log.changes) await first.send(change);\n", replace: "" }],
    found: /wrong: /,
  },
  {
    name: "nbd-flush-covers-later",
    about: "a flush takes the changes off the log that were answered while it was under way",
    scenario: "nbd-killed",
    by: "random",
    edits: [{ file: LINK, find: "this.#log.flushed(mark);", replace: "this.#log.flushed(mark === undefined ? 0 : this.#log.mark);" }],
    found: /wrong: /,
  },
  {
    name: "nbd-lost-unheard",
    about: "requests on a connection that broke do not hear of it",
    scenario: "nbd-killed",
    by: "random",
    edits: [{ file: CONNECTION, find: "      for (const reply of pending) reply.lose(lost);\n", replace: "      void pending;\n" }],
    found: /stuck: /,
  },
  {
    name: "nbd-payload-reused",
    about: "the buffer of a payload goes back to the pool before it was written",
    scenario: "nbd-pieces",
    by: "random",
    edits: [
      {
        file: TRANSMISSION,
        find: "    await this.#server.serve(request, payload, keep);\n    if (pooled !== undefined) this.#pool.give(pooled);\n",
        replace: "    if (pooled !== undefined) this.#pool.give(pooled);\n    await this.#server.serve(request, payload, keep);\n",
      },
    ],
    found: /wrong: /,
  },
  {
    name: "nbd-reply-reused",
    about: "the buffer of a reply goes back to the pool before it was sent",
    scenario: "nbd-replies",
    by: "random",
    edits: [
      {
        file: REQUEST_SERVER,
        find: "      this.#pool.give(buffer);\n      sent();\n    });",
        replace: "      sent();\n    });\n    this.#pool.give(buffer);",
      },
    ],
    found: /lost the connection to the server: |wrong: /,
  },
];
