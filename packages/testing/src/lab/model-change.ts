/** A request that changes a model disk, and what it makes of each sector that it touches. */

import { SECTOR_SIZE, SectorContent, type SectorPart } from "./sector-content.ts";

/** What becomes of the range. */
export type ChangeEffect =
  | { readonly kind: "bytes"; readonly bytes: Buffer }
  | { readonly kind: "zero" }
  | { readonly kind: "zero or same" }
  | { readonly kind: "anything" };

/** Changes bytes [offset, end) of the disk. `start`, below, is the offset of a sector that it touches. */
export class ModelChange {
  readonly offset: number;
  readonly end: number;
  /** The tick at which it began, above 0: ticks order what begins and ends on one disk, and no two things share one. */
  readonly beganAt: number;
  readonly #effect: ChangeEffect;
  #endedAt = Number.POSITIVE_INFINITY;
  #hasFailed = false;

  constructor(parts: { readonly offset: number; readonly length: number; readonly effect: ChangeEffect; readonly beganAt: number }) {
    this.offset = parts.offset;
    this.end = parts.offset + parts.length;
    this.beganAt = parts.beganAt;
    this.#effect = parts.effect;
  }

  /** A tick; infinite while it is in flight. */
  get endedAt(): number {
    return this.#endedAt;
  }

  /** It has succeeded, and must be seen: not like one that failed, or that may leave what was there. */
  get isBinding(): boolean {
    return this.#endedAt !== Number.POSITIVE_INFINITY && !this.#hasFailed && this.#effect.kind !== "zero or same";
  }

  ended(tick: number, outcome: "succeeded" | "failed"): void {
    this.#endedAt = tick;
    this.#hasFailed = outcome === "failed";
  }

  /** The first and the last but one byte of the sector that it changes. */
  rangeIn(start: number): { readonly from: number; readonly to: number } {
    return { from: Math.max(0, this.offset - start), to: Math.min(SECTOR_SIZE, this.end - start) };
  }

  /** Whether what was in the sector makes no difference. */
  isConstantAt(start: number): boolean {
    return this.offset <= start && this.end >= start + SECTOR_SIZE && this.#effect.kind !== "zero or same";
  }

  /** What it leaves whatever was there; undefined where that matters. */
  constantAt(start: number): SectorContent | undefined {
    const effect = this.#effect;
    if (!this.isConstantAt(start)) return undefined;
    if (effect.kind === "bytes") return new SectorContent(effect.bytes, start - this.offset);
    return effect.kind === "zero" ? SectorContent.ZERO : SectorContent.ZERO.withUnknown(0, SECTOR_SIZE, this.beganAt);
  }

  /** All that it may make of `before`. */
  outcomesAt(start: number, before: SectorContent): readonly SectorContent[] {
    const effect = this.#effect;
    const constant = this.constantAt(start);
    if (constant !== undefined) return [constant];
    const { from, to } = this.rangeIn(start);
    if (effect.kind === "bytes")
      return [before.withBytes(from, effect.bytes.subarray(start + from - this.offset, start + to - this.offset))];
    if (effect.kind === "anything") return [before.withUnknown(from, to, this.beganAt)];
    const zeroed = before.withBytes(from, new Uint8Array(to - from));
    return effect.kind === "zero" || zeroed.equals(before) ? [zeroed] : [zeroed, before];
  }

  /** Whether all that was seen in its range can be its own, as far as it is `open`: not yet explained by a later change. */
  explains(start: number, part: SectorPart, open: Uint8Array): boolean {
    const effect = this.#effect;
    if (effect.kind === "anything") return true;
    const { from, to } = this.rangeIn(start);
    for (let index = Math.max(from, part.from); index < Math.min(to, part.to); index++) {
      const own = effect.kind === "bytes" ? effect.bytes[start + index - this.offset] : 0;
      if (open[index] === 1 && part.seen[part.seenStart + index - part.from] !== own) return false;
    }
    return true;
  }
}
