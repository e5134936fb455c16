/** Threads that do short jobs on units, and the event loop beside them: a row of jobs costs one wake-up, not one each. */

import type { Clock } from "../coroutine/clock.ts";
import { assert } from "../errors.ts";
import { type Job, JobRing } from "./crew-ring.ts";

/**
 * A thread that takes jobs from the ring with that memory, and sends a message when it is ready and whenever the ring asks for it. It ends
 * when the ring says so; the ring hears first that it has stopped.
 */
export interface CrewThread {
  on(event: "message" | "error" | "exit", listener: () => void): unknown;
  ref(): void;
  unref(): void;
}

export interface CrewOptions {
  readonly threads: number;
  /** May throw. */
  readonly start: (memory: SharedArrayBuffer) => CrewThread;
  /** Does a job on this thread. */
  readonly perform: (job: Job) => number;
  /** This thread does jobs, too, while it has nothing else to do. */
  readonly helps: boolean;
  readonly clock: Clock;
}

/** Then the event loop turns: with the job that was begun before, it stands still for less than a millisecond. */
const LONGEST_HELP_MS = 0.3;

interface Pending {
  readonly job: Job;
  /** The job's bytes, which are not collected while they are reachable from here. */
  readonly kept: readonly Uint8Array[];
  readonly resolve: (result: number) => void;
  readonly reject: (error: unknown) => void;
}

/** A thread that still loads its libraries when the process exits. */
const LONGEST_STOP_MS = 2000;

/**
 * It has threads for as long as none of them ends. Then the others are stopped as well, and this thread does what they left: until then it
 * keeps off the bytes of every job that a thread may have taken. A thread is never ended while it loads a library or is in a call of one,
 * for not every library survives that: the process that exits calls `stopNow`.
 */
export class Crew {
  readonly #options: CrewOptions;
  readonly #ring = new JobRing();
  readonly #threads: CrewThread[] = [];
  /** By slot. */
  readonly #pending: (Pending | undefined)[] = [];
  /** Slots that are not settled, oldest first. */
  #open: number[] = [];
  /** What the ring has no room for. */
  readonly #waiting: Pending[] = [];
  #state: "starting" | "ready" | "ended" = "starting";
  #ended = 0;
  #isAttended = false;
  #wake: (() => void) | undefined;

  constructor(options: CrewOptions) {
    this.#options = options;
    try {
      for (let count = 0; count < options.threads; count++) this.#startThread();
    } catch {
      void this.#end();
    }
  }

  /** One of its threads takes jobs. */
  get isReady(): boolean {
    return this.#state === "ready";
  }

  /** What the job answers. Only while it is ready. `kept`: the job's bytes, that nobody else writes to meanwhile. */
  run(job: Job, kept: readonly Uint8Array[]): Promise<number> {
    assert(this.isReady, "a crew is asked when it is ready");
    return new Promise((resolve, reject) => {
      this.#waiting.push({ job, kept, resolve, reject });
      this.#submit();
      if (!this.#isAttended) void this.#attend();
    });
  }

  /** For a process that exits: returns when no thread is at work, and leaves what is not done. */
  stopNow(): void {
    const ring = this.#ring;
    ring.stop();
    for (let stopped = ring.stopped; Math.max(stopped, this.#ended) < this.#threads.length; stopped = ring.stopped)
      if (!ring.waitForStop(stopped, LONGEST_STOP_MS)) return;
  }

  #startThread(): void {
    const thread = this.#options.start(this.#ring.memory);
    this.#threads.push(thread);
    thread.on("message", () => {
      if (this.#state === "starting") this.#state = "ready";
      this.#wake?.();
    });
    // An error is followed by the end; what was left is done again here, and fails here if it must.
    thread.on("error", () => {});
    thread.on("exit", () => {
      this.#ended++;
      void this.#end();
    });
    // Last of all: who listens to a thread is taken to wait for it.
    thread.unref();
  }

  #submit(): void {
    const ring = this.#ring;
    for (let slot = ring.nextSlot; this.#pending[slot] === undefined; slot = ring.nextSlot) {
      const pending = this.#waiting.shift();
      if (pending === undefined) return;
      this.#pending[slot] = pending;
      this.#open.push(slot);
      ring.submit(pending.job);
    }
  }

  /** Runs while jobs are open: settles those that are done, does some itself, and sleeps where only others have something to do. */
  async #attend(): Promise<void> {
    this.#isAttended = true;
    const { clock, helps } = this.#options;
    await clock.yield();
    while (this.#state === "ready") {
      this.#collect();
      if (helps) this.#help();
      if (this.#open.length === 0) break;
      if (helps && !this.#ring.isEmpty) await clock.yield();
      else await this.#news();
    }
    this.#isAttended = false;
  }

  /** Settles what is done; answers whether anything was. */
  #collect(): boolean {
    const before = this.#open.length;
    this.#open = this.#open.filter((slot) => {
      const result = this.#ring.resultOf(slot);
      if (result !== undefined) this.#take(slot).resolve(result);
      return result === undefined;
    });
    if (this.#open.length === before) return false;
    this.#submit();
    return true;
  }

  #take(slot: number): Pending {
    const pending = this.#pending[slot];
    assert(pending !== undefined, "an open slot has its job");
    this.#pending[slot] = undefined;
    return pending;
  }

  #help(): void {
    const { clock, perform } = this.#options;
    const startMs = clock.now();
    do {
      const taken = this.#ring.take();
      if (taken === undefined) return;
      this.#open.splice(this.#open.indexOf(taken.slot), 1);
      doHere(this.#take(taken.slot), perform);
      this.#submit();
      this.#collect();
    } while (clock.now() - startMs < LONGEST_HELP_MS);
  }

  /** Resolves when threads have done a part of what they have to do. A thread that works keeps the process alive. */
  async #news(): Promise<void> {
    this.#ring.tellAfter(Math.ceil(this.#open.length / 4));
    // They do not tell of what they did before.
    if (this.#collect()) return;
    for (const thread of this.#threads) thread.ref();
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#wake = undefined;
    for (const thread of this.#threads) thread.unref();
  }

  async #end(): Promise<void> {
    if (this.#state === "ended") return;
    this.#state = "ended";
    const { perform, clock } = this.#options;
    // Then they end.
    this.#ring.stop();
    while (this.#ended < this.#threads.length) await clock.yield();
    this.#wake?.();
    this.#collect();
    for (const pending of [...this.#open.map((slot) => this.#take(slot)), ...this.#waiting]) {
      doHere(pending, perform);
      await clock.yield();
    }
  }
}

function doHere({ job, resolve, reject }: Pending, perform: (job: Job) => number): void {
  try {
    resolve(perform(job));
  } catch (error) {
    reject(error);
  }
}
