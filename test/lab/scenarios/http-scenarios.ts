/** Files on web servers over simulated connections: windows that overlap, connections that break, a file that changes. */

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { BlockError, type BlockNode } from "@coblock/core";
import { httpDriver } from "@coblock/http";
import type { Actor, Lab, Scenario, SimConnection, SimConnectionOptions } from "@coblock/testing";
import { wrong } from "./lock-model.ts";

const KIB = 1024;
const SIZE = 40 * KIB;

/** The file in its two states, and a server that looks at no conditions: what it answers must tell. */
class ChangingFile {
  readonly bytes: readonly [Uint8Array, Uint8Array];
  readonly connections: SimConnection[] = [];
  readonly #lab: Lab;
  readonly #cuts: NonNullable<SimConnectionOptions["cuts"]>;
  readonly #server = createServer((request, response) => this.#answer(request, response));
  #state: 0 | 1 = 0;

  constructor(lab: Lab, cuts: NonNullable<SimConnectionOptions["cuts"]>) {
    this.#lab = lab;
    this.#cuts = cuts;
    this.bytes = [lab.pattern(SIZE), lab.pattern(SIZE)];
  }

  open(options: { readonly cacheSize: number; readonly connections: number }): Promise<BlockNode> {
    const connect = async (): Promise<SimConnection["client"]> => {
      const made = this.#lab.connection({ cuts: this.#cuts });
      this.connections.push(made);
      this.#server.emit("connection", made.server);
      return made.client;
    };
    return this.#lab.graph.open({ driver: "http", url: "http://server/file", connect, ...options }, { readOnly: true });
  }

  change(): void {
    this.#state = 1;
  }

  #answer({ headers }: IncomingMessage, response: ServerResponse): void {
    const [, first = 0, last = SIZE - 1] = (/^bytes=(\d+)-(\d+)$/.exec(headers.range ?? "") ?? []).map(Number);
    const end = Math.min(SIZE, last + 1);
    response.writeHead(206, {
      etag: `"${this.#state}"`,
      "content-range": `bytes ${first}-${end - 1}/${SIZE}`,
      "content-length": end - first,
    });
    response.end(this.bytes[this.#state].subarray(first, end));
  }
}

/** Reads, and wants the first state; a file that has changed may also be an error. */
async function read(actor: Actor, node: BlockNode, file: ChangingFile, offset: number, length: number): Promise<void> {
  const into = new Uint8Array(length);
  const what = `read ${offset}+${length}`;
  actor.tells(`${what} begins`);
  try {
    await node.read(offset, into);
  } catch (error) {
    if (!(error instanceof BlockError) || !error.message.includes("the file changed on the server")) throw error;
    actor.tells(`${what} fails: ${error.message}`);
    return;
  }
  if (Buffer.compare(into, file.bytes[0].subarray(offset, offset + length)) !== 0)
    throw wrong(`${what} answers other bytes than the file had when it was opened`);
  actor.tells(`${what} is done`);
}

const windows: Scenario = {
  name: "http-windows",
  about: "windows of a file that overlap are read at one time, with room for two pages, and a connection breaks once",
  drivers: [httpDriver],
  async prepare(lab) {
    const file = new ChangingFile(lab, "near the ends");
    const node = await file.open({ cacheSize: 8 * KIB, connections: 2 });
    return {
      actors: {
        A: async (actor) => {
          await read(actor, node, file, 5 * KIB, 8 * KIB);
          await read(actor, node, file, 13 * KIB, 4 * KIB);
        },
        B: async (actor) => {
          await read(actor, node, file, 9 * KIB, 12 * KIB);
          await read(actor, node, file, 4 * KIB, 2 * KIB);
        },
        breaker: (actor) =>
          actor.does("break a connection", async () => {
            for (const connection of file.connections) if (connection.open > 0) return connection.break();
          }),
      },
      judge: () => node[Symbol.asyncDispose](),
    };
  },
};

const changed: Scenario = {
  ...windows,
  name: "http-changed",
  about: "the file changes while windows of it are read: bytes of two states are never mixed, and the first state's are read or none",
  async prepare(lab) {
    const file = new ChangingFile(lab, "nowhere");
    const node = await file.open({ cacheSize: 64 * KIB, connections: 2 });
    return {
      actors: {
        A: async (actor) => {
          await read(actor, node, file, 5 * KIB, 8 * KIB);
          await read(actor, node, file, 13 * KIB, 4 * KIB);
        },
        B: (actor) => read(actor, node, file, 9 * KIB, 12 * KIB),
        writer: (actor) => actor.does("write another file", async () => file.change()),
      },
      judge: () => node[Symbol.asyncDispose](),
    };
  },
};

export const HTTP_SCENARIOS: readonly Scenario[] = [windows, changed];
