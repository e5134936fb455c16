/** NBD over a simulated connection: replies in any order and any pieces, a connection that breaks at any byte, a server that forgets. */

import { type BlockImage, rawDriver, type DriverEntry } from "@coblock/core";
import { nbdDriver, NbdServer } from "@coblock/nbd";
import type { Lab, LabDisk, Play, Scenario, SimConnection, SimConnectionOptions } from "@coblock/testing";

const SIZE = 16 * 1024;
const SECTOR = 512;

declare module "@coblock/core" {
  interface DriverOptions {
    forgetful: { readonly memory: ForgetfulMemory };
  }
}

/** A disk that loses with its server what was not flushed. */
class ForgetfulMemory implements BlockImage {
  readonly size = SIZE;
  readonly limits = { requestAlignment: 1 };
  #stable: Uint8Array = new Uint8Array(SIZE);
  #volatile: Uint8Array = new Uint8Array(SIZE);

  read(offset: number, into: Uint8Array): void {
    into.set(this.#volatile.subarray(offset, offset + into.length));
  }

  write(offset: number, from: Uint8Array): void {
    this.#volatile.set(from, offset);
  }

  flush(): void {
    this.#stable = this.#volatile.slice();
  }

  forget(): void {
    this.#volatile = this.#stable.slice();
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

const forgetfulDriver: DriverEntry = {
  name: "forgetful",
  kind: "protocol",
  load: async () => ({
    name: "forgetful",
    kind: "protocol",
    optionNames: ["memory"],
    open: async ({ memory }: { memory: ForgetfulMemory }) => memory,
  }),
};

const DRIVERS: Scenario["drivers"] = [nbdDriver, rawDriver, forgetfulDriver];

/** A disk of our client at our server, and the connections between them. */
interface Served {
  readonly disk: LabDisk;
  readonly connections: readonly SimConnection[];
  /** Ends the play: client, server, disk. */
  readonly judge: NonNullable<Play["judge"]>;
}

interface ServedOptions extends SimConnectionOptions {
  /** Absent: a file of the simulated storage. */
  readonly memory?: ForgetfulMemory;
  readonly reconnectDelay?: number;
  readonly connections?: number;
}

async function serve(lab: Lab, { memory, cuts, ...client }: ServedOptions): Promise<Served> {
  if (memory === undefined) await lab.file("sim:disk", async () => lab.pattern(SIZE));
  const below = memory === undefined ? ({ driver: "raw", file: "sim:disk" } as const) : ({ driver: "forgetful", memory } as const);
  const serving = lab.newGraph();
  const node = await serving.open(below);
  const server = await NbdServer.start({ exports: [{ name: "", node, writable: true }], clock: lab.clock });
  const connections: SimConnection[] = [];
  const connect = async (): Promise<SimConnection["client"]> => {
    const made = lab.connection(cuts === undefined ? {} : { cuts });
    connections.push(made);
    void server.serve(made.server);
    return made.client;
  };
  const disk = await lab.open("disk", { driver: "nbd", connect, ...client }, { judgedAs: below });
  const judge = async (): Promise<void> => {
    await disk.node[Symbol.asyncDispose]();
    await server.close();
    await serving[Symbol.asyncDispose]();
  };
  return { disk, connections, judge };
}

const replies: Scenario = {
  name: "nbd-replies",
  about: "requests of three coroutines on one connection, whose bytes arrive in pieces and whose replies come in any order",
  drivers: DRIVERS,
  storage: { completions: "later" },
  async prepare(lab) {
    const { disk, judge } = await serve(lab, { cuts: "near the ends" });
    return {
      actors: {
        A: async (actor) => {
          await actor.write(disk, 0, 2 * SECTOR);
          await actor.read(disk, SECTOR, 2 * SECTOR);
        },
        B: async (actor) => {
          await actor.write(disk, 4 * SECTOR, SECTOR);
          await actor.flush(disk);
        },
        C: (actor) => actor.read(disk, 0, 6 * SECTOR),
      },
      judge,
    };
  },
};

const pieces: Scenario = {
  ...replies,
  name: "nbd-pieces",
  about: "writes, zeros and reads over two connections, whose bytes arrive in pieces of any length",
  async prepare(lab) {
    const { disk, judge } = await serve(lab, { cuts: "anywhere", connections: 2 });
    return {
      actors: {
        A: async (actor) => {
          await actor.write(disk, 0, 3 * SECTOR);
          await actor.writeZeroes(disk, SECTOR, SECTOR);
          await actor.read(disk, 0, 4 * SECTOR);
        },
        B: async (actor) => {
          await actor.write(disk, 3 * SECTOR, SECTOR);
          await actor.flush(disk);
          await actor.read(disk, 2 * SECTOR, 3 * SECTOR);
        },
        C: async (actor) => {
          await actor.read(disk, 0, 8 * SECTOR);
          await actor.write(disk, 6 * SECTOR, 2 * SECTOR);
        },
      },
      judge,
    };
  },
};

/** Whoever runs it breaks what connections there are, and with them the server's memory. */
function killed(name: string, about: string, cuts: NonNullable<SimConnectionOptions["cuts"]>, times: number): Scenario {
  return {
    name,
    about,
    drivers: DRIVERS,
    async prepare(lab) {
      const memory = new ForgetfulMemory();
      const { disk, connections, judge } = await serve(lab, { memory, cuts, reconnectDelay: 30 });
      return {
        actors: {
          killer: async (actor) => {
            for (let time = 0; time < times; time++) {
              await actor.does("kill the server", async () => {
                for (const connection of connections) if (connection.open > 0) connection.break();
                memory.forget();
              });
              await actor.pause();
            }
            // Time, which the client needs to come back, does not pass any more when all have ended.
            await actor.flush(disk);
          },
          A: async (actor) => {
            await actor.write(disk, 0, SECTOR);
            await actor.flush(disk);
            await actor.read(disk, 0, 2 * SECTOR);
          },
          B: async (actor) => {
            await actor.write(disk, SECTOR, SECTOR);
            await actor.write(disk, SECTOR, SECTOR);
          },
        },
        judge,
      };
    },
  };
}

export const NBD_SCENARIOS: readonly Scenario[] = [
  replies,
  pieces,
  killed("nbd-killed", "a server that is killed forgets what was not flushed; the client comes back and loses nothing", "nowhere", 1),
  killed("nbd-cut", "the server is killed twice, and messages on their way are cut off at any byte", "anywhere", 2),
];
