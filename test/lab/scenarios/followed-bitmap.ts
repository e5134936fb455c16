/** What a bitmap must say, and what it may, of requests that run while it is changed. */

import { type DirtyBitmap, type DirtyExtent } from "@coblock/core";
import { RunFailure } from "@coblock/testing";

/** A request that changes the disk. */
interface Change {
  readonly granules: readonly number[];
  /** Of the bitmap's life in which all of it must be followed; undefined: none. */
  readonly life: number | undefined;
}

/**
 * A request that begins and ends while the bitmap follows must be in it; one that begins and ends while it does not, or ends before it
 * is cleared, must not; of others either is right.
 */
export class FollowedBitmap {
  readonly name: string;
  readonly #granularity: number;
  readonly #must = new Set<number>();
  readonly #may = new Set<number>();
  readonly #inFlight = new Set<Change>();
  #state: "on" | "off" | "changing";
  #life = 0;

  constructor(name: string, granularity: number, state: "on" | "off") {
    this.name = name;
    this.#granularity = granularity;
    this.#state = state;
  }

  /** What must be in it at this moment. */
  get must(): ReadonlySet<number> {
    return new Set(this.#must);
  }

  /** A request begins; the answer is to be called when it has succeeded. */
  began({ offset, length }: DirtyExtent): () => void {
    const first = Math.floor(offset / this.#granularity);
    const count = Math.ceil((offset + length) / this.#granularity) - first;
    const granules = Array.from({ length: count }, (_, index) => first + index);
    const change: Change = { granules, life: this.#state === "on" ? this.#life : undefined };
    this.#inFlight.add(change);
    if (this.#state !== "off") addAll(this.#may, granules);
    return () => {
      this.#inFlight.delete(change);
      if (change.life === this.#life) addAll(this.#must, granules);
    };
  }

  /** The bitmap is switched on or off by `work`. */
  async switched(state: "on" | "off", work: () => Promise<unknown>): Promise<void> {
    this.#begin();
    await work();
    this.#state = state;
  }

  /** The bitmap, which follows, is made or cleared by `work`. */
  async emptied(work: () => Promise<unknown>): Promise<void> {
    this.#must.clear();
    this.#may.clear();
    this.#begin();
    await work();
    this.#state = "on";
  }

  /** `other` is merged into it by `work`. */
  async merged(other: FollowedBitmap, work: () => Promise<unknown>): Promise<void> {
    addAll(this.#must, other.#must);
    await work();
    addAll(this.#may, other.#may);
  }

  /** Throws unless `bitmap` says all that it must, and nothing that it may not. */
  expect(bitmap: DirtyBitmap): void {
    for (const granule of this.#must) expectDirty(bitmap, granule);
    for (const { offset, length } of bitmap.extents())
      for (let at = offset; at < offset + length; at += this.#granularity)
        if (!this.#may.has(at / this.#granularity))
          throw new RunFailure("wrong", `the bitmap '${this.name}' has offset ${at}, which it never followed`);
  }

  #begin(): void {
    this.#state = "changing";
    this.#life++;
    for (const { granules } of this.#inFlight) addAll(this.#may, granules);
  }
}

/** Throws where the bitmap says that a granule has not changed. */
export function expectDirty(bitmap: DirtyBitmap, granule: number): void {
  const offset = granule * bitmap.granularity;
  if (!bitmap.isDirty(offset))
    throw new RunFailure("wrong", `the bitmap '${bitmap.name}' says that nothing has changed at offset ${offset}`);
}

function addAll(set: Set<number>, granules: Iterable<number>): void {
  for (const granule of granules) set.add(granule);
}
