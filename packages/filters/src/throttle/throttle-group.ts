/** What several images may do together. */

import { CoMutex, CoSleep, type Clock, type WaitOptions } from "@coblock/core";
import { LeakyBucket } from "./leaky-bucket.ts";
import type { ThrottleLimits } from "./limits.ts";

/** First come first served, reads and writes each among themselves. */
export class ThrottleGroup {
  readonly name: string;
  readonly #clock: Clock;
  readonly #operationSize: number;
  readonly #buckets: readonly LeakyBucket[];
  readonly #turns: Readonly<Record<"read" | "write", CoMutex>>;

  constructor(name: string, { limits, operationSize }: ThrottleLimits, clock: Clock) {
    this.name = name;
    this.#clock = clock;
    this.#operationSize = operationSize;
    this.#buckets = limits.map((limit) => new LeakyBucket(limit, clock.now()));
    this.#turns = { read: new CoMutex(`${name} reads`, clock), write: new CoMutex(`${name} writes`, clock) };
  }

  /** Returns when a request of `length` bytes may pass, and counts it. */
  async pass(kind: "read" | "write", length: number, options?: WaitOptions): Promise<void> {
    const buckets = this.#buckets.filter(({ limit }) => limit.counts === "total" || limit.counts === kind);
    if (buckets.length === 0) return;
    using _turn = await this.#turns[kind].lock(options);
    for (;;) {
      const nowMs = this.#clock.now();
      const waitMs = Math.max(...buckets.map((bucket) => bucket.waitMs(nowMs)));
      if (waitMs === 0) break;
      await new CoSleep().sleep(this.#clock, waitMs, options);
    }
    for (const bucket of buckets) bucket.add(bucket.limit.unit === "bytes" ? length : this.#operations(length));
  }

  #operations(length: number): number {
    return this.#operationSize === 0 ? 1 : Math.max(1, length / this.#operationSize);
  }
}
