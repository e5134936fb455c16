/** One request's way through a node: gate, bounds, alignment, tracking, splitting, emulation, statistics. Drivers trust what arrives. */

import type { DirtyBitmap } from "../bitmap/dirty-bitmap.ts";
import type { Clock } from "../coroutine/clock.ts";
import { observed, touch } from "../coroutine/witness.ts";
import type { BlockImage, IoOptions, MaybePromise, ZeroOptions } from "../driver.ts";
import { assert, BlockError, hex } from "../errors.ts";
import { alignDown, alignUp } from "../binary/align.ts";
import { isZero, MAX_ZEROS, zeros } from "../binary/zeros.ts";
import { FlushShare } from "./flush-share.ts";
import { RequestGate } from "./gate.ts";
import { RequestStatistics } from "./statistics.ts";
import { publishEnd, publishStart, traced } from "./trace.ts";
import { RequestTracker, type RequestKind } from "./tracker.ts";
import { readUnaligned, writeUnaligned } from "./unaligned.ts";

export interface RequestPathOptions {
  readonly name: string;
  readonly image: BlockImage;
  readonly readOnly: boolean;
  readonly forCheck: boolean;
  readonly discard: "ignore" | "unmap";
  /** Whether data that is all zeros is written as zeros, with leave to give its space back or without. */
  readonly detectZeroes: "off" | "on" | "unmap";
  /** A flush ends here. */
  readonly noFlush: boolean;
  readonly clock: Clock;
}

/** A request within the bounds of the image, or past its end where it may `grow`. */
interface Bounded {
  readonly kind: RequestKind;
  readonly offset: number;
  readonly length: number;
  readonly grow?: boolean;
}

/** Methods answer done (`undefined`) or a promise, and may throw synchronously; `BlockNode` gives users plain promises. */
export class RequestPath {
  readonly gate: RequestGate;
  readonly tracker: RequestTracker = new RequestTracker();
  readonly statistics: RequestStatistics = new RequestStatistics();
  readonly image: BlockImage;
  readonly #name: string;
  readonly #readOnly: boolean;
  /** Why writes are refused. */
  readonly #refusal: string | undefined;
  readonly #discard: "ignore" | "unmap";
  readonly #detectZeroes: "off" | "on" | "unmap";
  readonly #clock: Clock;
  readonly #alignment: number;
  readonly #maxTransfer: number;
  readonly #maxZeroes: number;
  readonly #maxDiscard: number;
  readonly #flushes: FlushShare;
  #failure: BlockError | undefined;
  /** Bitmaps that follow what changes; `undefined`: none. Set in exclusive mode alone. */
  following: readonly DirtyBitmap[] | undefined;

  constructor(options: RequestPathOptions) {
    this.#name = options.name;
    this.image = options.image;
    this.#readOnly = options.readOnly;
    this.#refusal = options.readOnly ? "was opened read-only" : options.forCheck ? "was opened to be checked" : undefined;
    this.#discard = options.discard;
    this.#detectZeroes = options.image.writeZeroes === undefined ? "off" : options.detectZeroes;
    this.#clock = options.clock;
    this.#alignment = options.image.limits.requestAlignment;
    this.#maxTransfer = alignDown(options.image.limits.maxTransfer ?? Number.MAX_SAFE_INTEGER, this.#alignment);
    const { maxZeroes = Number.MAX_SAFE_INTEGER, maxDiscard = Number.MAX_SAFE_INTEGER } = options.image.limits;
    this.#maxZeroes = Math.max(this.#alignment, alignDown(maxZeroes, this.#alignment));
    this.#maxDiscard = Math.max(this.#alignment, alignDown(maxDiscard, this.#alignment));
    this.gate = new RequestGate(options.name);
    this.#flushes = new FlushShare(() => (options.noFlush ? undefined : this.image.flush?.()));
    assert(this.#maxTransfer > 0, `${options.name}: maxTransfer is below the alignment`);
  }

  /** Throws READ_ONLY where the image may not be changed. */
  checkWritable(): void {
    if (this.#refusal !== undefined) throw new BlockError("READ_ONLY", `${this.#name} ${this.#refusal}`, { node: this.#name });
  }

  /** From now on every request fails with `error`. The first call counts. */
  fail(error: BlockError): void {
    touch(this, "write");
    this.#failure ??= error;
  }

  read(offset: number, into: Uint8Array, options: IoOptions | undefined): MaybePromise<void> {
    this.#checkRange("read", offset, into.length, this.image.size);
    if (into.length === 0) return undefined;
    if (!this.#direct(offset, into.length, options)) {
      return this.#later({ kind: "read", offset, length: into.length }, options, () => this.#readAny(offset, into, options));
    }
    try {
      return this.#count("read", offset, into.length, this.image.read(offset, into, options));
    } catch (error) {
      this.statistics.read.failures++;
      throw error;
    }
  }

  /** `grow`: a child of a format may write past the end of a growable image. */
  write(offset: number, from: Uint8Array, options: IoOptions | undefined, grow: boolean): MaybePromise<void> {
    this.checkWritable();
    this.#checkRange("write", offset, from.length, this.#end(grow));
    if (from.length === 0) return undefined;
    if (this.#detectZeroes !== "off" && isZero(from)) return this.#writeFoundZeroes(offset, from.length, options, grow);
    if (options?.forceUnitAccess === true || !this.#direct(offset, from.length, options)) {
      return this.#later({ kind: "write", offset, length: from.length, grow }, options, () => this.#writeAny(offset, from, options));
    }
    try {
      return this.#count("write", offset, from.length, this.#image("write").call(this.image, offset, from, options));
    } catch (error) {
      this.statistics.write.failures++;
      this.#dirtied(offset, from.length);
      throw error;
    }
  }

  writeZeroes(offset: number, length: number, options: ZeroOptions | undefined, grow: boolean): MaybePromise<void> {
    this.checkWritable();
    this.#checkRange("write zeroes", offset, length, this.#end(grow));
    if (length === 0) return undefined;
    const mayUnmap = options?.mayUnmap === true && this.#discard === "unmap";
    return this.#later({ kind: "write zeroes", offset, length, grow }, options, () =>
      this.#zeroAny(offset, length, { ...options, mayUnmap }),
    );
  }

  discard(offset: number, length: number, options: IoOptions | undefined): MaybePromise<void> {
    this.checkWritable();
    this.#checkRange("discard", offset, length, this.image.size);
    const unit = Math.max(this.image.limits.discardAlignment ?? 1, this.#alignment);
    const start = alignUp(offset, unit);
    const end = offset + length === this.image.size ? offset + length : alignDown(offset + length, unit);
    if (this.#discard === "ignore" || this.image.discard === undefined || end <= start) return undefined;
    return this.#later({ kind: "discard", offset: start, length: end - start }, options, () =>
      this.#discardAny(start, end - start, options),
    );
  }

  /** Units of a format that compresses; where the image has no such thing, a plain write. */
  writeCompressed(offset: number, from: Uint8Array, options: IoOptions | undefined): MaybePromise<void> {
    this.checkWritable();
    this.#checkRange("write", offset, from.length, this.image.size);
    const { writeCompressed } = this.image;
    if (writeCompressed === undefined || from.length === 0 || !this.#aligned(offset, from.length))
      return this.write(offset, from, options, false);
    if (this.#detectZeroes !== "off" && isZero(from)) return this.#writeFoundZeroes(offset, from.length, options, false);
    return this.#later({ kind: "write", offset, length: from.length }, options, () =>
      writeCompressed.call(this.image, offset, from, options),
    );
  }

  /** All that was written before is on stable storage; later ones fail after one has failed. */
  flush(options: IoOptions | undefined): MaybePromise<void> {
    this.#throwFailure();
    if (this.#readOnly) return undefined;
    return this.#later({ kind: "flush", offset: 0, length: 0 }, options, () => this.#flushes.flush());
  }

  /** The image may have been changed by other means than a request: the next flush has something to do. */
  changed(): void {
    this.#flushes.changed();
  }

  /** A read that the gate does not hold back: for whoever has closed it. */
  async readInside(offset: number, into: Uint8Array): Promise<void> {
    this.#checkRange("read", offset, into.length, this.image.size);
    await this.#follow("read", offset, into.length, () => this.#readAny(offset, into, undefined));
  }

  /** A write that the gate does not hold back: for whoever has closed it. */
  async writeInside(offset: number, from: Uint8Array): Promise<void> {
    this.checkWritable();
    this.#checkRange("write", offset, from.length, this.image.size);
    await this.#follow("write", offset, from.length, () => this.#writeAny(offset, from, undefined));
  }

  /** Zeros of the image's own, that the gate does not hold back: for whoever has closed it. */
  async writeZeroesInside(offset: number, length: number): Promise<void> {
    this.checkWritable();
    this.#checkRange("write zeroes", offset, length, this.image.size);
    await this.#follow("write zeroes", offset, length, () => this.#zeroAny(offset, length, { mayUnmap: false }));
  }

  /** A flush that the gate does not hold back: for close, drain and exclusive mode. */
  flushInside(): Promise<void> {
    return this.#readOnly ? Promise.resolve() : this.#flushes.flush();
  }

  /** These bytes were changed, or may have been by a request that failed; called before it is answered. */
  #dirtied(offset: number, length: number): void {
    this.#flushes.changed();
    if (this.following !== undefined) for (const bitmap of this.following) bitmap.mark(offset, length);
  }

  #writeFoundZeroes(offset: number, length: number, options: IoOptions | undefined, grow: boolean): MaybePromise<void> {
    return this.writeZeroes(offset, length, { ...options, mayUnmap: this.#detectZeroes === "unmap" }, grow);
  }

  #end(grow: boolean): number {
    return grow && this.image.growable === true ? Number.MAX_SAFE_INTEGER : this.image.size;
  }

  #image<Method extends "write">(method: Method): NonNullable<BlockImage[Method]> {
    const found = this.image[method];
    if (found === undefined) throw new BlockError("READ_ONLY", `${this.#name}: its driver cannot write`, { node: this.#name });
    return found;
  }

  /** The beginning of every request, in the turn in which it also looks at the gate and at the others. */
  #throwFailure(): void {
    if (observed()) this.#touch();
    if (this.#failure !== undefined) throw this.#failure;
  }

  #touch(): void {
    touch(this, "read");
    this.gate.touch();
    this.tracker.touch();
  }

  #checkRange(kind: RequestKind, offset: number, length: number, end: number): void {
    this.#throwFailure();
    if (offset >= 0 && offset + length <= end && Number.isSafeInteger(offset) && Number.isSafeInteger(length) && length >= 0) return;
    const message = `${this.#name}: ${kind} of ${length} bytes at offset ${hex(offset)} does not fit into its ${this.image.size} bytes`;
    throw new BlockError("OUT_OF_RANGE", message, { node: this.#name, offset });
  }

  /** Nothing stands between this request and the driver. */
  #direct(offset: number, length: number, options: IoOptions | undefined): boolean {
    if (options?.signal?.aborted === true) return false;
    return this.gate.open && !this.tracker.serialising && length <= this.#maxTransfer && this.#aligned(offset, length) && !traced();
  }

  #aligned(offset: number, length: number): boolean {
    return this.#alignment === 1 || (offset % this.#alignment === 0 && length % this.#alignment === 0);
  }

  /** A direct request was started: counts it now, or follows it to its end. */
  #count(kind: "read" | "write", offset: number, length: number, pending: MaybePromise<void>): MaybePromise<void> {
    if (pending !== undefined) return this.#follow(kind, offset, length, () => pending);
    const { statistics } = this;
    const count = kind === "read" ? statistics.read : statistics.write;
    count.operations++;
    count.bytes += length;
    if (kind !== "read") this.#dirtied(offset, length);
    return undefined;
  }

  /** Whoever had the node for himself may have made it smaller: the range is looked at again behind the gate. */
  async #later(
    { kind, offset, length, grow = false }: Bounded,
    options: IoOptions | undefined,
    work: () => MaybePromise<void>,
  ): Promise<void> {
    options?.signal?.throwIfAborted();
    if (!this.gate.open) {
      await this.gate.enter({ signal: options?.signal, who: `${kind} ${hex(offset)}+${length}` });
      this.#checkRange(kind, offset, length, this.#end(grow));
    }
    await this.#follow(kind, offset, length, work, options?.forceUnitAccess === true);
  }

  /** `forced`: the request ends when what it changed is on stable storage. */
  async #follow(kind: RequestKind, offset: number, length: number, work: () => MaybePromise<void>, forced = false): Promise<void> {
    const changes = kind !== "read" && kind !== "flush";
    const serialising = kind !== "flush" && !this.#aligned(offset, length);
    const start = alignDown(offset, this.#alignment);
    const end = alignUp(offset + length, this.#alignment);
    const range = serialising ? { offset: start, length: end - start } : { offset, length };
    const request = { kind, ...range, serialising, startedMs: this.#clock.now() };
    const count = this.statistics.of(kind);
    this.gate.begin();
    publishStart(this.#name, kind, offset, length);
    try {
      try {
        await this.tracker.run(request, work);
      } finally {
        if (changes) this.#dirtied(offset, length);
      }
      if (forced && changes) await this.#flushes.flush();
      count.operations++;
      count.bytes += length;
      publishEnd(this.#name, kind, offset, length);
    } catch (error) {
      count.failures++;
      publishEnd(this.#name, kind, offset, length, error);
      throw error;
    } finally {
      this.gate.leave();
    }
  }

  async #readAny(offset: number, into: Uint8Array, options: IoOptions | undefined): Promise<void> {
    for (let done = 0; done < into.length;) {
      const length = this.#pieceLength(offset + done, into.length - done);
      const piece = into.subarray(done, done + length);
      if (this.#aligned(offset + done, length)) await this.image.read(offset + done, piece, options);
      else await readUnaligned(this.image, offset + done, piece, options);
      done += length;
    }
  }

  async #writeAny(offset: number, from: Uint8Array, options: IoOptions | undefined): Promise<void> {
    const write = this.#image("write");
    for (let done = 0; done < from.length;) {
      const length = this.#pieceLength(offset + done, from.length - done);
      const piece = from.subarray(done, done + length);
      if (this.#aligned(offset + done, length)) await write.call(this.image, offset + done, piece, options);
      else await writeUnaligned(this.image, offset + done, piece, options);
      done += length;
    }
  }

  /** Bytes from `offset` on that go to the driver at once: they fit also when they are widened to its alignment. */
  #pieceLength(offset: number, length: number): number {
    return Math.min(length, alignDown(offset, this.#alignment) + this.#maxTransfer - offset);
  }

  async #discardAny(offset: number, length: number, options: IoOptions | undefined): Promise<void> {
    for (let done = 0; done < length; done += this.#maxDiscard)
      await this.image.discard?.(offset + done, Math.min(this.#maxDiscard, length - done), options);
  }

  async #zeroAny(offset: number, length: number, options: ZeroOptions): Promise<void> {
    if (this.image.writeZeroes !== undefined && this.#aligned(offset, length)) {
      for (let done = 0; done < length; done += this.#maxZeroes)
        await this.image.writeZeroes(offset + done, Math.min(this.#maxZeroes, length - done), options);
      return;
    }
    const step = alignDown(MAX_ZEROS, this.#alignment);
    for (let done = 0; done < length;) {
      // The first piece ends on an aligned offset, so that only head and tail need read-modify-write.
      const end = Math.min(alignDown(offset + done + step, this.#alignment), offset + length);
      await this.#writeAny(offset + done, zeros(end - offset - done), options);
      done = end - offset;
    }
  }
}
