/** Images that keep nothing, by QEMU's names: `null-co` and `null-aio`. */

import {
  BlockError,
  CoSleep,
  type BlockDriver,
  type BlockImage,
  type Clock,
  type ImageLimits,
  type MaybePromise,
  type OpenContext,
  type RunStatus,
} from "@coblock/core";
import { flagOf, wholeNumber } from "./option-values.ts";

declare module "@coblock/core" {
  interface DriverOptions {
    "null-co": NullOptions;
    "null-aio": NullOptions;
  }
}

/** Names and defaults are those of QEMU's `BlockdevOptionsNull`. */
export interface NullOptions {
  /** Bytes. Default 1 GiB. */
  readonly size?: number;
  /** Nanoseconds that each request takes at the least. Default 0. */
  readonly latencyNs?: number;
  /** Default false: reads leave the buffer as it is. */
  readonly readZeroes?: boolean;
}

const DEFAULT_SIZE = 1024 ** 3;
const NANOSECONDS_PER_MS = 1_000_000;

/** The two differ in nothing but their names. */
export function nullDriver(name: "null-co" | "null-aio"): BlockDriver<"null-co"> {
  return Object.freeze({ name, kind: "protocol", optionNames: ["size", "latencyNs", "readZeroes"], open });
}

async function open(options: NullOptions, context: OpenContext): Promise<BlockImage> {
  const latencyNs = options.latencyNs ?? 0;
  if (!Number.isSafeInteger(latencyNs) || latencyNs < 0) throw new BlockError("INVALID_OPTION", "latency-ns is invalid");
  return new NullImage(wholeNumber(options.size, "size") ?? DEFAULT_SIZE, {
    clock: context.clock,
    latencyMs: latencyNs / NANOSECONDS_PER_MS,
    readZeroes: flagOf(options.readZeroes, "read-zeroes"),
  });
}

interface NullParts {
  readonly clock: Clock;
  readonly latencyMs: number;
  readonly readZeroes: boolean;
}

class NullImage implements BlockImage {
  readonly limits: ImageLimits = { requestAlignment: 1 };
  readonly size: number;
  readonly #parts: NullParts;

  constructor(size: number, parts: NullParts) {
    this.size = size;
    this.#parts = parts;
  }

  read(_offset: number, into: Uint8Array): MaybePromise<void> {
    if (this.#parts.readZeroes) into.fill(0);
    return this.#wait();
  }

  /** What is written is not kept. */
  write(): MaybePromise<void> {
    return this.#wait();
  }

  flush(): MaybePromise<void> {
    return this.#wait();
  }

  status(_offset: number, length: number): RunStatus {
    return { kind: this.#parts.readZeroes ? "zero" : "unallocated", length };
  }

  allocatedSize(): number {
    return 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  async #sleep(): Promise<void> {
    await new CoSleep().sleep(this.#parts.clock, this.#parts.latencyMs);
  }

  #wait(): MaybePromise<void> {
    return this.#parts.latencyMs === 0 ? undefined : this.#sleep();
  }
}
