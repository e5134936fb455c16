/** Copies the bytes of one disk into another: holes stay holes, zeros become holes, and only what is there is read. */

import { alignDown, alignUp } from "../binary/align.ts";
import { BlockError } from "../errors.ts";
import type { BlockStatus, ExtentRange } from "../extents.ts";
import type { BlockNode } from "../node.ts";
import { MAX_ZEROS, zeros } from "../binary/zeros.ts";
import type { JobControl } from "./job-control.ts";
import { DEFAULT_PARALLEL, PIECE_LENGTH, pieceLength, pieceLengthFor, workThroughPieces } from "./pieces.ts";
import { zeroRuns } from "./zero-runs.ts";

/** Where bytes are copied from: a node, or what a job sees of one that it keeps quiet. */
export type CopySource = Pick<BlockNode, "size" | "optimalTransfer" | "extents" | "read">;

/** What to copy, where to, and how. */
export interface CopyDiskOptions {
  readonly source: CopySource;
  /** Bytes of the source; default all. */
  readonly range?: Required<Pick<ExtentRange, "offset" | "length">>;
  /** At least as large as `targetOffset` and the source together; longer targets keep what is behind. */
  readonly target: BlockNode;
  /** Bytes; where the source begins in the target. Default 0. */
  readonly targetOffset?: number;
  /** The target reads as zeros now where it has no backing file: zeros of the source need not be written. Default false. */
  readonly targetIsZero?: boolean;
  /**
   * The target has a backing file with the same bytes as the source's layer of this depth and below (1: the source's own backing file);
   * what lies there is not copied. Absent: the target stands alone.
   */
  readonly sharedDepth?: number;
  /**
   * Bytes: data is looked at in blocks of that size, and those that are zero are not stored (at most 1 MiB). 0: nothing is looked at, and all
   * of the source is written, its holes too. Default 4096.
   */
  readonly sparseSize?: number;
  /** Data is stored compressed, unit by unit, where that saves space. Throws UNSUPPORTED_FEATURE where the target cannot. Default false. */
  readonly compress?: boolean;
  /** Pieces in flight. Default 4; memory is that many times 1 MiB. */
  readonly parallel?: number;
  readonly signal?: AbortSignal | undefined;
  /** Pauses the copy and sets its rate, in bytes of the source's data. */
  readonly control?: JobControl | undefined;
  /** Bytes of the source's data that are done, of all that have to be copied. */
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
  /** Where it is given, sectors that cannot be read become zeros and are reported, instead of ending the copy. */
  readonly onReadError?: (offset: number, length: number, error: unknown) => void;
}

/** The target could not take bytes, at `offset` of its disk; reads that fail throw a plain BlockError. */
export class CopyWriteError extends BlockError {}

const DEFAULT_SPARSE_SIZE = 4096;
/** What a disk reads as a whole: the least that salvaging gives up. */
const SECTOR_LENGTH = 512;

/**
 * When it returns, the target holds the source's bytes on stable storage. Throws the first failure of a read, a write or the flush, with all
 * requests ended and the source as it was; the target then holds a part. Throws OUT_OF_RANGE where the target is too small.
 */
export async function copyDisk(options: CopyDiskOptions): Promise<void> {
  await copyBytes(options);
  await options.target.flush();
}

/** `copyDisk` without the flush. */
export async function copyBytes(options: CopyDiskOptions): Promise<void> {
  const { source, target, targetOffset = 0, sparseSize, parallel = DEFAULT_PARALLEL, signal } = options;
  if (!Number.isSafeInteger(targetOffset) || targetOffset < 0 || targetOffset + source.size > target.size) {
    const message = `${target.fileName}: its ${target.size} bytes are too few for ${source.size} bytes at offset ${targetOffset}`;
    throw new BlockError("OUT_OF_RANGE", message, { node: target.name, offset: targetOffset });
  }
  if (sparseSize !== undefined && (!Number.isSafeInteger(sparseSize) || sparseSize < 0))
    throw new BlockError("INVALID_OPTION", `a sparse size of ${sparseSize} is no number of bytes`);
  if (options.compress === true && target.compressionUnit === undefined) {
    const message = `${target.fileName}: Compression not supported for this file format`;
    throw new BlockError("UNSUPPORTED_FEATURE", message, { node: target.name });
  }
  signal?.throwIfAborted();
  const copy = new DiskCopy(options, options.onProgress === undefined ? 0 : await bytesToCopy(options));
  await workThroughPieces({
    pieces: copy.pieces(),
    parallel,
    bufferLengths: [copy.pieceLength],
    signal,
    work: (piece, [buffer = Buffer.alloc(copy.pieceLength)], inner) => copy.run(piece, buffer, inner),
  });
}

/** What one worker does at a time. */
type Piece = { readonly kind: "data" | "zero"; readonly offset: number; readonly length: number };

class DiskCopy {
  readonly #options: CopyDiskOptions;
  readonly #sparseSize: number;
  readonly #targetOffset: number;
  /** Bytes of the target in front of which its backing file shows. */
  readonly #backingEnd: number;
  readonly #totalBytes: number;
  /** Bytes that are stored together: data begins and ends with them. 1 where nothing is compressed. */
  readonly #unit: number;
  /** Pieces are cut by where they lie in the target's units, as far as it has any. */
  readonly #shift: number;
  /** Of data, bytes. */
  readonly pieceLength: number;
  #doneBytes = 0;

  constructor(options: CopyDiskOptions, totalBytes: number) {
    this.#options = options;
    this.#sparseSize = options.sparseSize ?? DEFAULT_SPARSE_SIZE;
    this.#targetOffset = options.targetOffset ?? 0;
    this.#backingEnd = options.target.children.get("backing")?.node.size ?? 0;
    this.#totalBytes = totalBytes;
    this.#unit = options.compress === true ? (options.target.compressionUnit ?? 1) : 1;
    this.#shift = this.#unit === 1 ? 0 : this.#targetOffset;
    this.pieceLength = Math.max(pieceLengthFor(options.source), this.#unit);
  }

  async *pieces(): AsyncGenerator<Piece, void, undefined> {
    const { source, signal, range } = this.#options;
    let next = 0;
    /** Zeros that share a unit with what follows: they go with it if that is data. */
    let held: { readonly start: number; readonly end: number } | undefined;
    for await (const extent of source.extents(range)) {
      signal?.throwIfAborted();
      const kind = kindOf(extent, this.#options);
      const extentEnd = extent.offset + extent.length;
      if (kind === "data") {
        const { start, end } = this.#wholeUnits(extent);
        yield* this.#cut("data", Math.max(start, next), end);
        next = Math.max(next, end);
        held = undefined;
      } else if (kind === "zero") {
        const start = held?.start ?? Math.max(extent.offset, next);
        const end = Math.max(start, alignDown(this.#shift + extentEnd, this.#unit) - this.#shift);
        yield* this.#cut("zero", start, end);
        if (end > start) next = end;
        held = end < extentEnd ? { start: end, end: extentEnd } : undefined;
      } else if (held !== undefined) {
        yield* this.#cut("zero", held.start, held.end);
        next = held.end;
        held = undefined;
      }
    }
    if (held !== undefined) yield* this.#cut("zero", held.start, held.end);
  }

  /** Zeros cost one request however long they are, unless all of them are to be stored. */
  *#cut(kind: Piece["kind"], start: number, end: number): Generator<Piece, void, undefined> {
    const unit = kind === "zero" && this.#sparseSize > 0 ? ZERO_PIECE_LENGTH : this.pieceLength;
    for (let offset = start; offset < end;) {
      const length = pieceLength(this.#shift + offset, end - offset, unit);
      if (kind === "data" || !this.#isZeroAlready(offset, length)) yield { kind, offset, length };
      offset += length;
    }
  }

  /** The extent, and what of the source shares its first and last unit of the target. */
  #wholeUnits({ offset, length }: BlockStatus): { readonly start: number; readonly end: number } {
    const start = alignDown(this.#shift + offset, this.#unit) - this.#shift;
    const end = alignUp(this.#shift + offset + length, this.#unit) - this.#shift;
    return { start: Math.max(0, start), end: Math.min(this.#options.source.size, end) };
  }

  async run(piece: Piece, buffer: Buffer, signal: AbortSignal): Promise<void> {
    const { offset, length } = piece;
    if (piece.kind === "zero") return this.#writeZeroes(offset, length, signal);
    const bytes = buffer.subarray(0, length);
    await this.#options.control?.admit(length, { signal });
    await this.#read(offset, bytes, signal);
    if (this.#sparseSize === 0) await this.#write(offset, bytes, signal);
    else await this.#writeSparse(offset, bytes, signal);
    this.#doneBytes += length;
    this.#options.onProgress?.(Math.min(this.#doneBytes, this.#totalBytes), this.#totalBytes);
  }

  async #writeSparse(offset: number, bytes: Buffer, signal: AbortSignal): Promise<void> {
    const unit = Math.max(this.#sparseSize, this.#unit);
    for (const { isZero, start, end } of zeroRuns(bytes, this.#shift + offset, unit)) {
      if (!isZero) await this.#write(offset + start, start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end), signal);
      else if (!this.#isZeroAlready(offset + start, end - start)) await this.#writeZeroes(offset + start, end - start, signal);
    }
  }

  async #writeZeroes(offset: number, length: number, signal: AbortSignal): Promise<void> {
    const at = this.#targetOffset + offset;
    if (this.#sparseSize > 0) return this.#told(at, this.#options.target.writeZeroes(at, length, { mayUnmap: true, signal }));
    for (let done = 0; done < length; done += MAX_ZEROS)
      await this.#write(offset + done, zeros(Math.min(MAX_ZEROS, length - done)), signal);
  }

  /** Long reads may be cheap where long writes are not: those go out in pieces of the usual length. */
  async #write(offset: number, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    const unit = Math.max(PIECE_LENGTH, this.#unit);
    for (let start = 0; start < bytes.length;) {
      const length = pieceLength(this.#shift + offset + start, bytes.length - start, unit);
      await this.#writePiece(offset + start, length === bytes.length ? bytes : bytes.subarray(start, start + length), signal);
      start += length;
    }
  }

  #writePiece(offset: number, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    const { target, compress } = this.#options;
    const at = this.#targetOffset + offset;
    return this.#told(at, compress === true ? target.writeCompressed(at, bytes, { signal }) : target.write(at, bytes, { signal }));
  }

  /** Of a write: its failure says where in the disk it was. */
  async #told(offset: number, write: Promise<void>): Promise<void> {
    try {
      await write;
    } catch (cause) {
      if (!(cause instanceof BlockError)) throw cause;
      throw new CopyWriteError(cause.code, cause.message, { cause, node: cause.node, errno: cause.errno, offset });
    }
  }

  /** Whether the target, untouched, reads as zeros there. */
  #isZeroAlready(offset: number, length: number): boolean {
    if (this.#sparseSize === 0 || this.#options.targetIsZero !== true) return false;
    return length === 0 || this.#targetOffset + offset >= this.#backingEnd;
  }

  async #read(offset: number, bytes: Buffer, signal: AbortSignal): Promise<void> {
    const { source, onReadError } = this.#options;
    try {
      await source.read(offset, bytes, { signal });
    } catch (error) {
      if (onReadError === undefined || signal.aborted) throw error;
      await this.#salvage(offset, bytes, signal, onReadError);
    }
  }

  /** Sector by sector; neighbours that are lost for the same reason are reported together. */
  async #salvage(offset: number, bytes: Buffer, signal: AbortSignal, report: NonNullable<CopyDiskOptions["onReadError"]>): Promise<void> {
    let lost: { start: number; end: number; error: unknown } | undefined;
    for (let start = 0; start < bytes.length; start += SECTOR_LENGTH) {
      const sector = bytes.subarray(start, start + SECTOR_LENGTH);
      const error = await this.#options.source.read(offset + start, sector, { signal }).then(
        () => undefined,
        (failure: unknown) => failure ?? new Error("unknown"),
      );
      signal.throwIfAborted();
      if (error !== undefined) sector.fill(0);
      if (error !== undefined && lost !== undefined && lost.end === start) {
        lost.end += sector.length;
        continue;
      }
      if (error === undefined) continue;
      if (lost !== undefined) report(offset + lost.start, lost.end - lost.start, lost.error);
      lost = { start, end: start + sector.length, error };
    }
    if (lost !== undefined) report(offset + lost.start, lost.end - lost.start, lost.error);
  }
}

/** One zero request at most; shorter than what a format turns to zero in one go, so that an abort need not wait long. */
const ZERO_PIECE_LENGTH = 1024 * 1024 * 1024;

/** Whether a run of the source has bytes to be copied, reads as zeros, or is the target's anyway. */
export function kindOf(extent: BlockStatus, { sharedDepth }: Pick<CopyDiskOptions, "sharedDepth">): "data" | "zero" | "shared" {
  if (sharedDepth !== undefined && extent.depth >= sharedDepth) return "shared";
  return extent.kind === "data" || extent.kind === "compressed" ? "data" : "zero";
}

/** Bytes of the source's data that have to be copied. */
export async function bytesToCopy(options: Pick<CopyDiskOptions, "source" | "range" | "sharedDepth" | "signal">): Promise<number> {
  let total = 0;
  for await (const extent of options.source.extents(options.range)) {
    options.signal?.throwIfAborted();
    if (kindOf(extent, options) === "data") total += extent.length;
  }
  return total;
}
