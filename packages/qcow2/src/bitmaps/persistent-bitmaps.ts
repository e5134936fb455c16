/** The persistent bitmaps of an open image: what core asks for, each change as one section under the driver lock. */

import { assert, BlockError, type BlockErrorCode, DirtyBitmap, type ImageBitmaps, SparseSet } from "@coblock/core";
import { type Bitmap, BITMAP_AUTO, BITMAP_IN_USE, directoryEntryLength, encodeBitmapDirectory } from "../format/bitmap-directory.ts";
import { isStorableName } from "../format/stored-name.ts";
import { viewOf } from "../format/words.ts";
import {
  MAX_BITMAP_DATA_BYTES,
  MAX_BITMAP_DIRECTORY_BYTES,
  MAX_BITMAPS,
  MAX_GRANULARITY,
  MAX_NAME_BYTES,
  MIN_GRANULARITY,
} from "../format/limits.ts";
import type { ImageOwner } from "../image/image-owner.ts";
import type { Metadata } from "../metadata/metadata.ts";
import type { NewTables } from "../metadata/new-tables.ts";
import { loadBits, writeBits } from "./bitmap-bits.ts";
import { type BitmapsChange, changeDirectory, planHeader } from "./bitmap-directory-change.ts";

/**
 * A bitmap that is not marked as in use is right on disk. It is marked before anything changes that it follows, or it is changed itself,
 * and what is marked is written to new space when the image is closed. So a crash leaves marked bitmaps, which count as inconsistent.
 */
export class PersistentBitmaps implements ImageBitmaps {
  readonly #owner: ImageOwner;
  /** By name, in the order of the directory and then of their making. Inconsistent ones hold nothing. */
  readonly #bitmaps = new Map<string, DirtyBitmap>();

  constructor(owner: ImageOwner) {
    this.#owner = owner;
  }

  /** Version 2 has no autoclear bits, by which a program without bitmaps makes them void. qcow2 spec, "Bitmaps extension". */
  get canKeep(): boolean {
    return this.#owner.geometry.version >= 3;
  }

  /** Whether there are bitmaps, or will be when those that were added are written. */
  get any(): boolean {
    return this.#bitmaps.size > 0 || this.#owner.description.bitmaps.length > 0;
  }

  async load(): Promise<readonly DirtyBitmap[]> {
    const { description, size, state } = this.#owner;
    using guard = await state.lock({ who: "bitmaps" });
    const seen = new SparseSet();
    for (const entry of description.bitmaps) {
      const inconsistent = isInUse(entry);
      const { name, granularity, flags } = entry;
      const bitmap = new DirtyBitmap({ name, granularity, size, persistent: true, inconsistent, enabled: !inconsistent && isAuto(flags) });
      if (!inconsistent) await loadBits(guard.value, entry, bitmap, seen);
      this.#bitmaps.set(name, bitmap);
    }
    return [...this.#bitmaps.values()];
  }

  async add(bitmap: DirtyBitmap): Promise<void> {
    this.#checkNew(bitmap);
    using guard = await this.#owner.state.lock({ who: "bitmaps" });
    // The header may have no room to say that there are bitmaps: better known now than when the image is closed.
    await planHeader({ owner: this.#owner, metadata: guard.value }, { count: 1, directoryLength: 0, directoryOffset: 0 });
    this.#bitmaps.set(bitmap.name, bitmap);
  }

  async change(bitmap: DirtyBitmap): Promise<void> {
    using guard = await this.#owner.state.lock({ who: "bitmaps" });
    await this.#markInUse(guard.value, ({ name }) => name === bitmap.name);
  }

  async remove({ name }: DirtyBitmap): Promise<void> {
    const { bitmaps } = this.#owner.description;
    const dropped = bitmaps.filter((entry) => entry.name === name);
    if (dropped.length > 0) {
      await this.#change((change) =>
        changeDirectory(change, dropped, () => Promise.resolve(bitmaps.filter((entry) => entry.name !== name))),
      );
    }
    this.#bitmaps.delete(name);
  }

  checkResize(size: number): void {
    for (const { name, granularity, inconsistent } of this.#bitmaps.values()) {
      if (inconsistent || isKeepable(size, granularity)) continue;
      throw this.#refused("UNSUPPORTED_FEATURE", `bitmap '${name}' would take too much space for a disk of ${size} bytes`);
    }
  }

  async store(): Promise<void> {
    const { bitmaps } = this.#owner.description;
    const outdated = bitmaps.filter((entry) => isInUse(entry) && this.#bitmaps.get(entry.name)?.inconsistent === false);
    const known = new Set(bitmaps.map(({ name }) => name));
    const added = [...this.#bitmaps.values()].filter(({ name }) => !known.has(name));
    if (outdated.length === 0 && added.length === 0) return;
    await this.#change((change) =>
      changeDirectory(change, outdated, async (tables) => {
        const entries: Bitmap[] = [];
        for (const entry of bitmaps) entries.push(outdated.includes(entry) ? await this.#write(change, tables, entry) : entry);
        for (const bitmap of added) entries.push(await this.#write(change, tables, newEntry(bitmap)));
        return entries;
      }),
    );
  }

  /** Before the first change of the disk: all that follow it. Where nobody has asked for the bitmaps, nobody follows for any of them. */
  markFollowing(metadata: Metadata): Promise<void> {
    return this.#markInUse(metadata, ({ name }) => this.#bitmaps.get(name)?.enabled ?? true);
  }

  /** Before the disk gets another size, for which no bitmap on disk has the right number of bits. */
  async markAll(): Promise<void> {
    using guard = await this.#owner.state.lock({ who: "bitmaps" });
    await this.#markInUse(guard.value, () => true);
  }

  /** In place, each flag in one write within a sector; on stable storage when it returns. */
  async #markInUse({ file }: Metadata, isMarked: (entry: Bitmap) => boolean): Promise<void> {
    const { description, size } = this.#owner;
    const { bitmaps, extensions } = description;
    if (!bitmaps.some((entry) => !isInUse(entry) && isMarked(entry))) return;
    const directory = extensions.bitmaps;
    assert(directory !== undefined, "bitmaps that count have a directory");
    const { flagsAt } = encodeBitmapDirectory(bitmaps);
    const marked: Bitmap[] = [];
    for (const [index, entry] of bitmaps.entries()) {
      if (isInUse(entry) || !isMarked(entry)) {
        marked.push(entry);
        continue;
      }
      const flags = entry.flags + BITMAP_IN_USE;
      const bytes = new Uint8Array(4);
      viewOf(bytes).setUint32(0, flags);
      await file.write(directory.directoryOffset + (flagsAt[index] ?? 0), bytes);
      marked.push({ ...entry, flags });
    }
    await file.flush();
    this.#owner.changed({ ...description, bitmaps: marked }, size);
  }

  async #change(work: (change: BitmapsChange) => Promise<void>): Promise<void> {
    using guard = await this.#owner.state.lock({ who: "bitmaps" });
    const { writable } = guard.value;
    assert(writable !== undefined, "an image whose bitmaps change was opened for writing");
    await work({ owner: this.#owner, metadata: guard.value, writable });
  }

  async #write({ metadata }: BitmapsChange, tables: NewTables, entry: Bitmap): Promise<Bitmap> {
    const bitmap = this.#bitmaps.get(entry.name);
    assert(bitmap !== undefined, "a bitmap that is written is in memory");
    const flags = entry.flags - (isInUse(entry) ? BITMAP_IN_USE : 0) - (isAuto(entry.flags) ? BITMAP_AUTO : 0);
    return { ...entry, ...(await writeBits(metadata, tables, bitmap)), flags: flags + (bitmap.enabled ? BITMAP_AUTO : 0) };
  }

  /** QEMU's rules and words. */
  #checkNew({ name, granularity, size }: DirtyBitmap): void {
    const refuse = (code: BlockErrorCode, reason: string): never => {
      throw this.#refused(code, `Can't make bitmap '${name}' persistent in '${this.#owner.context.nodeName}': ${reason}`);
    };
    if (!isStorableName(name)) refuse("INVALID_OPTION", "Name is no text without NUL");
    const nameBytes = Buffer.byteLength(name);
    const { bitmaps, extensions } = this.#owner.description;
    const onDisk = new Set(bitmaps.map((entry) => entry.name));
    const added = [...this.#bitmaps.keys(), name].filter((other) => !onDisk.has(other));
    const length = added.reduce(
      (sum, other) => sum + directoryEntryLength(other),
      bitmaps.length > 0 ? (extensions.bitmaps?.directoryLength ?? 0) : 0,
    );
    if (!this.canKeep) refuse("UNSUPPORTED_FEATURE", "Cannot store dirty bitmaps in qcow2 v2 files");
    if (granularity > MAX_GRANULARITY) refuse("INVALID_OPTION", `Granularity exceeds maximum (${MAX_GRANULARITY} bytes)`);
    if (granularity < MIN_GRANULARITY) refuse("INVALID_OPTION", `Granularity is under minimum (${MIN_GRANULARITY} bytes)`);
    if (nameBytes > MAX_NAME_BYTES) refuse("INVALID_OPTION", `Name length exceeds maximum (${MAX_NAME_BYTES} characters)`);
    if (!isKeepable(size, granularity)) refuse("INVALID_OPTION", "Too much space will be occupied by the bitmap. Use larger granularity");
    if (bitmaps.length + added.length > MAX_BITMAPS) refuse("INVALID_OPTION", "Maximum number of persistent bitmaps is already reached");
    if (length > MAX_BITMAP_DIRECTORY_BYTES) refuse("INVALID_OPTION", "Not enough space in the bitmap directory");
  }

  #refused(code: BlockErrorCode, reason: string): BlockError {
    return new BlockError(code, reason, { node: this.#owner.context.nodeName });
  }
}

/** On disk it may be outdated: by who keeps it up now, or by who did not close the image. */
function isInUse({ flags }: Bitmap): boolean {
  return (flags & BITMAP_IN_USE) !== 0;
}

function isAuto(flags: number): boolean {
  return (flags & BITMAP_AUTO) !== 0;
}

/** Whether its bits are not too many. */
function isKeepable(size: number, granularity: number): boolean {
  return Math.ceil(size / granularity / 8) <= MAX_BITMAP_DATA_BYTES;
}

/** Of one that is not on disk yet. */
function newEntry({ name, granularity }: DirtyBitmap): Bitmap {
  return { name, granularity, flags: 0, tableOffset: 0, tableEntries: 0, raw: { name: Buffer.from(name), extra: new Uint8Array(0) } };
}
