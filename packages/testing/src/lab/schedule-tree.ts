/** The tree of all schedules, walked depth first; schedules that only swap independent steps are walked once. */

import type { Action, ChoiceSource } from "./choices.ts";
import type { Footprint } from "./footprint.ts";

/** What may be skipped: an action and what it touched when it was walked. */
type SleepSet = ReadonlyMap<number, Footprint>;

interface StepNode {
  readonly kind: "step";
  readonly ids: readonly number[];
  /** Actions whose schedules were walked from a node above: here they would only be swapped with independent steps. */
  readonly sleeping: SleepSet;
  /** Actions that were walked from here. */
  readonly walked: Map<number, Footprint>;
  readonly tried: Set<number>;
  current: number;
  /** All that the current action touched, in whatever way its step went; absent before it was walked. */
  footprint: Footprint | undefined;
}

interface PickNode {
  readonly kind: "pick";
  readonly count: number;
  current: number;
}

/**
 * Depth-first search without stored states: each run repeats the choices up to a node and takes the next one there. Sleep sets
 * (Godefroid, "Partial-Order Methods for the Verification of Concurrent Systems", 1996) keep one of the schedules that differ in the order of
 * independent steps alone.
 */
export class ScheduleTree implements ChoiceSource {
  readonly #nodes: (StepNode | PickNode)[] = [];
  #depth = 0;
  #stepNode: StepNode | undefined;
  #touched: Footprint | undefined;
  readonly #prune: boolean;

  /** `prune: false` walks every schedule. */
  constructor(options: { readonly prune: boolean }) {
    this.#prune = options.prune;
  }

  /** To be called before each run. */
  begin(): void {
    this.#depth = 0;
    this.#stepNode = undefined;
  }

  step(actions: readonly Action[]): number | undefined {
    const known = this.#nodes[this.#depth];
    const node = known ?? this.#grow(actions);
    if (node === undefined) return undefined;
    if (node.kind !== "step" || node.ids.length !== actions.length) throw irreproducible();
    this.#depth++;
    this.#stepNode = node;
    return node.current;
  }

  rested(footprint: Footprint): void {
    this.#touched = footprint;
    const node = this.#stepNode;
    if (node === undefined) return;
    if (node.footprint === undefined) node.footprint = footprint;
    else node.footprint.include(footprint);
  }

  pick(count: number): number {
    const node = this.#nodes[this.#depth] ?? this.#add({ kind: "pick", count, current: 0 });
    if (node.kind !== "pick" || node.count !== count) throw irreproducible();
    this.#depth++;
    return node.current;
  }

  /** Goes on to the next schedule. `false`: all were walked. */
  advance(): boolean {
    this.#nodes.length = Math.min(this.#nodes.length, this.#depth);
    for (let node = this.#nodes.at(-1); node !== undefined; node = this.#nodes.at(-1)) {
      if (node.kind === "pick" ? ++node.current < node.count : nextAction(node)) return true;
      this.#nodes.pop();
    }
    return false;
  }

  #grow(actions: readonly Action[]): StepNode | undefined {
    const sleeping = this.#prune ? this.#sleepingNow() : new Map<number, Footprint>();
    const ids = actions.map(({ id }) => id);
    const current = ids.findIndex((id) => !sleeping.has(id));
    if (current < 0) return undefined;
    return this.#add({ kind: "step", ids, sleeping, walked: new Map(), tried: new Set(), current, footprint: undefined });
  }

  /** What slept or was walked at the step before, and is independent of what that step did. */
  #sleepingNow(): SleepSet {
    const before = this.#stepNode;
    const touched = this.#touched;
    if (before === undefined || touched === undefined) return new Map();
    return new Map([...before.sleeping, ...before.walked].filter(([, footprint]) => !footprint.conflictsWith(touched)));
  }

  #add<Node extends StepNode | PickNode>(node: Node): Node {
    this.#nodes.push(node);
    return node;
  }
}

function nextAction(node: StepNode): boolean {
  const id = node.ids[node.current];
  if (id !== undefined && node.footprint !== undefined) node.walked.set(id, node.footprint);
  node.tried.add(node.current);
  node.footprint = undefined;
  node.current = node.ids.findIndex((other, index) => !node.sleeping.has(other) && !node.tried.has(index));
  return node.current >= 0;
}

function irreproducible(): Error {
  return new Error("assertion failed: the same choices led elsewhere: something beside the schedule decides what happens");
}
