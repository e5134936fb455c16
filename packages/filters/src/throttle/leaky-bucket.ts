/** A bucket that runs out at an even rate: what does not fit waits until it does. */

import type { Limit } from "./limits.ts";

const MS_PER_SECOND = 1000;
/** Seconds of the average that pass at once where no burst is given. */
const DEFAULT_BURST_SECONDS = 0.1;

/** QEMU's rule: a request passes whole once the level is no higher than the brim, and raises it by all that it is. */
export class LeakyBucket {
  readonly limit: Limit;
  #level = 0;
  /** Of the burst rate, where a burst may last longer than a second. */
  #burstLevel = 0;
  #leakedMs: number;

  constructor(limit: Limit, nowMs: number) {
    this.limit = limit;
    this.#leakedMs = nowMs;
  }

  /** Milliseconds until the next request passes; 0: now. */
  waitMs(nowMs: number): number {
    this.#leak(nowMs);
    const { average, burst, burstLength } = this.limit;
    const brim = burst === 0 ? average * DEFAULT_BURST_SECONDS : burst * burstLength;
    const long = Math.max(0, this.#level - brim) / average;
    const short = burst === 0 || burstLength === 1 ? 0 : Math.max(0, this.#burstLevel - burst * DEFAULT_BURST_SECONDS) / burst;
    return Math.max(long, short) * MS_PER_SECOND;
  }

  /** A request of that many units passes. */
  add(units: number): void {
    this.#level += units;
    this.#burstLevel += units;
  }

  #leak(nowMs: number): void {
    const seconds = (nowMs - this.#leakedMs) / MS_PER_SECOND;
    this.#leakedMs = nowMs;
    this.#level = Math.max(0, this.#level - seconds * this.limit.average);
    this.#burstLevel = Math.max(0, this.#burstLevel - seconds * this.limit.burst);
  }
}
