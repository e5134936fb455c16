import {
  type BlockChild,
  type BlockDriver,
  type BlockImage,
  CoMutex,
  type DriverEntry,
  type NodeOptions,
  type OpenContext,
} from "@coblock/core";
import { describe, expect, test } from "vitest";
import type { LabDisk } from "./lab-disk.ts";
import type { Lab } from "./lab.ts";
import { powerCut } from "./power-cut.ts";
import type { Play, Scenario } from "./scenario.ts";
import { parseSchedule } from "./schedule.ts";

declare module "@coblock/core" {
  interface DriverOptions {
    "two-copies": { readonly file: NodeOptions };
  }
}

const SECTOR = 512;
const DISK = 2 * SECTOR;

/** What is wrong with a variant of the format. */
type Flaw = "no flush" | "wrong order" | "acknowledges early" | "never flushes" | "rewrites a neighbour";

/** Sector 0 says which of two copies of the disk counts. A write makes the other copy new, flushes, and then says that it counts. */
class TwoCopies implements BlockImage {
  readonly size = DISK;
  readonly limits = { requestAlignment: 1 };
  readonly #file: BlockChild;
  readonly #flaw: Flaw | undefined;
  readonly #lock: CoMutex;
  #current: number;

  constructor(file: BlockChild, flaw: Flaw | undefined, current: number, lock: CoMutex) {
    this.#file = file;
    this.#flaw = flaw;
    this.#current = current;
    this.#lock = lock;
  }

  async read(offset: number, into: Uint8Array): Promise<void> {
    using _held = await this.#lock.lock();
    await this.#file.read(offsetOf(this.#current) + offset, into);
  }

  async write(offset: number, from: Uint8Array): Promise<void> {
    using _held = await this.#lock.lock();
    const bytes = new Uint8Array(DISK);
    await this.#file.read(offsetOf(this.#current), bytes);
    if (this.#flaw === "rewrites a neighbour") await this.#rewriteNeighbour(bytes, offset);
    bytes.set(from, offset);
    const other = 1 - this.#current;
    if (this.#flaw === "wrong order") await this.#select(other);
    await this.#file.write(offsetOf(other), bytes);
    if (this.#flaw !== "no flush" && this.#flaw !== "wrong order") await this.#file.flush();
    if (this.#flaw !== "wrong order") await this.#select(other);
    this.#current = other;
  }

  async flush(): Promise<void> {
    if (this.#flaw === "never flushes") return;
    const flushing = this.#file.flush();
    if (this.#flaw !== "acknowledges early") await flushing;
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  async #select(copy: number): Promise<void> {
    await this.#file.write(0, new Uint8Array(SECTOR).fill(copy));
  }

  /** What stands beside the written sector is away for a moment. */
  async #rewriteNeighbour(bytes: Uint8Array, offset: number): Promise<void> {
    const neighbour = offset < SECTOR ? SECTOR : 0;
    const at = offsetOf(this.#current) + neighbour;
    await this.#file.write(at, new Uint8Array(SECTOR));
    await this.#file.write(at, bytes.subarray(neighbour, neighbour + SECTOR));
  }
}

function offsetOf(copy: number): number {
  return SECTOR + copy * DISK;
}

function twoCopies(flaw: Flaw | undefined): DriverEntry {
  const driver: BlockDriver<"two-copies"> = {
    name: "two-copies",
    kind: "format",
    optionNames: ["file"],
    open: async ({ file }, context: OpenContext) => {
      const child = await context.child("file", "data and metadata", file);
      const head = new Uint8Array(SECTOR);
      await child.read(0, head);
      return new TwoCopies(child, flaw, head[0] ?? 0, new CoMutex("two copies", context.clock));
    },
  };
  return { name: "two-copies", kind: "format", load: async () => driver };
}

function scenarioOf(flaw: Flaw | undefined, play: (disk: LabDisk, lab: Lab) => Play["actors"]): Scenario {
  return {
    name: "two-copies",
    about: `a disk that is stored twice, ${flaw ?? "in good order"}`,
    drivers: [twoCopies(flaw)],
    prepare: async (lab) => {
      await lab.file("sim:disk", async () => {
        const copies = lab.pattern(DISK);
        return Buffer.concat([new Uint8Array(SECTOR), copies, copies]);
      });
      return { actors: play(await lab.open("disk", { driver: "two-copies", file: { driver: "sim", filename: "sim:disk" } }), lab) };
    },
  };
}

/** Both sectors are written, and flushed; one of them is written on. */
function writesAndFlushes(disk: LabDisk): Play["actors"] {
  return {
    A: async (actor) => {
      await actor.write(disk, 0, SECTOR);
      await actor.flush(disk);
      await actor.write(disk, SECTOR, SECTOR);
      await actor.flush(disk);
      await actor.write(disk, SECTOR, SECTOR);
    },
    B: (actor) => actor.read(disk, 0, DISK),
  };
}

describe("a format that loses nothing", () => {
  test("is harmless, with as many cuts as moments ask for", async () => {
    const { failure, moments, cuts } = await powerCut(scenarioOf(undefined, writesAndFlushes));
    expect(failure).toBeUndefined();
    // Three runs; in each 3 writes of copies and heads with a flush between, and 2 flushes: begin and end of each, and the end of all.
    expect(moments).toBe(3 * (2 * (3 * 3 + 2) + 1));
    // What changes nothing leaves no second disk: 12 for the first write and its flush, 16 for the second, 9 for the third, 2 at the end.
    expect(cuts).toBe(3 * (12 + 16 + 9 + 2));
  });

  test("one write is cut before, after and at the end, with all that may be left of it", async () => {
    const scenario: Scenario = {
      name: "one-write",
      about: "one write of two sectors to a plain file",
      drivers: [],
      prepare: async (lab) => {
        await lab.file("sim:disk", async () => lab.pattern(DISK));
        const disk = await lab.open("disk", { driver: "sim", filename: "sim:disk" });
        return { actors: { A: (actor) => actor.write(disk, 0, DISK) } };
      },
    };
    const { failure, moments, cuts } = await powerCut(scenario, { seeds: [] });
    expect([failure, moments, cuts]).toEqual([undefined, 3, 1 + 4 + 4]);
    expect(await powerCut(scenario, { seeds: [], bound: 3 })).toMatchObject({ moments: 3, cuts: 1 + 3 + 3 });
    expect(await powerCut(scenario, { seeds: [7, 8] })).toMatchObject({ moments: 9, cuts: 27 });
    expect(await powerCut(scenario, { schedule: [] })).toMatchObject({ moments: 3, cuts: 9 });
  });
});

describe("a format that does not keep its promises is found", () => {
  const flaws: readonly Flaw[] = ["no flush", "wrong order", "acknowledges early", "never flushes", "rewrites a neighbour"];
  for (const flaw of flaws) {
    test(`${flaw}; the cut that was told repeats it`, async () => {
      const scenario = scenarioOf(flaw, writesAndFlushes);
      const { failure } = await powerCut(scenario);
      if (failure === undefined) throw new Error(`${flaw}: nothing is found`);
      expect(failure.message).toMatch(/^disk: disk after the cut: at offset \d+ there is \[.*\], and should be \[/);
      expect(failure.report).toContain(`power cut ${failure.cut}: when`);
      expect(failure.report).toContain("A: write disk 0x0+512 begins");
      expect(failure.report).toContain(
        `again: powerCut(two-copies, { schedule: parseSchedule("${failure.schedule}"), only: ${failure.cut} })`,
      );
      const again = await powerCut(scenario, { schedule: parseSchedule(failure.schedule), only: failure.cut });
      expect(again.cuts).toBe(1);
      expect(again.failure).toEqual(failure);
      const before = await powerCut(scenario, { schedule: parseSchedule(failure.schedule), only: failure.cut - 1 });
      expect([before.cuts, before.failure]).toEqual([1, undefined]);
    });
  }

  test("a flush that does nothing, and after which nothing comes", async () => {
    const { failure } = await powerCut(
      scenarioOf("never flushes", (disk) => ({
        A: async (actor) => {
          await actor.write(disk, 0, SECTOR);
          await actor.flush(disk);
        },
      })),
    );
    expect(failure?.report).toContain("when all actors have ended");
  });
});

test("a run that fails without a cut is told as that", async () => {
  const { failure } = await powerCut(
    scenarioOf(undefined, (disk) => ({
      A: async (actor) => {
        await actor.write(disk, 0, SECTOR);
        throw new Error("the scenario is no good");
      },
    })),
  );
  expect(failure?.cut).toBe(-1);
  expect(failure?.message).toBe("A fails: the scenario is no good");
  expect(failure?.report).toContain("A: write disk 0x0+512 is done");
});
