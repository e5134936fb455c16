/** What a sector holds: bytes, and places of which nobody knows what is there. */

/** What a disk writes as a whole or not at all, bytes. */
export const SECTOR_SIZE = 512;

/** What was read of bytes [from, to) of a sector: `seen` from `seenStart` on. */
export interface SectorPart {
  readonly seen: Uint8Array;
  readonly seenStart: number;
  readonly from: number;
  readonly to: number;
}

const BYTES_SHOWN = 8;

/** The part of the sector at `start` that `seen`, read at `offset` of the disk, is. */
export function partOf(start: number, offset: number, seen: Uint8Array): SectorPart {
  const from = Math.max(0, offset - start);
  return { seen, seenStart: start + from - offset, from, to: Math.min(SECTOR_SIZE, offset + seen.length - start) };
}

/** Never changes. A byte that nobody knows has the number of the change that left it so: all bytes of one number and place are one byte. */
export class SectorContent {
  static readonly ZERO: SectorContent = new SectorContent(Buffer.alloc(SECTOR_SIZE), 0);

  readonly #source: Buffer;
  readonly #start: number;
  /** For each byte the change that left it unknown, 0 where it is known. Absent: all are known. */
  readonly #unknown: Uint32Array | undefined;

  /** Bytes [start, start + SECTOR_SIZE) of `source`, which nobody changes any more. */
  constructor(source: Buffer, start: number, unknown?: Uint32Array) {
    this.#source = source;
    this.#start = start;
    this.#unknown = unknown;
  }

  /** Undefined where nobody knows. `index`: within the sector. */
  byteAt(index: number): number | undefined {
    return (this.#unknown?.[index] ?? 0) === 0 ? this.#source[this.#start + index] : undefined;
  }

  equals(other: SectorContent): boolean {
    if (this === other) return true;
    const isSame = this.#source === other.#source && this.#start === other.#start;
    if (
      !isSame &&
      this.#source.compare(other.#source, other.#start, other.#start + SECTOR_SIZE, this.#start, this.#start + SECTOR_SIZE) !== 0
    )
      return false;
    if (this.#unknown === undefined || other.#unknown === undefined) return this.#unknown === other.#unknown;
    return this.#unknown.every((change, index) => change === other.#unknown?.[index]);
  }

  /** As if all of it had been read; what is unknown is 0. */
  asPart(): SectorPart {
    return { seen: this.#source, seenStart: this.#start, from: 0, to: SECTOR_SIZE };
  }

  /** Whether the part may have been read here; `narrows`: it may, and then says what unknown bytes are. */
  match({ seen, seenStart, from, to }: SectorPart): "no" | "yes" | "narrows" {
    const source = this.#source;
    const start = this.#start;
    if (this.#unknown === undefined)
      return source.compare(seen, seenStart, seenStart + to - from, start + from, start + to) === 0 ? "yes" : "no";
    let isNews = false;
    for (let index = from; index < to; index++) {
      if (this.#unknown[index] !== 0) isNews = true;
      else if (source[start + index] !== seen[seenStart + index - from]) return "no";
    }
    return isNews ? "narrows" : "yes";
  }

  /** With other bytes from `from` on. */
  withBytes(from: number, bytes: Uint8Array): SectorContent {
    const copy = this.#copy();
    copy.set(bytes, from);
    return new SectorContent(copy, 0, this.#unknownBut(from, from + bytes.length, 0));
  }

  /** With bytes [from, to) that `change` leaves unknown; its number is above 0. */
  withUnknown(from: number, to: number, change: number): SectorContent {
    const copy = this.#copy();
    copy.fill(0, from, to);
    return new SectorContent(copy, 0, this.#unknownBut(from, to, change));
  }

  /** What follows for this content from the part having been read where `where` was: bytes that were unknown there are known here as well. */
  narrowed(where: SectorContent, { seen, seenStart, from, to }: SectorPart): SectorContent {
    const unknown = this.#unknown;
    if (unknown === undefined || where.#unknown === undefined) return this;
    const copy = this.#copy();
    const left = unknown.slice();
    for (let index = from; index < to; index++) {
      if (left[index] === 0 || left[index] !== where.#unknown[index]) continue;
      left[index] = 0;
      copy[index] = seen[seenStart + index - from] ?? 0;
    }
    return new SectorContent(copy, 0, left.some(Boolean) ? left : undefined);
  }

  /** The bytes from `index` on and before `to`, a few, for messages. */
  describe(index: number, to: number): string {
    const shown: string[] = [];
    for (let at = index; at < Math.min(to, index + BYTES_SHOWN); at++) shown.push(this.byteAt(at)?.toString(16).padStart(2, "0") ?? "??");
    return `[${shown.join(" ")}]`;
  }

  #copy(): Buffer {
    return Buffer.from(this.#source.subarray(this.#start, this.#start + SECTOR_SIZE));
  }

  #unknownBut(from: number, to: number, change: number): Uint32Array | undefined {
    if (this.#unknown === undefined && change === 0) return undefined;
    const unknown = this.#unknown?.slice() ?? new Uint32Array(SECTOR_SIZE);
    unknown.fill(change, from, to);
    return unknown.some(Boolean) ? unknown : undefined;
  }
}
