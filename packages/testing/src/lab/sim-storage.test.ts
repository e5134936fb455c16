import { PagedBytes } from "../storage/paged-bytes.ts";
import { BlockError, BlockGraph, type BlockNode, type NodeOptions } from "@coblock/core";
import { describe, expect, test } from "vitest";
import { ScriptedChoices } from "./choices.ts";
import { explore, replay } from "./explore.ts";
import { Journal } from "./journal.ts";
import type { Lab } from "./lab.ts";
import type { Scenario } from "./scenario.ts";
import { Scheduler } from "./scheduler.ts";
import { SimClock } from "./sim-clock.ts";
import { SimStorage, type SimStorageOptions } from "./sim-storage.ts";

const SECTOR = 512;

function filled(value: number, length = SECTOR): Uint8Array {
  return new Uint8Array(length).fill(value);
}

function disk(filename: string): NodeOptions {
  return { driver: "sim", filename };
}

/** File "sim:a" of four sectors full of 7, and what the play heard in order. */
interface Stage {
  readonly node: BlockNode;
  readonly storage: SimStorage;
  readonly heard: string[];
  readonly journal: Journal;
  hear(name: string, work: Promise<void>): Promise<void>;
}

/** Plays by a schedule; ends when nothing can happen any more. Throws what the lab finds wrong. */
async function played(options: SimStorageOptions, schedule: readonly number[], play: (stage: Stage) => Promise<unknown>): Promise<Stage> {
  const journal = new Journal({ keep: true });
  const scheduler = new Scheduler({ choices: new ScriptedChoices(schedule), journal, maxSteps: 1000, watched: false });
  const storage = new SimStorage(scheduler, journal, options);
  storage.put("sim:a", filled(7, 4 * SECTOR));
  const clock = new SimClock(scheduler);
  const graph = new BlockGraph({ drivers: [storage.driver], clock });
  const node = await scheduler.quietly(
    "opening",
    () => graph.open(disk("sim:a")),
    () => [],
  );
  const heard: string[] = [];
  const hear = (name: string, work: Promise<void>): Promise<void> =>
    work.then(
      () => void heard.push(name),
      (error: unknown) => void heard.push(`${name}: ${error instanceof BlockError ? error.code : String(error)}`),
    );
  const stage = { node, storage, heard, journal, hear };
  let ended = false;
  scheduler.add(
    () => "the play begins",
    () => void play(stage).finally(() => (ended = true)),
  );
  await scheduler.run(
    () => ended && scheduler.pending.length === 0,
    clock,
    () => storage.inFlight,
  );
  return stage;
}

/** What a cut finds of file "sim:a": the durable value of each sector, and the values of the changes that no flush covers. */
function cutOf(storage: SimStorage): { readonly durable: readonly number[]; readonly changes: readonly (number | undefined)[] } {
  const { durable, changes } = storage.atCut().get("sim:a") ?? { durable: PagedBytes.zeros(0), changes: [] };
  return { durable: [...durable.toBytes()].filter((_byte, index) => index % SECTOR === 0), changes: changes.map(({ bytes }) => bytes[0]) };
}

const threeWrites = ({ node, hear }: Stage): Promise<unknown> =>
  Promise.all(["A", "B", "C"].map((name, index) => hear(name, node.write(index * SECTOR, filled(index)))));

describe("completions", () => {
  test("later: they are held, and come in the order that the schedule says", async () => {
    expect((await played({ completions: "later" }, [], threeWrites)).heard).toEqual(["A", "B", "C"]);
    expect((await played({ completions: "later" }, [2, 1], threeWrites)).heard).toEqual(["C", "B", "A"]);
    expect((await played({ completions: "later" }, [1, 1], threeWrites)).heard).toEqual(["B", "C", "A"]);
  });

  test("at once: nothing is left in flight", async () => {
    const { heard, journal } = await played({ completions: "at once" }, [1, 1], threeWrites);
    expect(heard).toEqual(["A", "B", "C"]);
    expect(journal.lines.filter((line) => line.endsWith("at once"))).toHaveLength(3);
  });

  test("either: each is a choice", async () => {
    const { heard, journal } = await played({}, [0, 1, 0, 1], threeWrites);
    expect(heard).toEqual(["B", "C", "A"]);
    expect(journal.lines.map((line) => line.trim())).toEqual([
      "1  the play begins",
      "sim:a: write 0x0+512 begins",
      "sim:a: write 0x200+512, at once",
      "sim:a: write 0x400+512 begins",
      "2  sim:a: write 0x400+512 ends",
      "3  sim:a: write 0x0+512 ends",
    ]);
  });

  test("take effect when they end, not when they begin", async () => {
    await played({ completions: "later" }, [1], async ({ node, storage, hear }) => {
      const writing = hear("write", node.write(0, filled(1)));
      expect(storage.contentOf("sim:a")[0]).toBe(7);
      expect(storage.inFlight).toEqual(["sim:a: write 0x0+512"]);
      expect(storage.inFlightOn("sim:a", 511, 600)).toEqual(["sim:a: write 0x0+512"]);
      expect([storage.inFlightOn("sim:a", 512, 600), storage.inFlightOn("sim:b", 0, 600)]).toEqual([[], []]);
      await writing;
      expect(storage.contentOf("sim:a")[0]).toBe(1);
      expect(storage.inFlight).toEqual([]);
    });
  });
});

describe("the write cache", () => {
  test("is on the disk as far as flushes cover it; what is in flight may be", async () => {
    await played({ completions: "later" }, [], async ({ node, storage }) => {
      await node.write(0, filled(1));
      const writing = node.write(SECTOR, filled(2));
      expect(cutOf(storage)).toEqual({ durable: [7, 7, 7, 7], changes: [1, 2] });
      const flushing = node.flush();
      await writing;
      await flushing;
      expect(cutOf(storage)).toEqual({ durable: [1, 7, 7, 7], changes: [2] });
      await node.flush();
      expect(cutOf(storage)).toEqual({ durable: [1, 2, 7, 7], changes: [] });
    });
  });

  test("fills what is discarded with what shows who takes it for zeros", async () => {
    await played({ completions: "at once" }, [], async ({ node, storage }) => {
      await node.discard(0, SECTOR);
      await node.writeZeroes(SECTOR, SECTOR);
      expect(cutOf(storage)).toEqual({ durable: [7, 7, 7, 7], changes: [0xdd, 0] });
    });
    await played({ completions: "at once", discardByte: 3 }, [], async ({ node, storage }) => {
      await node.discard(0, SECTOR);
      expect(storage.contentOf("sim:a")[0]).toBe(3);
    });
  });

  test("has a new size at once", async () => {
    await played({ completions: "later" }, [], async ({ node, storage }) => {
      await node.resize(2 * SECTOR, { preallocation: "off", shrink: true });
      expect([cutOf(storage).durable, node.size]).toEqual([[7, 7], 2 * SECTOR]);
    });
  });
});

describe("faults", () => {
  test("strike the n-th that matches, as often as they say", async () => {
    const { heard, storage } = await played({ completions: "at once" }, [], async (stage) => {
      const fault = stage.storage.fault({
        effect: "EIO",
        match: ({ kind, offset }) => kind === "write" && offset < 2 * SECTOR,
        after: 1,
        times: 2,
      });
      for (const [name, offset] of [
        ["A", 0],
        ["far", 1024],
        ["B", 0],
        ["C", 512],
        ["D", 0],
      ] as const)
        await stage.hear(name, stage.node.write(offset, filled(1)));
      await stage.hear("read", stage.node.read(0, filled(0)));
      expect(fault.hits).toBe(2);
    });
    expect(heard).toEqual(["A", "far", "B: IO", "C: IO", "D", "read"]);
    expect(storage.hasFailed).toBe(true);
    expect(storage.contentOf("sim:a")[512]).toBe(7);
  });

  test("ENOSPC is told from EIO", async () => {
    const { heard } = await played({ completions: "later" }, [], async (stage) => {
      using _fault = stage.storage.fault({ effect: "ENOSPC" });
      await stage.hear("A", stage.node.write(0, filled(1)));
    });
    expect(heard).toEqual(["A: NO_SPACE"]);
  });

  test("short: whole sectors of it are done, then it fails", async () => {
    const { heard, storage } = await played({ completions: "later" }, [], async (stage) => {
      stage.storage.fault({ effect: "short", times: 2 });
      await stage.hear("three sectors", stage.node.write(0, filled(1, 3 * SECTOR)));
      await stage.hear("one sector", stage.node.write(3 * SECTOR, filled(1)));
    });
    expect(heard).toEqual(["three sectors: IO", "one sector: IO"]);
    expect([...storage.contentOf("sim:a")].filter((_byte, index) => index % SECTOR === 0)).toEqual([1, 7, 7, 7]);
    expect(cutOf(storage).changes).toEqual([1]);
  });

  test("unheard: all of it is done, and it fails", async () => {
    const { heard, storage } = await played({ completions: "later" }, [], async (stage) => {
      stage.storage.fault({ effect: "unheard" });
      await stage.hear("A", stage.node.write(0, filled(1)));
    });
    expect([heard, cutOf(storage).changes]).toEqual([["A: IO"], [1]]);
  });

  test("held: it stays in flight until it is let go; others overtake it", async () => {
    const stage = await played({}, [0, 0], async ({ node, storage, hear }) => {
      using fault = storage.fault({ effect: "held", match: ({ offset }) => offset === 0 });
      const held = hear("held", node.write(0, filled(1)));
      await hear("other", node.write(SECTOR, filled(2)));
      expect(storage.inFlight).toEqual(["sim:a: write 0x0+512, held by a fault"]);
      expect(cutOf(storage).changes).toEqual([2, 1]);
      fault.letGo();
      await held;
    });
    expect(stage.heard).toEqual(["other", "held"]);
    expect(stage.storage.hasFailed).toBe(false);
  });

  test("disposing ends the rule and lets go of what it holds", async () => {
    const { heard } = await played({ completions: "later" }, [], async ({ node, storage, hear }) => {
      const fault = storage.fault({ effect: "held", times: Infinity });
      const held = hear("held", node.write(0, filled(1)));
      fault[Symbol.dispose]();
      await held;
      await hear("free", node.write(0, filled(2)));
    });
    expect(heard).toEqual(["held", "free"]);
  });

  test("choose: the schedule says which is struck", async () => {
    const play = async ({ node, storage, hear }: Stage): Promise<void> => {
      storage.fault({ effect: "EIO", when: "choose" });
      for (const name of ["A", "B", "C"]) await hear(name, node.write(0, filled(1)));
    };
    expect((await played({ completions: "at once" }, [], play)).heard).toEqual(["A", "B", "C"]);
    expect((await played({ completions: "at once" }, [0, 1], play)).heard).toEqual(["A", "B: IO", "C"]);
    expect((await played({ completions: "at once" }, [1, 1], play)).heard).toEqual(["A: IO", "B", "C"]);
  });
});

describe("bad use is found", () => {
  test("a write whose bytes change while it is in flight", async () => {
    const run = played({ completions: "later" }, [], async ({ node, hear }) => {
      const bytes = filled(1);
      const writing = hear("A", node.write(SECTOR, bytes));
      bytes[100] = 2;
      await writing;
    });
    await expect(run).rejects.toMatchObject({
      kind: "wrong",
      message: expect.stringContaining("the bytes of a write of 512 bytes at offset 512 of sim:a changed while it was in flight"),
    });
  });

  test("an operation on a file that was closed", async () => {
    await played({}, [], async ({ storage }) => {
      const driver = await storage.driver.load();
      const image = await driver.open({ filename: "sim:a" }, undefined as never);
      expect(storage.openFiles).toBe(2);
      await image[Symbol.asyncDispose]();
      await image[Symbol.asyncDispose]();
      expect(storage.openFiles).toBe(1);
      expect(() => "read" in image && image.read(0, filled(0))).toThrow("read on sim:a after it was closed");
      await expect(driver.open({ filename: "sim:none" }, undefined as never)).rejects.toMatchObject({ code: "NOT_FOUND" });
    });
  });
});

/** Two actors who write to a file of their own each, and who of them failed. */
function twoFiles(outcomes: Set<string>, prepare: (lab: Lab) => void): Scenario {
  return {
    name: "two-files",
    about: "two writes that have nothing to do with each other",
    drivers: [],
    storage: { completions: "at once" },
    prepare: async (lab) => {
      const failed: string[] = [];
      await lab.file("sim:a", async () => filled(0));
      await lab.file("sim:b", async () => filled(0));
      const [a, b] = [await lab.open("a", disk("sim:a")), await lab.open("b", disk("sim:b"))];
      prepare(lab);
      return {
        actors: {
          A: async (actor) => (await actor.write(a, 0, SECTOR)) || failed.push("A"),
          B: async (actor) => (await actor.write(b, 0, SECTOR)) || failed.push("B"),
        },
        judge: async () => void outcomes.add(failed.join("")),
      };
    },
  };
}

describe("a walk that leaves out schedules which only swap independent steps", () => {
  test("goes one way where nothing depends on the order", async () => {
    const outcomes = new Set<string>();
    const { schedules, complete } = await explore(
      twoFiles(outcomes, () => {}),
      { mode: "exhaustive" },
    );
    expect([schedules, complete, [...outcomes]]).toEqual([1, true, [""]]);
  });

  test("goes both ways where a fault counts", async () => {
    const outcomes = new Set<string>();
    const scenario = twoFiles(outcomes, (lab) => lab.storage.fault({ effect: "EIO", after: 1, match: ({ kind }) => kind === "write" }));
    const { failure } = await explore(scenario, { mode: "exhaustive" });
    expect(failure).toBeUndefined();
    expect([...outcomes].sort()).toEqual(["A", "B"]);
  });

  test("tries all that a fault may choose", async () => {
    const outcomes = new Set<string>();
    const scenario = twoFiles(outcomes, (lab) =>
      lab.storage.fault({ effect: "EIO", when: "choose", match: ({ kind }) => kind === "write" }),
    );
    await explore(scenario, { mode: "exhaustive" });
    expect([...outcomes].sort()).toEqual(["", "A", "B"]);
  });
});

test("patterns are unique, in files that are made once as well as in requests; a run that finds its files made writes the same", async () => {
  let made = 0;
  const seen: string[][] = [];
  const scenario: Scenario = {
    name: "patterns",
    about: "a file full of patterns",
    drivers: [],
    prepare: async (lab) => {
      await lab.file("sim:a", async () => {
        made++;
        return Buffer.concat([lab.pattern(SECTOR), lab.pattern(SECTOR)]);
      });
      const patterns = [lab.storage.contentOf("sim:a"), ...Array.from({ length: 300 }, () => lab.pattern(64)), lab.pattern(100_000)];
      seen.push(patterns.map((bytes) => Buffer.from(bytes).toString("hex")));
      return { actors: {} };
    },
  };
  await explore(scenario, { mode: "random", seeds: 3 });
  expect(made).toBe(1);
  const [first = [], second, third] = seen;
  expect([second, third]).toEqual([first, first]);
  const words = first.flatMap((text) => text.match(/.{16}/g) ?? []);
  expect(new Set(words).size).toBe(words.length);
  const { failure } = await replay(scenario, []);
  expect([failure, made, seen[3]]).toEqual([undefined, 2, first]);
});
