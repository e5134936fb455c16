/** An image file as a check reads it: what is past its end reads as zeros, for damaged tables point anywhere. */

import type { BlockChild, Clock } from "@coblock/core";
import type { Geometry } from "../format/geometry.ts";

const BYTES_PER_TURN = 8 * 1024 * 1024;

export class CheckFile {
  readonly #child: BlockChild;
  readonly #clock: Clock;
  readonly #signal: AbortSignal | undefined;
  #bytesThisTurn = 0;
  readonly geometry: Geometry;

  constructor(child: BlockChild, geometry: Geometry, clock: Clock, signal: AbortSignal | undefined) {
    this.#child = child;
    this.geometry = geometry;
    this.#clock = clock;
    this.#signal = signal;
  }

  get size(): number {
    return this.#child.size;
  }

  /** Whether any byte of a table at `offset` is in the file. */
  holds(offset: number): boolean {
    return offset < this.#child.size;
  }

  /** Fills `bytes` from `offset` on. */
  async read(offset: number, bytes: Uint8Array): Promise<void> {
    this.#signal?.throwIfAborted();
    const present = Math.max(0, Math.min(bytes.length, this.#child.size - offset));
    bytes.fill(0, present);
    if (present > 0) await this.#child.read(offset, bytes.subarray(0, present));
    this.#bytesThisTurn += bytes.length;
    if (this.#bytesThisTurn < BYTES_PER_TURN) return;
    this.#bytesThisTurn = 0;
    await this.#clock.yield();
  }
}
