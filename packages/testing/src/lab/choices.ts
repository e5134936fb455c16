/** Where a run's choices come from: a script, chance with a seed, or (in the walk) the tree of all schedules. */

import type { SeededRandom } from "../seeded-random.ts";
import type { Footprint } from "./footprint.ts";
import type { Schedule } from "./schedule.ts";

/** Something that may happen next. */
export interface Action {
  /** Counted in the order in which actions came up: the same in every run with the same choices before. */
  readonly id: number;
  describe(): string;
}

/** Answers what a run asks. Indices count from 0, and 0 is the plain choice. */
export interface ChoiceSource {
  /** Which of `actions` (oldest first, at least one) happens next; `undefined`: this run need not go on, another one is as good. */
  step(actions: readonly Action[]): number | undefined;
  /** The step has happened, and all that followed from it has come to rest. */
  rested?(footprint: Footprint): void;
  /** A choice in the middle of a step. */
  pick(count: number, what: "completion" | "fault" | "pause" | "cut"): number;
}

/** The given choices, then plain ones. What is too large counts as the last option, so that a shortened schedule still runs. */
export class ScriptedChoices implements ChoiceSource {
  readonly #schedule: Schedule;
  #next = 0;

  constructor(schedule: Schedule) {
    this.#schedule = schedule;
  }

  step(actions: readonly Action[]): number {
    return actions.length === 1 ? 0 : this.pick(actions.length);
  }

  pick(count: number): number {
    return Math.min(this.#schedule[this.#next++] ?? 0, count - 1);
  }
}

/** How often a completion comes in its own turn, a fault strikes, a coroutine is paused and bytes are parted, where chance decides: once in so many. */
const ONE_IN = { completion: 4, fault: 8, pause: 6, cut: 2 };

/** Chance: uniform, or in a hurry for the newest or the oldest action, which finds what uniform choices hardly ever meet. */
export class RandomChoices implements ChoiceSource {
  readonly #random: SeededRandom;
  readonly #favour: "none" | "oldest" | "newest";

  constructor(random: SeededRandom) {
    this.#random = random;
    this.#favour = (["none", "none", "oldest", "newest"] as const)[random.below(4)] ?? "none";
  }

  step(actions: readonly Action[]): number {
    if (actions.length === 1) return 0;
    if (this.#favour !== "none" && this.#random.below(4) > 0) return this.#favour === "oldest" ? 0 : actions.length - 1;
    return this.#random.below(actions.length);
  }

  pick(count: number, what: keyof typeof ONE_IN): number {
    return this.#random.below(ONE_IN[what]) === 0 ? 1 + this.#random.below(count - 1) : 0;
  }
}
