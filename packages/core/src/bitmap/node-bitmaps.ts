/** The dirty bitmaps of a node: who makes, changes and removes them, and the list of those that follow the node's changes. */

import { BlockError, type BlockErrorCode } from "../errors.ts";
import type { ImageInfo, MaybePromise } from "../driver.ts";
import { checkGranularity, defaultGranularity, DirtyBitmap } from "./dirty-bitmap.ts";
import type { ImageBitmaps } from "./image-bitmaps.ts";

/** What a new bitmap shall be. */
export interface NewBitmap {
  readonly name: string;
  /** Bytes. Default: the cluster size, but 4 KiB to 64 KiB. */
  readonly granularity?: number | undefined;
  /** The image keeps it. Default false. */
  readonly persistent?: boolean;
  /** Whether it follows changes. Default true. */
  readonly enabled?: boolean;
}

/** The node, as its bitmaps see it. */
export interface NodeBitmapsParts {
  readonly nodeName: string;
  readonly fileName: string;
  readonly readOnly: boolean;
  /** Those of the image; absent where its format keeps none. */
  readonly bitmaps: ImageBitmaps | undefined;
  /** What `bitmaps.load` has answered, where it was asked already. */
  readonly loaded: readonly DirtyBitmap[] | undefined;
  readonly size: () => number;
  readonly info: () => MaybePromise<ImageInfo>;
  readonly exclusive: <T>(section: () => Promise<T>) => Promise<T>;
  /** These follow changes from now on; absent: none. */
  readonly follow: (bitmaps: readonly DirtyBitmap[] | undefined) => void;
}

/**
 * A bitmap is made, changed and removed while no request is in flight, so it misses nothing. Methods reject with NOT_FOUND,
 * INVALID_OPTION, NOT_ALLOWED where it is busy, inconsistent or of another size, READ_ONLY and UNSUPPORTED_FEATURE.
 */
export class NodeBitmaps {
  readonly #parts: NodeBitmapsParts;
  readonly #bitmaps = new Map<string, DirtyBitmap>();
  #loading: Promise<void> | undefined;

  constructor(parts: NodeBitmapsParts) {
    this.#parts = parts;
    if (parts.loaded === undefined) return;
    this.#loading = Promise.resolve();
    this.#take(parts.loaded);
  }

  /** Whether the image can keep bitmaps, were it writable. */
  get canKeep(): boolean {
    return this.#parts.bitmaps?.canKeep ?? false;
  }

  /** All that are known: the image's own are not, in a read-only node, before they are asked for. */
  get loaded(): readonly DirtyBitmap[] {
    return [...this.#bitmaps.values()];
  }

  /** Reads the bitmaps that the image keeps. A writable image has done so when it is open. Throws CORRUPT_IMAGE, IO. */
  async load(): Promise<void> {
    this.#loading ??= this.#load();
    try {
      await this.#loading;
    } catch (error) {
      this.#loading = undefined;
      throw error;
    }
    // A node may have grown by a write.
    this.resized();
  }

  /** All, those of the image first. */
  async all(): Promise<readonly DirtyBitmap[]> {
    await this.load();
    return this.loaded;
  }

  /** Throws NOT_FOUND. */
  async get(name: string): Promise<DirtyBitmap> {
    await this.load();
    return this.#found(name);
  }

  /** A clean one. What changes from now on is in it. */
  async add({ name, granularity, persistent = false, enabled = true }: NewBitmap): Promise<DirtyBitmap> {
    const { bitmaps, exclusive, info, nodeName, size } = this.#parts;
    if (name === "") throw this.#refused("INVALID_OPTION", "Bitmap name cannot be empty");
    if (granularity !== undefined) checkGranularity(granularity, nodeName);
    if (persistent) this.#checkKeeps();
    await this.load();
    return exclusive(async () => {
      if (this.#bitmaps.has(name)) throw this.#refused("INVALID_OPTION", `Bitmap already exists: ${name}`);
      const chosen = granularity ?? defaultGranularity((await info()).clusterSize);
      const bitmap = new DirtyBitmap({ name, granularity: chosen, size: size(), persistent, enabled });
      if (persistent) await bitmaps?.add(bitmap);
      this.#bitmaps.set(name, bitmap);
      this.#follow();
      return bitmap;
    });
  }

  /** From the node, and from the image where that keeps it. An inconsistent one can be removed, too. */
  remove(name: string): Promise<void> {
    return this.#alone(name, async (bitmap) => {
      if (bitmap.persistent) await this.#parts.bitmaps?.remove(bitmap);
      this.#bitmaps.delete(name);
      this.#follow();
    });
  }

  /** Nothing has changed, by this bitmap. */
  clear(name: string): Promise<void> {
    return this.#change(name, (bitmap) => bitmap.clear());
  }

  /** It follows changes from now on. */
  enable(name: string): Promise<void> {
    return this.#setEnabled(name, true);
  }

  /** It keeps what it has, and follows no changes. */
  disable(name: string): Promise<void> {
    return this.#setEnabled(name, false);
  }

  /** What changed by any of `sources`, of this node or others, has changed by `name`, too; with all of them or, on failure, none. */
  merge(name: string, sources: readonly (string | DirtyBitmap)[]): Promise<void> {
    return this.#change(name, (target) => {
      const found = sources.map((source) => (typeof source === "string" ? this.#found(source) : source));
      for (const source of found) {
        this.#checkUsable(source);
        if (source.size !== target.size)
          throw this.#refused(
            "NOT_ALLOWED",
            `Bitmaps are of different sizes (destination size is ${target.size}, source size is ${source.size}) and can't be merged`,
          );
      }
      for (const source of found) if (source !== target) target.merge(source);
    });
  }

  /** @internal In exclusive mode, before the disk gets another size. */
  checkResize(size: number): void {
    for (const bitmap of this.#bitmaps.values()) this.#checkBusy(bitmap);
    this.#parts.bitmaps?.checkResize(size);
  }

  /** @internal In exclusive mode: the disk has the size that it has now. */
  resized(): void {
    for (const bitmap of this.#bitmaps.values()) bitmap.resize(this.#parts.size());
  }

  async #load(): Promise<void> {
    this.#take((await this.#parts.bitmaps?.load()) ?? []);
  }

  #take(bitmaps: readonly DirtyBitmap[]): void {
    for (const bitmap of bitmaps) this.#bitmaps.set(bitmap.name, bitmap);
    this.#follow();
  }

  #setEnabled(name: string, enabled: boolean): Promise<void> {
    return this.#change(name, (bitmap) => {
      bitmap.setEnabled(enabled);
      this.#follow();
    });
  }

  /** One that the image keeps is marked as outdated there first. */
  #change(name: string, change: (bitmap: DirtyBitmap) => void): Promise<void> {
    return this.#alone(name, async (bitmap) => {
      this.#checkUsable(bitmap);
      if (bitmap.persistent) await this.#parts.bitmaps?.change(bitmap);
      change(bitmap);
    });
  }

  async #alone(name: string, work: (bitmap: DirtyBitmap) => Promise<void>): Promise<void> {
    await this.load();
    return this.#parts.exclusive(async () => {
      const bitmap = this.#found(name);
      this.#checkBusy(bitmap);
      if (bitmap.persistent) this.#checkKeeps();
      await work(bitmap);
    });
  }

  #found(name: string): DirtyBitmap {
    const bitmap = this.#bitmaps.get(name);
    if (bitmap === undefined) throw this.#refused("NOT_FOUND", `Dirty bitmap '${name}' not found`);
    return bitmap;
  }

  #checkUsable({ name, inconsistent }: DirtyBitmap): void {
    if (inconsistent) throw this.#refused("NOT_ALLOWED", `Bitmap '${name}' is inconsistent and cannot be used; it can only be removed`);
  }

  #checkBusy({ name, busy }: DirtyBitmap): void {
    if (busy) throw this.#refused("NOT_ALLOWED", `Bitmap '${name}' is currently in use by another operation and cannot be used`);
  }

  #checkKeeps(): void {
    const { bitmaps, fileName, readOnly } = this.#parts;
    if (bitmaps === undefined) throw this.#refused("UNSUPPORTED_FEATURE", `Can't store persistent bitmaps to ${fileName}`);
    if (readOnly) throw this.#refused("READ_ONLY", `${fileName} was opened read-only`);
  }

  #follow(): void {
    const enabled = this.loaded.filter((bitmap) => bitmap.enabled && !bitmap.inconsistent);
    this.#parts.follow(enabled.length === 0 ? undefined : enabled);
  }

  #refused(code: BlockErrorCode, message: string): BlockError {
    return new BlockError(code, message, { node: this.#parts.nodeName });
  }
}
