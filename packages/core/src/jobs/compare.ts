/** Tells whether two disks hold the same bytes; what reads as zero in both is not read. */

import { BlockError } from "../errors.ts";
import type { BlockStatus } from "../extents.ts";
import type { BlockNode } from "../node.ts";
import { isZero } from "../binary/zeros.ts";
import { DEFAULT_PARALLEL, pieceLength, pieceLengthFor, workThroughPieces } from "./pieces.ts";
import { hasData, RunCursor } from "./run-cursor.ts";

/** What to compare, and how. */
export interface CompareDisksOptions {
  readonly left: BlockNode;
  readonly right: BlockNode;
  /** Also sizes, and what is allocated where, must be the same. Default false: the longer disk may have zeros behind. */
  readonly strict?: boolean;
  /** Pieces in flight. Default 4; memory is that many times 2 MiB. */
  readonly parallel?: number;
  readonly signal?: AbortSignal | undefined;
  /** Bytes that were compared, of the longer disk's size. */
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
}

/** What was found: equal, or where the first difference is. */
export type Comparison =
  | { readonly kind: "identical" }
  /** `offset`: the first sector (512 bytes) that differs, or the first run whose status does. */
  | { readonly kind: "content" | "status"; readonly offset: number }
  | { readonly kind: "size" };

/** One of the disks, `disk`, could not be compared. */
class ComparedDiskError extends BlockError {
  readonly disk: BlockNode;

  constructor(disk: BlockNode, cause: BlockError, offset: number | undefined) {
    const { code, message, node = disk.name, errno } = cause;
    super(code, message, { cause, node, offset, errno });
    this.disk = disk;
  }
}

/** Where bytes are could not be found out. */
export class BlockStatusError extends ComparedDiskError {}

/** Bytes could not be read; `offset` is where the piece of the disk begins. */
export class CompareReadError extends ComparedDiskError {}

const SECTOR_LENGTH = 512;

/** Throws BlockStatusError and CompareReadError. */
export async function compareDisks(options: CompareDisksOptions): Promise<Comparison> {
  const { left, right, strict = false, parallel = DEFAULT_PARALLEL, signal } = options;
  if (strict && left.size !== right.size) return { kind: "size" };
  const comparison = new DiskComparison(options);
  await workThroughPieces({
    pieces: comparison.pieces(),
    parallel,
    bufferLengths: [comparison.pieceLength, comparison.pieceLength],
    signal,
    work: (piece, [first = Buffer.alloc(0), second = Buffer.alloc(0)], inner) => comparison.run(piece, first, second, inner),
  });
  return comparison.result;
}

interface Piece {
  readonly offset: number;
  readonly length: number;
  /** The disks that have data there; the others read as zeros. */
  readonly readers: readonly BlockNode[];
}

class DiskComparison {
  readonly #options: CompareDisksOptions;
  readonly #totalBytes: number;
  /** Bytes of each disk. */
  readonly pieceLength: number;
  #doneBytes = 0;
  #mismatch: { readonly kind: "content" | "status"; readonly offset: number } | undefined;

  constructor(options: CompareDisksOptions) {
    this.#options = options;
    this.#totalBytes = Math.max(options.left.size, options.right.size);
    this.pieceLength = pieceLengthFor(options.left, options.right);
  }

  get result(): Comparison {
    return this.#mismatch ?? { kind: "identical" };
  }

  /** In order, and none after a mismatch: what was handed out before may still hold an earlier one. */
  async *pieces(): AsyncGenerator<Piece, void, undefined> {
    const { left, right, strict } = this.#options;
    const [leftRuns, rightRuns] = [this.#runsOf(left), this.#runsOf(right)];
    try {
      for (let offset = 0; offset < this.#totalBytes && this.#mismatch === undefined;) {
        const one = await leftRuns.at(offset);
        const other = await rightRuns.at(offset);
        if (strict === true && !sameStatus(one, other)) return this.#found("status", offset);
        const readers = [...(hasData(one) ? [left] : []), ...(hasData(other) ? [right] : [])];
        const common = Math.min(one.offset + one.length, other.offset + other.length) - offset;
        const length = readers.length === 0 ? common : pieceLength(offset, common, this.pieceLength);
        if (readers.length === 0) this.#progress(length);
        else yield { offset, length, readers };
        offset += length;
      }
    } finally {
      await leftRuns.end();
      await rightRuns.end();
    }
  }

  #runsOf(node: BlockNode): RunCursor {
    return new RunCursor({ extents: statusOf(node), size: node.size, end: this.#totalBytes });
  }

  async run({ offset, length, readers }: Piece, first: Buffer, second: Buffer, signal: AbortSignal): Promise<void> {
    const [one, other] = readers;
    const bytes = first.subarray(0, length);
    const others = second.subarray(0, length);
    const reads = await Promise.allSettled([one && readOf(one, offset, bytes, signal), other && readOf(other, offset, others, signal)]);
    for (const read of reads) if (read.status === "rejected") throw read.reason;
    const differs = other === undefined ? !isZero(bytes) : !bytes.equals(others);
    if (differs) this.#found("content", offset + firstDifference(bytes, other === undefined ? undefined : others));
    this.#progress(length);
  }

  #found(kind: "content" | "status", offset: number): void {
    if (this.#mismatch === undefined || offset < this.#mismatch.offset) this.#mismatch = { kind, offset };
  }

  #progress(length: number): void {
    if (this.#mismatch !== undefined) return;
    this.#doneBytes += length;
    this.#options.onProgress?.(this.#doneBytes, this.#totalBytes);
  }
}

async function* statusOf(node: BlockNode): AsyncGenerator<BlockStatus, void, undefined> {
  try {
    yield* node.extents();
  } catch (cause) {
    throw cause instanceof BlockError ? new BlockStatusError(node, cause, cause.offset) : cause;
  }
}

async function readOf(node: BlockNode, offset: number, buffer: Buffer, signal: AbortSignal): Promise<void> {
  try {
    await node.read(offset, buffer, { signal });
  } catch (cause) {
    throw cause instanceof BlockError ? new CompareReadError(node, cause, offset) : cause;
  }
}

/** Same kind, and bytes (or space kept for them) in a file for both or for neither. */
function sameStatus(one: BlockStatus, other: BlockStatus): boolean {
  return one.kind === other.kind && (one.location === undefined) === (other.location === undefined);
}

/** Offset in `bytes` of the first sector that differs from `others`, or from zeros. */
function firstDifference(bytes: Buffer, others: Buffer | undefined): number {
  for (let start = 0; start < bytes.length; start += SECTOR_LENGTH) {
    const sector = bytes.subarray(start, start + SECTOR_LENGTH);
    const same = others === undefined ? isZero(sector) : sector.equals(others.subarray(start, start + SECTOR_LENGTH));
    if (!same) return start;
  }
  return bytes.length;
}
