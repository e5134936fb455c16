/** A disk that holds, or has answered, what it may not. */

import type { SectorContent, SectorPart } from "./sector-content.ts";

const MAX_CONTENTS_SHOWN = 6;

/** The message names the request, the byte, what is there and what could be. */
export class ModelMismatch extends Error {
  /** Byte of the disk. */
  readonly offset: number;

  constructor(message: string, offset: number) {
    super(message);
    this.name = "ModelMismatch";
    this.offset = offset;
  }

  /** `part`: what was seen of the sector at `start`, which may have held one of `possible`. */
  static inSector(what: string, start: number, part: SectorPart, possible: readonly SectorContent[]): ModelMismatch {
    const { seen, seenStart, from, to } = part;
    const ends = possible.map((content) => firstDifference(content, part));
    const at = Math.min(to - 1, Math.max(from, ...ends));
    const nearest = possible.filter((_content, index) => (ends[index] ?? 0) >= at).map((content) => content.describe(at, to));
    const shown = [...new Set(nearest)].slice(0, MAX_CONTENTS_SHOWN).join(" or ");
    const actual = [...seen.subarray(seenStart + at - from, seenStart + Math.min(at + 8, to) - from)]
      .map((byte) => byte.toString(16).padStart(2, "0"))
      .join(" ");
    return new ModelMismatch(`${what}: at offset ${start + at} there is [${actual}], and should be ${shown}`, start + at);
  }
}

/** The first index in the sector that is not as it was seen; the end of the part where there is none. */
function firstDifference(content: SectorContent, { seen, seenStart, from, to }: SectorPart): number {
  for (let index = from; index < to; index++) {
    const own = content.byteAt(index);
    if (own !== undefined && own !== seen[seenStart + index - from]) return index;
  }
  return to;
}
