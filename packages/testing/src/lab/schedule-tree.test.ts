/** The walk: nothing that matters is pruned, and what is pruned matters nothing. */

import type { TouchKind } from "@coblock/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Footprint, ObjectNames } from "./footprint.ts";
import { ScheduleTree } from "./schedule-tree.ts";

/** One step of an actor: what it does to a shared number. `either`: a choice in the middle of the step decides which of two it is. */
type Step =
  | { readonly kind: "read" | "write" | "add"; readonly object: number }
  | { readonly kind: "either"; readonly object: number; readonly other: number };
type Program = readonly (readonly Step[])[];

/** What a walk came to. */
interface Walk {
  readonly outcomes: ReadonlySet<string>;
  /** Runs that went to their end. */
  readonly schedules: number;
  readonly pruned: number;
}

const OBJECTS = 3;
const nowhere = { describe: () => "" };

/** The state of one run: shared numbers, and all that each actor has read. */
class ToyRun {
  readonly #shared: number[] = Array.from({ length: OBJECTS }, () => 0);
  readonly #seen: number[][];
  readonly #tree: ScheduleTree;
  readonly #names: ObjectNames;
  #footprint: Footprint;

  constructor(program: Program, tree: ScheduleTree, names: ObjectNames) {
    this.#seen = program.map(() => []);
    this.#tree = tree;
    this.#names = names;
    this.#footprint = new Footprint(names);
  }

  /** `stamp` is another one for each step of the program. */
  do(actor: number, step: Step, stamp: number): void {
    this.#footprint = new Footprint(this.#names);
    if (step.kind === "either") this.#write(this.#tree.pick(2) === 0 ? step.object : step.other, stamp);
    else if (step.kind === "read") this.#seen[actor]?.push(this.#touch(step.object, "read"));
    else if (step.kind === "add") this.#shared[step.object] = this.#touch(step.object, "add") + 1;
    else this.#write(step.object, stamp);
    this.#tree.rested(this.#footprint);
  }

  get outcome(): string {
    return JSON.stringify([this.#shared, this.#seen]);
  }

  #write(object: number, stamp: number): void {
    this.#touch(object, "write");
    this.#shared[object] = stamp;
  }

  #touch(object: number, kind: TouchKind): number {
    this.#footprint.touchedRange(`object ${object}`, 0, 1, kind);
    return this.#shared[object] ?? 0;
  }
}

/** `false`: cut short. */
function runOnce(program: Program, tree: ScheduleTree, names: ObjectNames, outcomes: Set<string>): boolean {
  const run = new ToyRun(program, tree, names);
  let nextId = 0;
  const come = (actor: number, at: number): { readonly id: number; readonly actor: number; readonly at: number; describe(): string } => ({
    ...nowhere,
    id: nextId++,
    actor,
    at,
  });
  const pending = program.flatMap((steps, actor) => (steps.length === 0 ? [] : [come(actor, 0)]));
  while (pending.length > 0) {
    const index = tree.step(pending);
    if (index === undefined) return false;
    const [action] = pending.splice(index, 1);
    const step = action === undefined ? undefined : program[action.actor]?.[action.at];
    if (action === undefined || step === undefined) throw new Error("a choice of an action that is not there");
    run.do(action.actor, step, 100 * (action.actor + 1) + action.at);
    if (program[action.actor]?.[action.at + 1] !== undefined) pending.push(come(action.actor, action.at + 1));
  }
  outcomes.add(run.outcome);
  return true;
}

function walk(program: Program, prune: boolean): Walk {
  const tree = new ScheduleTree({ prune });
  const names = new ObjectNames();
  const outcomes = new Set<string>();
  let schedules = 0;
  let pruned = 0;
  do {
    tree.begin();
    if (runOnce(program, tree, names, outcomes)) schedules++;
    else pruned++;
  } while (tree.advance());
  return { outcomes, schedules, pruned };
}

const write = (object: number): Step => ({ kind: "write", object });
const read = (object: number): Step => ({ kind: "read", object });
const add = (object: number): Step => ({ kind: "add", object });

describe("how many schedules there are", () => {
  test("of independent actors, one", () => {
    const program = [[write(0), write(0)], [write(1), read(1)], [write(2)]];
    expect(walk(program, true).schedules).toBe(1);
    expect(walk(program, false)).toMatchObject({ schedules: 30, pruned: 0 });
  });

  test("of steps that conflict, all orders", () => {
    expect(walk([[write(0)], [write(0)], [write(0)], [write(0)]], true)).toMatchObject({ schedules: 24, pruned: 0 });
    expect(
      walk(
        [
          [write(0), write(0)],
          [write(0), write(0)],
        ],
        true,
      ).schedules,
    ).toBe(6);
  });

  test("readers commute, and so do those who count up; a reader and one that counts do not", () => {
    expect(walk([[read(0)], [read(0)], [read(0)]], true).schedules).toBe(1);
    expect(walk([[add(0)], [add(0)], [add(0)]], true).schedules).toBe(1);
    expect(walk([[add(0)], [read(0)]], true).schedules).toBe(2);
    expect(walk([[write(0)], [add(0)]], true).schedules).toBe(2);
  });

  test("a choice in the middle of a step is walked both ways, and either way may be what conflicts", () => {
    const either: Step = { kind: "either", object: 0, other: 1 };
    expect(walk([[either]], true).schedules).toBe(2);
    const { outcomes, schedules } = walk([[either], [read(1)]], true);
    expect([...outcomes].sort()).toEqual([...walk([[either], [read(1)]], false).outcomes].sort());
    expect(schedules).toBeLessThanOrEqual(4);
  });

  test("nobody at all is one schedule", () => {
    expect(walk([], true)).toMatchObject({ schedules: 1, pruned: 0 });
  });
});

describe("pruned walks of small programs", () => {
  const object = fc.nat({ max: OBJECTS - 1 });
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 5, arbitrary: fc.record({ kind: fc.constantFrom("read", "write", "add"), object }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("either"), object, other: object }) },
  );
  const program = fc.array(fc.array(step, { minLength: 1, maxLength: 3 }), { minLength: 2, maxLength: 3 });

  test("come to every outcome that all schedules come to, and to no other", () => {
    let saved = 0;
    fc.assert(
      fc.property(program, (steps) => {
        const [pruned, all] = [walk(steps, true), walk(steps, false)];
        expect([...pruned.outcomes].sort()).toEqual([...all.outcomes].sort());
        expect(pruned.schedules).toBeLessThanOrEqual(all.schedules);
        saved += all.schedules - pruned.schedules;
      }),
      { seed: 7, numRuns: 150 },
    );
    expect(saved).toBeGreaterThan(0);
  });
});

describe("a program that is not repeated", () => {
  test("is refused: another number of actions, another number of options", () => {
    const actions = [0, 1].map((id) => ({ ...nowhere, id }));
    const tree = new ScheduleTree({ prune: false });
    tree.begin();
    tree.step(actions);
    tree.pick(2);
    expect(tree.advance()).toBe(true);
    tree.begin();
    expect(() => tree.step(actions.slice(1))).toThrow("something beside the schedule decides");
    tree.begin();
    tree.step(actions);
    expect(() => tree.pick(3)).toThrow("something beside the schedule decides");
  });
});
