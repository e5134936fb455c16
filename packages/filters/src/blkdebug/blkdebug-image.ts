/** An image whose requests fail or wait when a test says so, and must look as a test says. */

import {
  alignDown,
  alignUp,
  type BlockChild,
  type BlockEvent,
  type Breakpoints,
  type ImageLimits,
  type IoOptions,
  type MaybePromise,
  type RunStatus,
  type ZeroOptions,
} from "@coblock/core";
import { FilteredImage } from "../filtered-image.ts";
import type { RuleEngine } from "./rule-engine.ts";
import type { IoType } from "./rules.ts";

export class BlkdebugImage extends FilteredImage {
  override readonly limits: ImageLimits;
  readonly breakpoints: Breakpoints;
  readonly #rules: RuleEngine;
  /** Something was written since the last flush: one with nothing to do cannot fail. */
  #dirty = false;

  constructor(child: BlockChild, rules: RuleEngine, limits: ImageLimits) {
    super(child);
    this.limits = limits;
    this.breakpoints = rules.suspended;
    this.#rules = rules;
  }

  event(name: BlockEvent): MaybePromise<void> {
    return this.#rules.event(name);
  }

  override async read(offset: number, into: Uint8Array, options?: IoOptions): Promise<void> {
    await this.#check("read", offset, into.length);
    await super.read(offset, into, options);
  }

  override async write(offset: number, from: Uint8Array, options?: IoOptions): Promise<void> {
    await this.#check("write", offset, from.length);
    this.#dirty = true;
    await super.write(offset, from, options);
  }

  override async writeCompressed(offset: number, from: Uint8Array, options?: IoOptions): Promise<void> {
    await this.#check("write", offset, from.length);
    this.#dirty = true;
    await super.writeCompressed(offset, from, options);
  }

  /** What is no whole unit of `opt-write-zero` is written as data. */
  override async writeZeroes(offset: number, length: number, options?: ZeroOptions): Promise<void> {
    const { zeroAlignment = 1, requestAlignment } = this.limits;
    const unit = Math.max(zeroAlignment, requestAlignment);
    const end = offset + length;
    const [start, stop] = [Math.min(alignUp(offset, unit), end), Math.max(alignDown(end, unit), offset)];
    if (stop <= start) return this.write(offset, new Uint8Array(length), options);
    if (start > offset) await this.write(offset, new Uint8Array(start - offset), options);
    await this.#check("write-zeroes", start, stop - start);
    this.#dirty = true;
    await super.writeZeroes(start, stop - start, options);
    if (end > stop) await this.write(stop, new Uint8Array(end - stop), options);
  }

  override async discard(offset: number, length: number, options?: IoOptions): Promise<void> {
    await this.#check("discard", offset, length);
    this.#dirty = true;
    await super.discard(offset, length, options);
  }

  override async flush(options?: IoOptions): Promise<void> {
    if (this.#dirty) await this.#check("flush", 0, 0);
    this.#dirty = false;
    await super.flush(options);
  }

  async status(offset: number, length: number): Promise<RunStatus> {
    await this.#check("block-status", offset, length);
    return this.child.status(offset, length);
  }

  inspect(): object {
    return { state: this.#rules.state };
  }

  #check(ioType: IoType, offset: number, length: number): MaybePromise<void> {
    return this.#rules.check({ ioType, offset, length });
  }
}
