/** Simulated time: it moves only when nothing else can happen. */

import { CoSleep } from "@coblock/core";
import { describe, expect, test } from "vitest";
import { explore, type Exploration } from "./explore.ts";
import type { Lab } from "./lab.ts";
import type { Play, Scenario } from "./scenario.ts";

/** All outcomes of all schedules; `lines` is what a run has to say. */
async function walk(
  prepare: (lab: Lab, lines: string[]) => Play["actors"],
  prune = true,
): Promise<Exploration & { readonly outcomes: readonly string[] }> {
  const outcomes = new Set<string>();
  const scenario: Scenario = {
    name: "clock",
    about: "who is called when",
    drivers: [],
    prepare: async (lab) => {
      const lines: string[] = [];
      return { actors: prepare(lab, lines), judge: async () => void outcomes.add(lines.join(" ")) };
    },
  };
  const exploration = await explore(scenario, { mode: "exhaustive", prune });
  if (exploration.failure !== undefined) throw new Error(exploration.failure.report);
  return { ...exploration, outcomes: [...outcomes].sort() };
}

describe("time", () => {
  test("stands still while anything else can happen", async () => {
    const { outcomes, complete } = await walk((lab, lines) => ({
      A: async (actor) => {
        await actor.sleep(1);
        lines.push(`A at ${lab.clock.now()}`);
      },
      B: async (actor) => {
        for (let step = 0; step < 3; step++) await actor.pause();
        await lab.clock.yield();
        lines.push(`B at ${lab.clock.now()}`);
      },
    }));
    expect([outcomes, complete]).toEqual([["B at 0 A at 1"], true]);
  });

  test("moves from timer to timer, in their order, however they were set", async () => {
    const { outcomes } = await walk((lab, lines) => {
      const tells = (ms: number): void => void lab.clock.schedule(ms, () => lines.push(`${ms} at ${lab.clock.now()}`));
      return {
        A: async (actor) => {
          for (const ms of [30, 10, 20]) tells(ms);
          await actor.sleep(40);
        },
      };
    });
    expect(outcomes).toEqual(["10 at 10 20 at 20 30 at 30"]);
  });

  test("timers that are due at the same time come in any order", async () => {
    const { outcomes, schedules } = await walk(
      (lab, lines) => ({
        A: async (actor) => {
          for (const name of ["one", "two", "three"]) lab.clock.schedule(5, () => lines.push(`${name} at ${lab.clock.now()}`));
          await actor.sleep(6);
        },
      }),
      false,
    );
    expect(schedules).toBe(6);
    expect(outcomes).toHaveLength(6);
    expect(outcomes[0]).toBe("one at 5 three at 5 two at 5");
  });

  test("a sleeper that is woken at the moment at which its sleep ends is one or the other, with and without pruning", async () => {
    for (const prune of [true, false]) {
      const { outcomes } = await walk((lab, lines) => {
        const bed = new CoSleep();
        return {
          A: async () => void lines.push(`${await bed.sleep(lab.clock, 10)} at ${lab.clock.now()}`),
          B: async (actor) => {
            await actor.sleep(10);
            bed.wake();
          },
        };
      }, prune);
      expect(outcomes).toEqual(["elapsed at 10", "woken at 10"]);
    }
  });

  test("a timer that another one cancels at the same time fires or does not, with and without pruning", async () => {
    for (const prune of [true, false]) {
      const { outcomes } = await walk(
        (lab, lines) => ({
          A: async (actor) => {
            lab.clock.schedule(10, () => timer[Symbol.dispose]());
            const timer = lab.clock.schedule(10, () => lines.push("fires"));
            await actor.sleep(11);
            expect(lab.clock.timerCount).toBe(0);
          },
        }),
        prune,
      );
      expect(outcomes).toEqual(["", "fires"]);
    }
  });

  test("a timer of Infinity never fires, and does not make time move", async () => {
    const { outcomes } = await walk((lab, lines) => ({
      A: async (actor) => {
        using _never = lab.clock.schedule(Infinity, () => lines.push("never"));
        await actor.sleep(5);
        lines.push(`${lab.clock.timerCount} at ${lab.clock.now()}`);
      },
    }));
    expect(outcomes).toEqual(["1 at 5"]);
  });

  test("can be made to pass: what is due fires in its order, also what is set meanwhile", async () => {
    const { outcomes } = await walk((lab, lines) => ({
      A: async () => {
        const { clock } = lab;
        clock.schedule(20, () => lines.push(`second at ${clock.now()}`));
        clock.schedule(10, () => {
          lines.push(`first at ${clock.now()}`);
          clock.schedule(5, () => lines.push(`between at ${clock.now()}`));
        });
        using _later = clock.schedule(31, () => lines.push("too late"));
        clock.elapse(30);
        lines.push(`then it is ${clock.now()}`);
      },
    }));
    expect(outcomes).toEqual(["first at 10 between at 15 second at 20 then it is 30"]);
  });
});

test("a look at the clock and a step that makes time pass are walked in both orders", async () => {
  for (const prune of [true, false]) {
    const { outcomes } = await walk(
      (lab, lines) => ({
        A: async () => lab.clock.elapse(7),
        B: async () => void lines.push(String(lab.clock.now())),
      }),
      prune,
    );
    expect(outcomes).toEqual(["0", "7"]);
  }
});

test("an abort and what looks at its signal are walked in both orders", async () => {
  for (const prune of [true, false]) {
    const { outcomes } = await walk((lab, lines) => {
      const controller = lab.abortController();
      return {
        A: async () => controller.abort(),
        B: async () => void lines.push(controller.signal.aborted ? "too late" : "in time"),
        C: async () => {
          try {
            controller.signal.throwIfAborted();
          } catch (error) {
            expect(error).toBe(controller.signal.reason);
          }
        },
      };
    }, prune);
    expect(outcomes).toEqual(["in time", "too late"]);
  }
});
