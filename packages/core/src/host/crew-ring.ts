/** Jobs in memory that several threads share: one puts them in, any of them takes them. */

import type { UnitPlaces } from "./unit-codec.ts";

/** A power of two, so that the numbers of jobs may pass 2^32. */
const SLOTS = 256;

// Words of 32 bits at the start, each in a cache line of its own.
const SUBMITTED = 0;
const TAKEN = 16;
const SLEEPERS = 32;
const TELL_AFTER = 48;
/** Counts what a thread that sleeps may be woken for. */
const NEWS = 64;
const IS_STOPPING = 80;
const STOPPED = 96;
const FIRST_SLOT = 112;

// A slot is a cache line, too: words of 32 bits, and in the middle two of 64.
const SLOT_WORDS = 16;
const TASK = 0;
const DONE = 1;
const FROM_LENGTH = 2;
const INTO_LENGTH = 3;
const FROM = 4;
const INTO = 6;
const RESULT = 8;

/** Looks at the ring before a thread falls asleep, about 50 µs: to wake it takes as long, and costs who wakes it. */
const LOOKS = 2000;

/** A task by its number, and the bytes for it. */
export interface Job {
  readonly task: number;
  readonly places: UnitPlaces;
}

/**
 * Slots are known by their index. A slot is its submitter's until it is submitted, then its taker's until it is done, then again its
 * submitter's.
 */
export class JobRing {
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #addresses: BigUint64Array;

  /** `memory`: that of another thread's ring. */
  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(4 * (FIRST_SLOT + SLOTS * SLOT_WORDS))) {
    this.memory = memory;
    this.#words = new Int32Array(memory);
    this.#addresses = new BigUint64Array(memory);
  }

  /** Where the next job goes. The slot must be its submitter's. */
  get nextSlot(): number {
    return slotOf(Atomics.load(this.#words, SUBMITTED));
  }

  /** Puts a job into `nextSlot`. One thread alone submits. */
  submit({ task, places }: Job): void {
    const words = this.#words;
    const at = wordOf(this.nextSlot);
    words[at + TASK] = task;
    words[at + DONE] = 0;
    words[at + FROM_LENGTH] = places.fromLength;
    words[at + INTO_LENGTH] = places.intoLength;
    this.#addresses[(at + FROM) / 2] = places.from;
    this.#addresses[(at + INTO) / 2] = places.into;
    Atomics.add(words, SUBMITTED, 1);
    Atomics.add(words, NEWS, 1);
    if (Atomics.load(words, SLEEPERS) > 0) Atomics.notify(words, NEWS, 1);
  }

  /** Jobs that nobody has taken. */
  get isEmpty(): boolean {
    return Atomics.load(this.#words, TAKEN) === Atomics.load(this.#words, SUBMITTED);
  }

  /** The oldest job that nobody has taken. */
  take(): { readonly slot: number; readonly job: Job } | undefined {
    const words = this.#words;
    for (;;) {
      const next = Atomics.load(words, TAKEN);
      if (next === Atomics.load(words, SUBMITTED)) return undefined;
      if (Atomics.compareExchange(words, TAKEN, next, (next + 1) | 0) !== next) continue;
      const slot = slotOf(next);
      return { slot, job: this.#jobAt(slot) };
    }
  }

  /** `result` of a job that was taken; answers whether the submitter waits to be told. */
  finish(slot: number, result: number): boolean {
    const at = wordOf(slot);
    this.#words[at + RESULT] = result;
    Atomics.store(this.#words, at + DONE, 1);
    return Atomics.sub(this.#words, TELL_AFTER, 1) === 1;
  }

  /** `undefined`: it is not done. */
  resultOf(slot: number): number | undefined {
    const at = wordOf(slot);
    return Atomics.load(this.#words, at + DONE) === 1 ? this.#words[at + RESULT] : undefined;
  }

  /** The submitter is told when so many more are done; those that are done by now do not count. */
  tellAfter(count: number): void {
    Atomics.store(this.#words, TELL_AFTER, count);
  }

  /** Blocks the thread until there is a job that nobody has taken, as far as it knows, or threads shall stop. */
  waitForJob(): void {
    const words = this.#words;
    for (let look = 0; look < LOOKS; look++) if (!this.isEmpty) return;
    Atomics.add(words, SLEEPERS, 1);
    const seen = Atomics.load(words, NEWS);
    if (this.isEmpty && !this.isStopping) Atomics.wait(words, NEWS, seen);
    Atomics.sub(words, SLEEPERS, 1);
  }

  /** Threads take no further job. */
  stop(): void {
    const words = this.#words;
    Atomics.store(words, IS_STOPPING, 1);
    Atomics.add(words, NEWS, 1);
    Atomics.notify(words, NEWS);
  }

  get isStopping(): boolean {
    return Atomics.load(this.#words, IS_STOPPING) === 1;
  }

  /** Threads that have stopped: they touch no bytes of a job any more, and are in no call of a library. */
  get stopped(): number {
    return Atomics.load(this.#words, STOPPED);
  }

  /** Says that the calling thread has stopped. */
  hasStopped(): void {
    Atomics.add(this.#words, STOPPED, 1);
    Atomics.notify(this.#words, STOPPED);
  }

  /** Blocks the thread until more than `count` have stopped, or for `timeoutMs`; answers whether they have. */
  waitForStop(count: number, timeoutMs: number): boolean {
    return Atomics.wait(this.#words, STOPPED, count, timeoutMs) !== "timed-out";
  }

  #jobAt(slot: number): Job {
    const at = wordOf(slot);
    const places = {
      from: this.#addresses[(at + FROM) / 2] ?? 0n,
      fromLength: this.#words[at + FROM_LENGTH] ?? 0,
      into: this.#addresses[(at + INTO) / 2] ?? 0n,
      intoLength: this.#words[at + INTO_LENGTH] ?? 0,
    };
    return { task: this.#words[at + TASK] ?? 0, places };
  }
}

function slotOf(number: number): number {
  return number & (SLOTS - 1);
}

function wordOf(slot: number): number {
  return FIRST_SLOT + slot * SLOT_WORDS;
}
