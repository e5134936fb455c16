/** Which parts of a disk have changed since a moment that its user chose: what an incremental backup goes by. */

import { assert, BlockError } from "../errors.ts";
import { touch } from "../coroutine/witness.ts";
import { BitTree } from "./bit-tree.ts";

/** The finest and the coarsest granularity, bytes: QEMU's. */
const MIN_GRANULARITY = 512;
const MAX_GRANULARITY = 2 ** 31;

/** What a bitmap is made with. */
export interface DirtyBitmapOptions {
  readonly name: string;
  /** Bytes of the disk that one bit stands for: a power of two, 512 to 2^31. */
  readonly granularity: number;
  /** Of the disk, bytes. */
  readonly size: number;
  /** Whether it follows changes. Default true. */
  readonly enabled?: boolean;
  /** The image keeps it. Default false. */
  readonly persistent?: boolean;
  /** What it holds is not to be trusted: its image was not closed by who kept it up. Default false. */
  readonly inconsistent?: boolean;
}

/** A run of bytes of the disk that changed. */
export interface DirtyExtent {
  readonly offset: number;
  readonly length: number;
}

/**
 * One bit for each `granularity` bytes. A node's bitmaps are changed through `BlockNode.bitmaps`; what changes bits here is for it and
 * for formats that keep bitmaps.
 */
export class DirtyBitmap {
  readonly name: string;
  readonly granularity: number;
  readonly persistent: boolean;
  readonly inconsistent: boolean;
  readonly #bits: BitTree;
  #size: number;
  #enabled: boolean;
  #holds = 0;

  constructor({ name, granularity, size, enabled = true, persistent = false, inconsistent = false }: DirtyBitmapOptions) {
    assert(isGranularity(granularity), "a bitmap has a granularity that is checked");
    this.name = name;
    this.granularity = granularity;
    this.persistent = persistent;
    this.inconsistent = inconsistent;
    this.#size = size;
    this.#enabled = enabled;
    this.#bits = new BitTree(this.#bitsFor(size));
  }

  /** Of the disk, bytes. */
  get size(): number {
    return this.#size;
  }

  /** Whether it follows changes. */
  get enabled(): boolean {
    return this.#enabled;
  }

  /** Whether someone relies on it as it is, so that it may be neither changed by hand nor removed. */
  get busy(): boolean {
    return this.#holds > 0;
  }

  /** Bits, of which each stands for `granularity` bytes. */
  get length(): number {
    return this.#bits.length;
  }

  /** Bytes of the disk that changed, by whole granules; the last one counts as far as the disk goes. */
  get dirtyBytes(): number {
    touch(this, "read");
    const overhang = this.length * this.granularity - this.#size;
    const lastIsDirty = this.length > 0 && this.#bits.next(this.length - 1, true) < this.length;
    return this.#bits.count * this.granularity - (lastIsDirty ? overhang : 0);
  }

  isDirty(offset: number): boolean {
    touch(this, "read");
    const bit = Math.floor(offset / this.granularity);
    return this.#bits.next(bit, true) === bit && bit < this.length;
  }

  /** What changed within the range, in order, neighbours joined. The bitmap may change meanwhile: each run is looked up when it is asked for. */
  *extents({ offset = 0, length = this.#size - offset }: Partial<DirtyExtent> = {}): Generator<DirtyExtent, void, undefined> {
    const end = Math.min(this.#size, offset + length);
    for (let at = offset; at < end;) {
      touch(this, "read");
      const start = Math.max(at, this.#bits.next(Math.floor(at / this.granularity), true) * this.granularity);
      if (start >= end) return;
      const stop = Math.min(end, this.#bits.next(Math.floor(start / this.granularity), false) * this.granularity);
      yield { offset: start, length: stop - start };
      at = stop;
    }
  }

  /** Keeps it as it is until the result is disposed; changes of the disk are followed all the same. */
  hold(): Disposable {
    this.#holds++;
    let held = true;
    return {
      [Symbol.dispose]: () => {
        if (held) this.#holds--;
        held = false;
      },
    };
  }

  /** @internal These bytes of the disk changed, wherever it ends by now. */
  mark(offset: number, length: number): void {
    if (length === 0) return;
    touch(this, "add");
    if (offset + length > this.#size) this.resize(offset + length);
    this.#bits.fill(Math.floor(offset / this.granularity), Math.ceil((offset + length) / this.granularity), true);
  }

  /** @internal */
  setEnabled(enabled: boolean): void {
    this.#enabled = enabled;
  }

  /** @internal Nothing has changed. */
  clear(): void {
    touch(this, "write");
    this.#bits.fill(0, this.length, false);
  }

  /** @internal What changed by `other` has changed. */
  merge(other: DirtyBitmap): void {
    assert(other.#size === this.#size, "bitmaps of one size are merged");
    if (other.granularity === this.granularity) this.#bits.unite(other.#bits);
    else for (const { offset, length } of other.extents()) this.mark(offset, length);
  }

  /** @internal The disk has another size; new bytes have not changed. */
  resize(size: number): void {
    this.#size = size;
    this.#bits.resize(this.#bitsFor(size));
  }

  /** @internal Bits from bit `start` on, a multiple of 4096, as bytes; least significant bit first. */
  readBits(start: number, into: Uint8Array): void {
    this.#bits.read(start, into);
  }

  /** @internal Sets what is set in `bytes`, which stand at bit `start`, a multiple of 4096; bits behind the disk are left out. */
  loadBits(start: number, bytes: Uint8Array): void {
    this.#bits.load(start, bytes);
  }

  /** @internal The first bit from `from` on that is `value`; `length` where there is none. */
  nextBit(from: number, value: boolean): number {
    return this.#bits.next(from, value);
  }

  /** @internal Sets [start, end), bits, as far as the disk goes. */
  setBits(start: number, end: number): void {
    this.#bits.fill(Math.min(start, this.length), Math.min(end, this.length), true);
  }

  #bitsFor(size: number): number {
    return Math.ceil(size / this.granularity);
  }
}

/** What QEMU takes where nobody says: the cluster size, within bounds. Bytes. */
export function defaultGranularity(clusterSize: number | undefined): number {
  return clusterSize === undefined ? 65_536 : Math.min(65_536, Math.max(4096, clusterSize));
}

/** Throws INVALID_OPTION unless a bitmap can be so. */
export function checkGranularity(granularity: number, node: string): void {
  if (!isGranularity(granularity)) throw new BlockError("INVALID_OPTION", "Granularity must be power of 2 and at least 512", { node });
}

function isGranularity(bytes: number): boolean {
  return bytes >= MIN_GRANULARITY && bytes <= MAX_GRANULARITY && Number.isInteger(Math.log2(bytes));
}
