/** What a run says of scenarios that deadlock, never end, leave something behind, or ask for real time and chance. */

import { randomBytes } from "node:crypto";
import { setImmediate as importedByName } from "node:timers";
import { CoMutex, CoQueue, CoRwLock, rawDriver } from "@coblock/core";
import { expect, describe, test } from "vitest";
import type { Actor } from "./actor.ts";
import { ScriptedChoices } from "./choices.ts";
import { explore, type ExploreOptions, type FoundFailure, replay } from "./explore.ts";
import type { Lab } from "./lab.ts";
import type { LabDisk } from "./lab-disk.ts";
import { runOnce } from "./run.ts";
import { RunFailure } from "./run-failure.ts";
import type { Play, Scenario } from "./scenario.ts";

type Actors = Play["actors"];

function scenarioOf(prepare: (lab: Lab) => Promise<Actors> | Actors, judge?: () => Promise<void>): Scenario {
  return {
    name: "bad-use",
    about: "a scenario that is no good",
    drivers: [rawDriver],
    prepare: async (lab) => ({ actors: await prepare(lab), ...(judge === undefined ? {} : { judge }) }),
  };
}

async function failureOf(scenario: Scenario, options: Partial<ExploreOptions> = {}): Promise<FoundFailure> {
  const { failure } = await explore(scenario, { mode: "exhaustive", maxSchedules: 1000, ...options });
  if (failure === undefined) throw new Error("the lab finds nothing wrong");
  return failure;
}

/** A disk of 4 KiB, full of ones. */
async function openDisk(lab: Lab): Promise<LabDisk> {
  await lab.file("sim:disk", async () => new Uint8Array(4096).fill(1));
  return lab.open("disk", { driver: "raw", file: "sim:disk" });
}

const nothing = async (): Promise<void> => {};

test("a scenario that is in order passes, and its journal tells who did what and who held which lock", async () => {
  const scenario = scenarioOf(async (lab) => {
    const disk = await openDisk(lab);
    const mutex = lab.watchLock(new CoMutex("the lock"));
    const writer = async (actor: Actor): Promise<void> => {
      using _held = await mutex.lock({ who: actor.name });
      await actor.write(disk, 512, 512);
    };
    return { A: writer, B: writer };
  });
  const { complete, failure, schedules } = await explore(scenario, { mode: "exhaustive" });
  expect([complete, failure]).toEqual([true, undefined]);
  expect(schedules).toBeGreaterThan(1);
  const { journal } = await replay(scenario, []);
  expect(journal).toContain("   1  A begins");
  expect(journal.join("\n")).toMatch(/locks: .*lock "the lock" is held by A; B waits for lock "the lock"\n/);
  expect(journal.join("\n")).toMatch(/A: write disk 0x200\+512 begins\n(.|\n)*A: write disk 0x200\+512 is done/);
});

describe("stuck", () => {
  test("a deadlock, with who waits for which lock and who holds it", async () => {
    const { kind, message, report, schedule } = await failureOf(
      scenarioOf((lab) => {
        const [one, other] = [lab.watchLock(new CoMutex("one")), lab.watchLock(new CoMutex("other"))];
        const takesBoth = async (actor: Actor, first: CoMutex, second: CoMutex): Promise<void> => {
          using _first = await first.lock({ who: actor.name });
          await actor.pause();
          using _second = await second.lock({ who: actor.name });
        };
        return { A: (actor) => takesBoth(actor, one, other), B: (actor) => takesBoth(actor, other, one) };
      }),
    );
    expect(kind).toBe("stuck");
    expect(message.split("\n  ")).toEqual([
      "nothing can happen any more",
      "A has not ended",
      "B has not ended",
      'B waits for lock "one"',
      'A waits for lock "other"',
      'lock "one" is held by A',
      'lock "other" is held by B',
    ]);
    expect(report).toContain('locks: lock "one" is held by A; lock "other" is held by B');
    expect(report).toContain(`again: replay(bad-use, parseSchedule("${schedule}"))`);
  });

  test("readers, writers and sleepers are told by name as well", async () => {
    const { kind, message } = await failureOf(
      scenarioOf((lab) => {
        const lock = lab.watchLock(new CoRwLock("table"));
        const queue = lab.watchLock(new CoQueue("room"));
        return {
          R: async (actor) => {
            using _held = await lock.read({ who: actor.name });
            await queue.waitUnlocked({ who: actor.name });
          },
          W: async (actor) => {
            using _held = await lock.write({ who: actor.name });
          },
        };
      }),
    );
    expect(kind).toBe("stuck");
    expect(message).toContain('W (write) waits for lock "table"');
    expect(message).toContain('lock "table" is held by R (read)');
    expect(message).toContain('R waits for lock "room"');
  });

  test("one that waits for nothing the lab knows is at least named", async () => {
    const { kind, message } = await failureOf(scenarioOf(() => ({ A: () => new Promise(() => {}), B: nothing })));
    expect([kind, message]).toEqual(["stuck", "nothing can happen any more\n  A has not ended"]);
  });

  test("upkeep that goes on for ever does not hide it", async () => {
    const { kind, message } = await failureOf(
      scenarioOf((lab) => {
        const cleans = (): void => void lab.clock.schedule(1000, cleans, { background: true });
        const mutex = lab.watchLock(new CoMutex("M"));
        return {
          A: async (actor) => {
            cleans();
            await mutex.lock({ who: actor.name });
            await mutex.lock({ who: actor.name });
          },
        };
      }),
    );
    expect(kind).toBe("stuck");
    expect(message).toContain('A waits for lock "M"');
    expect(message).toContain('lock "M" is held by A');
  });

  test("an operation of the disk that never ends", async () => {
    const { kind, message } = await failureOf(
      scenarioOf(async (lab) => {
        const disk = await openDisk(lab);
        lab.storage.fault({ match: (operation) => operation.kind === "write", effect: "held" });
        return { A: (actor) => actor.write(disk, 1024, 512) };
      }),
    );
    expect(kind).toBe("stuck");
    expect(message).toContain("A has not ended");
    expect(message).toContain("in flight: sim:disk: write 0x400+512, held by a fault");
  });

  test("a judge that never ends", async () => {
    const scenario = scenarioOf(
      () => ({ A: nothing }),
      () => new Promise(() => {}),
    );
    const { failure } = await runOnce({ scenario, choices: new ScriptedChoices([]), files: new Map(), patience: { quietGraceMs: 10 } });
    expect([failure?.kind, failure?.message.split("\n")[0]]).toEqual(["stuck", "judging the outcome does not end"]);
  });
});

describe("endless", () => {
  test("a coroutine that goes on and on", async () => {
    const { kind, message } = await failureOf(
      scenarioOf(() => ({
        A: async (actor) => {
          for (;;) await actor.pause();
        },
      })),
      { maxSteps: 100 },
    );
    expect([kind, message]).toEqual(["endless", "it does not end: 100 steps so far\n  A has not ended"]);
  });

  test("a coroutine that never lets another one go on", async () => {
    const scenario = scenarioOf((lab) => {
      const mutex = lab.watchLock(new CoMutex("M"));
      return {
        A: async (actor) => {
          for (;;) (await mutex.lock({ who: actor.name }))[Symbol.dispose]();
        },
      };
    });
    const { failure } = await runOnce({ scenario, choices: new ScriptedChoices([]), files: new Map(), patience: { touches: 1000 } });
    expect(failure?.kind).toBe("endless");
    expect(failure?.message).toMatch(/^a step does not end: 1000 touches of /);
  });
});

describe("left behind", () => {
  test("a lock", async () => {
    const { kind, message } = await failureOf(
      scenarioOf((lab) => {
        const mutex = lab.watchLock(new CoMutex("M"));
        return { A: (actor) => mutex.lock({ who: actor.name }) };
      }),
    );
    expect([kind, message]).toEqual(["left behind", 'all actors have ended, and there is left:\n  lock "M" is held by A']);
  });

  test("a coroutine that sleeps in a queue", async () => {
    const { kind, message } = await failureOf(
      scenarioOf((lab) => {
        const queue = lab.watchLock(new CoQueue("Q"));
        return {
          A: async () => {
            void queue.waitUnlocked({ who: "a child of A" });
          },
        };
      }),
    );
    expect([kind, message]).toEqual(["left behind", 'all actors have ended, and there is left:\n  a child of A waits for lock "Q"']);
  });

  test("a timer", async () => {
    const { kind, message } = await failureOf(
      scenarioOf((lab) => ({
        A: async () => {
          lab.clock.schedule(1000, () => {});
        },
      })),
    );
    expect(kind).toBe("left behind");
    expect(message).toBe("everything is closed, and 1 timers are still set: a coroutine sleeps");
  });

  test("an operation in flight", async () => {
    const { kind, message } = await failureOf(
      scenarioOf(async (lab) => {
        const disk = await openDisk(lab);
        lab.storage.fault({ match: (operation) => operation.kind === "read", effect: "held" });
        return {
          A: async () => {
            void disk.node.read(0, new Uint8Array(512));
          },
        };
      }),
    );
    expect(kind).toBe("left behind");
    expect(message).toContain("sim:disk: read 0x0+512, held by a fault");
  });

  test("a file", async () => {
    const { kind, message } = await failureOf(
      scenarioOf(async (lab) => {
        await lab.file("sim:disk", async () => new Uint8Array(512));
        await lab.newGraph().open({ driver: "raw", file: "sim:disk" });
        return { A: nothing };
      }),
    );
    expect([kind, message]).toEqual(["left behind", "everything is closed, and 1 files are still open"]);
  });
});

describe("impure", () => {
  const CALLS: readonly (readonly [name: string, call: () => unknown])[] = [
    ["Math.random", () => Math.random()],
    ["Date.now", () => Date.now()],
    ["performance.now", () => performance.now()],
    ["setTimeout", () => setTimeout(() => {}, 0)],
    ["setInterval", () => setInterval(() => {}, 1)],
    ["setImmediate", () => setImmediate(() => {})],
    ["new Date", () => new Date()],
    ["process.hrtime", () => process.hrtime()],
    ["process.hrtime.bigint", () => process.hrtime.bigint()],
    ["timers.setImmediate", () => importedByName(() => {})],
    ["crypto.randomBytes", () => randomBytes(1)],
    ["crypto.randomUUID", () => crypto.randomUUID()],
    ["crypto.getRandomValues", () => crypto.getRandomValues(new Uint8Array(1))],
  ];

  for (const [name, call] of CALLS) {
    test(`${name} fails the run, and is named with its caller, even if nobody looks at its error`, async () => {
      const { kind, message } = await failureOf(
        scenarioOf(() => ({
          A: async function culprit() {
            try {
              call();
            } catch {
              return;
            }
          },
        })),
      );
      expect(kind).toBe("impure");
      expect(message.startsWith(`the code under test calls ${name}(): at `)).toBe(true);
      expect(message).toContain("run.test.ts");
    });
  }

  test("what was forbidden is allowed again when the walk is over", async () => {
    await failureOf(scenarioOf(() => ({ A: async () => Math.random() })));
    expect([Math.random(), Date.now(), performance.now()].every((value) => value >= 0)).toBe(true);
    await new Promise((resolve) => setTimeout(resolve, 0));
    await new Promise((resolve) => setImmediate(resolve));
    expect(crypto.randomUUID()).not.toBe(crypto.randomUUID());
    expect(
      [new Date().getTime(), new Date(5).getTime() - 4, Number(process.hrtime.bigint()), randomBytes(2).length].every((value) => value > 0),
    ).toBe(true);
    await new Promise((resolve) => importedByName(() => resolve(undefined)));
  });
});

describe("thrown", () => {
  test("by an actor", async () => {
    const { kind, message } = await failureOf(scenarioOf(() => ({ A: () => Promise.reject(new Error("A cannot go on")) })));
    expect([kind, message]).toEqual(["thrown", "A fails: A cannot go on"]);
  });

  test("by an actor that held a lock in the wrong way: what came first counts", async () => {
    const { kind, message } = await failureOf(
      scenarioOf(() => ({
        A: async () => {
          using _scope = {
            [Symbol.dispose]: () => {
              throw new Error("and so its scope cannot be left");
            },
          };
          throw new RunFailure("wrong", "the answer is wrong");
        },
      })),
    );
    expect([kind, message]).toEqual(["wrong", "the answer is wrong"]);
  });

  test("by nobody's promise", async () => {
    const { kind, message } = await failureOf(
      scenarioOf(() => ({
        A: async () => {
          void Promise.reject(new Error("nobody awaits me"));
        },
      })),
    );
    expect([kind, message]).toEqual(["thrown", "a promise was rejected and nobody listened: nobody awaits me"]);
  });

  test("by a request for which no fault was asked", async () => {
    const { kind, message } = await failureOf(
      scenarioOf(async (lab) => {
        const disk = await openDisk(lab);
        return { A: (actor) => actor.read(disk, 1024, 512, { signal: AbortSignal.abort() }) };
      }),
    );
    expect(kind).toBe("thrown");
    expect(message).toMatch(/^A: read disk 0x400\+512 fails: /);
  });
});
