/** Decides what happens next: one action at a time, and between two of them all coroutines go as far as they can. */

import { observeTouches, type TouchKind, type Witness } from "@coblock/core";
import type { Action, ChoiceSource } from "./choices.ts";
import { comeToRest, passRealTime } from "./event-loop.ts";
import { Footprint, ObjectNames } from "./footprint.ts";
import type { Journal } from "./journal.ts";
import { RunFailure } from "./run-failure.ts";

interface PendingAction extends Action {
  /** A promise is work that the machine does: the step ends when it is done. */
  run(): void | Promise<unknown>;
}

/** What comes up when nothing else can happen: the timers that are next. */
export interface LastResort {
  /** Those that may be next, as actions; empty where there are none. */
  next(): readonly { readonly id: number; describe(): string; run(): void }[];
}

export interface SchedulerOptions {
  readonly choices: ChoiceSource;
  readonly journal: Journal;
  /** Steps after which a run counts as endless. */
  readonly maxSteps: number;
  /** Whether somebody must know what a step touches. */
  readonly watched: boolean;
  readonly patience?: Partial<Patience> | undefined;
}

/** How much is waited for before it counts as hopeless. */
export interface Patience {
  /** Real milliseconds of grace for quiet work that loads modules. */
  readonly quietGraceMs: number;
  /** Touches of shared objects that one step may take; a coroutine that makes more goes round in circles and lets nobody else go on. */
  readonly touches: number;
}

const PATIENCE: Patience = { quietGraceMs: 3000, touches: 1_000_000 };

/** Turns of the event loop that quiet work may take with nothing in flight before it counts as stuck. */
const MOST_QUIET_TURNS = 200;
/** Timers in a row that change nothing for those who wait: upkeep goes on for ever, and ends no wait. */
const MOST_IDLE_TIMERS = 200;

/** In quiet mode (before and after the run) nothing is chosen: whoever asks is told to go on at once. */
export class Scheduler {
  readonly #options: SchedulerOptions;
  readonly #patience: Patience;
  readonly #journal: Journal;
  readonly #schedule: number[] = [];
  readonly #names: ObjectNames = new ObjectNames();
  #pending: PendingAction[] = [];
  #footprint: Footprint | undefined;
  #failure: RunFailure | undefined;
  #nextId = 0;
  #quiet = true;
  #external = 0;
  #steps = 0;

  constructor(options: SchedulerOptions) {
    this.#options = options;
    this.#patience = { ...PATIENCE, ...options.patience };
    this.#journal = options.journal;
  }

  get quiet(): boolean {
    return this.#quiet;
  }

  /** The choices made so far, where there was more than one option. */
  get schedule(): readonly number[] {
    return this.#schedule;
  }

  get steps(): number {
    return this.#steps;
  }

  /** What may happen next, oldest first. */
  get pending(): readonly Action[] {
    return this.#pending;
  }

  nextId(): number {
    return this.#nextId++;
  }

  /** Something that can happen from now on. */
  add(describe: () => string, run: () => void | Promise<unknown>): Action {
    const action = { id: this.nextId(), describe, run };
    this.#pending.push(action);
    return action;
  }

  /** Ends the run at the end of this step. The first failure counts. */
  fail(failure: RunFailure): void {
    this.#failure ??= failure;
  }

  /** Throws what ended the run. */
  throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** A choice in the middle of a step: 0 is the plain one. */
  pick(count: number, what: "completion" | "fault" | "pause" | "cut"): number {
    if (this.#quiet) return 0;
    const choice = this.#options.choices.pick(count, what);
    this.#schedule.push(choice);
    return choice;
  }

  touchedRange(name: string, start: number, end: number, kind: TouchKind): void {
    this.#footprint?.touchedRange(name, start, end, kind);
  }

  /** Makes one action happen after the other until `done`. `false`: the choices wanted no more of this run. */
  async run(done: () => boolean, lastResort: LastResort, waiters: () => readonly string[]): Promise<boolean> {
    this.#quiet = false;
    let idle = 0;
    for (;;) {
      await comeToRest();
      this.throwFailure();
      if (done()) break;
      if (this.#steps >= this.#options.maxSteps) throw this.#hopeless("endless", `it does not end: ${this.#steps} steps so far`, waiters());
      const actions = this.#pending.length > 0 ? this.#pending : lastResort.next();
      idle = this.#pending.length > 0 ? 0 : idle + 1;
      if (actions.length === 0) throw this.#hopeless("stuck", "nothing can happen any more", waiters());
      if (idle > MOST_IDLE_TIMERS)
        throw this.#hopeless("stuck", `nothing but timers happens any more: ${MOST_IDLE_TIMERS} in a row`, waiters());
      if (!(await this.#step(actions))) return false;
    }
    this.#quiet = true;
    return true;
  }

  async #step(actions: readonly PendingAction[]): Promise<boolean> {
    const index = this.#options.choices.step(actions);
    if (index === undefined) return false;
    const action = actions[index];
    if (action === undefined) throw new Error(`assertion failed: choice ${index} of ${actions.length} actions`);
    if (actions.length > 1) this.#schedule.push(index);
    this.#pending = this.#pending.filter((other) => other !== action);
    this.#steps++;
    this.#journal.step(() => action.describe());
    await this.#watched(async () => {
      const work = action.run();
      if (work !== undefined) await work;
      await comeToRest();
    });
    return true;
  }

  async #watched(step: () => Promise<void>): Promise<void> {
    const footprint = this.#options.watched ? new Footprint(this.#names) : undefined;
    this.#footprint = footprint;
    using _watching = observeTouches(new StepWitness(footprint, this.#patience.touches));
    await step();
    if (footprint !== undefined) this.#options.choices.rested?.(footprint);
    this.#footprint = undefined;
  }

  /** Work before the run, quietly; what it touches gets its name. */
  async prepare<T>(what: string, work: () => Promise<T>, waiters: () => readonly string[]): Promise<T> {
    using _watching = this.#options.watched ? observeTouches({ touched: (object) => this.#names.count(object) }) : undefined;
    return await this.quietly(what, work, waiters);
  }

  /** Work before and after the run, with nobody beside. */
  async quietly<T>(what: string, work: () => Promise<T>, waiters: () => readonly string[]): Promise<T> {
    const was = this.#quiet;
    this.#quiet = true;
    let settled = false;
    const result = work().finally(() => (settled = true));
    result.catch(() => {});
    for (let turns = 0, graceMs = 0; !settled && graceMs < this.#patience.quietGraceMs; turns++) {
      await comeToRest();
      if (turns < MOST_QUIET_TURNS || settled || this.#external > 0) continue;
      await passRealTime(1);
      graceMs++;
    }
    if (!settled) throw this.#hopeless("stuck", `${what} does not end`, waiters());
    this.#quiet = was;
    this.throwFailure();
    return result;
  }

  /** Work that the machine does in its own time, within a step or in quiet mode. */
  async external<T>(work: Promise<T>): Promise<T> {
    this.#external++;
    try {
      return await work;
    } finally {
      this.#external--;
    }
  }

  #hopeless(kind: "stuck" | "endless", what: string, waiters: readonly string[]): RunFailure {
    return new RunFailure(kind, [what, ...(waiters.length === 0 ? ["nobody is known to wait"] : waiters)].join("\n  "));
  }
}

/** Sees that a step comes to its end: promises that go on and on leave no turn in which anybody could look. */
class StepWitness implements Witness {
  readonly #footprint: Footprint | undefined;
  readonly #mostTouches: number;
  #touches = 0;

  constructor(footprint: Footprint | undefined, mostTouches: number) {
    this.#footprint = footprint;
    this.#mostTouches = mostTouches;
  }

  touched(object: object, kind: TouchKind): void {
    if (++this.#touches > this.#mostTouches)
      throw new RunFailure("endless", `a step does not end: ${this.#mostTouches} touches of ${object.constructor.name} and others`);
    this.#footprint?.touched(object, kind);
  }
}
