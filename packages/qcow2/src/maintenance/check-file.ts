/** An image file as a check reads it: what is past its end reads as zeros, for damaged tables point anywhere. */

import type { BlockChild, CheckOptions, Clock } from "@coblock/core";
import type { Geometry } from "../format/geometry.ts";

const BYTES_PER_TURN = 8 * 1024 * 1024;

export class CheckFile {
  readonly #child: BlockChild;
  readonly #clock: Clock;
  readonly #signal: AbortSignal | undefined;
  readonly #dryRun: boolean;
  #bytesThisTurn = 0;
  #written = false;
  readonly geometry: Geometry;

  constructor(child: BlockChild, geometry: Geometry, clock: Clock, { signal, dryRun = false }: Pick<CheckOptions, "signal" | "dryRun">) {
    this.#child = child;
    this.geometry = geometry;
    this.#clock = clock;
    this.#signal = signal;
    this.#dryRun = dryRun;
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

  /** A table of `length` bytes, whole. */
  async readTable(offset: number, length: number): Promise<DataView> {
    const bytes = new Uint8Array(length);
    await this.read(offset, bytes);
    return new DataView(bytes.buffer);
  }

  /** One step of a repair. A dry run writes nothing. */
  async write(offset: number, bytes: Uint8Array): Promise<void> {
    if (this.#dryRun) return;
    await this.#child.write(offset, bytes);
    this.#written = true;
  }

  /** All that was written before is on stable storage when it returns: the next step may rely on it. */
  async flush(): Promise<void> {
    if (this.#written) await this.#child.flush();
    this.#written = false;
  }
}
