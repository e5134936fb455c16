/** What a power cut may leave of one sector. */

import type { ModelChange } from "./model-change.ts";
import { SECTOR_SIZE, type SectorContent, type SectorPart } from "./sector-content.ts";

/**
 * One of `bases`, then the changes of `log`. Those that ended before the tick `coveredBefore` are covered by a flush: they have happened if
 * they succeeded, in an order that their beginnings and ends allow. The others, begun after them or at the same time, may each have
 * happened or not, in any order.
 */
export class SectorCut {
  readonly #start: number;
  readonly #bases: readonly SectorContent[];
  readonly #log: readonly ModelChange[];
  readonly #coveredBefore: number;

  /** `start`: the sector's offset on the disk. */
  constructor(parts: {
    readonly start: number;
    readonly bases: readonly SectorContent[];
    readonly log: readonly ModelChange[];
    readonly coveredBefore: number;
  }) {
    this.#start = parts.start;
    this.#bases = parts.bases;
    this.#log = parts.log;
    this.#coveredBefore = parts.coveredBefore;
  }

  /** Goes back from the last change: what a change explains hides whatever came before it. */
  allows(part: SectorPart): boolean {
    const isCovered = this.#log.some((change) => this.#isCovered(change));
    if (!isCovered && this.#bases.some((base) => base.match(part) !== "no")) return true;
    const open = new Uint8Array(SECTOR_SIZE).fill(1, part.from, part.to);
    const left = this.#explain(part, open);
    const isLost = left.some((change) => change.isBinding && this.#isCovered(change));
    return !isLost && this.#bases.some((base) => explains(base, part, open));
  }

  /** Some of the contents that it may have, for messages. */
  contents(limit: number): readonly SectorContent[] {
    const contents: SectorContent[] = [];
    const add = (content: SectorContent): void => {
      if (contents.length < limit && !contents.some((known) => known.equals(content))) contents.push(content);
    };
    for (const base of this.#bases) add(base);
    for (const content of contents)
      for (const change of this.#log) for (const outcome of change.outcomesAt(this.#start, content)) add(outcome);
    return contents.filter((content) => this.allows(content.asPart()));
  }

  /** Takes out of `open` what changes explain; answers those that cannot have happened. Where nothing is open, all can. */
  #explain(part: SectorPart, open: Uint8Array): readonly ModelChange[] {
    let left = this.#log;
    for (let last = this.#last(left, part, open); last !== undefined; last = this.#last(left, part, open)) {
      const change = last;
      const { from, to } = change.rangeIn(this.#start);
      open.fill(0, from, to);
      if (!open.includes(1)) return [];
      const isCovered = this.#isCovered(change);
      left = left.filter((other) => other !== change && !(isCovered && other.beganAt > change.endedAt));
    }
    return left;
  }

  /**
   * Of the changes that can be the last of those left the one that ended last. Taking one that no flush covers takes nothing from the others.
   * Taking one that is covered rules out those that began after its end: the later its end, the fewer.
   */
  #last(left: readonly ModelChange[], part: SectorPart, open: Uint8Array): ModelChange | undefined {
    let latest: ModelChange | undefined;
    for (const change of left) {
      if (!change.explains(this.#start, part, open)) continue;
      const isHeldBack = left.some((other) => other.isBinding && this.#isCovered(other) && other.beganAt > change.endedAt);
      if (!isHeldBack && (latest === undefined || change.endedAt > latest.endedAt)) latest = change;
    }
    return latest;
  }

  #isCovered(change: ModelChange): boolean {
    return change.endedAt < this.#coveredBefore;
  }
}

function explains(base: SectorContent, { seen, seenStart, from, to }: SectorPart, open: Uint8Array): boolean {
  for (let index = from; index < to; index++) {
    const own = base.byteAt(index);
    if (open[index] === 1 && own !== undefined && own !== seen[seenStart + index - from]) return false;
  }
  return true;
}
