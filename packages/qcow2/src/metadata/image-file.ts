/** The image file as metadata sees it: whole tables in and out, the fields of the header that change in place, and the mark of damage. */

import { BlockError, hex, type BlockChild, type BlockEvent, type MaybePromise, type OpenContext } from "@coblock/core";
import { CORRUPT, DIRTY } from "../format/features.ts";
import {
  encodeDiskSwitch,
  encodeFeatures,
  encodeL1Switch,
  encodeRefcountTableSwitch,
  encodeSnapshotsSwitch,
  type Header,
  HEADER_AT,
} from "../format/header.ts";
import { bytesOf64, viewOf } from "../format/words.ts";
import type { TableBytes } from "./table-bytes.ts";

/** What metadata needs of the image around it. */
export type ImageFileContext = Pick<OpenContext, "nodeName" | "fileName" | "readOnly" | "fail">;

export class ImageFile {
  readonly child: BlockChild;
  readonly #context: ImageFileContext;
  readonly #version: 2 | 3;
  #incompatible: bigint;
  #autoclear: bigint;
  #failed = false;
  #countsBehind = false;

  constructor(child: BlockChild, header: Pick<Header, "version" | "incompatible" | "autoclear">, context: ImageFileContext) {
    this.child = child;
    this.#context = context;
    this.#version = header.version;
    this.#incompatible = header.incompatible;
    this.#autoclear = header.autoclear;
  }

  get size(): number {
    return this.child.size;
  }

  get incompatible(): bigint {
    return this.#incompatible;
  }

  get autoclear(): bigint {
    return this.#autoclear;
  }

  /** Nothing may be written any more. */
  get failed(): boolean {
    return this.#failed;
  }

  /** The image says on disk that its refcounts are not kept up, since `markDirty`. */
  get countsBehind(): boolean {
    return this.#countsBehind;
  }

  /** Says what is about to be done to the file. */
  event(name: BlockEvent): MaybePromise<void> {
    return this.child.event(name);
  }

  /** A whole table, announced by `event`; throws CORRUPT_IMAGE where the file ends before it does. `what` names it. */
  loadTable(what: string, event: BlockEvent, offset: number, length: number): MaybePromise<Uint8Array> {
    const suspended = this.child.event(event);
    return suspended === undefined ? this.readTable(what, offset, length) : suspended.then(() => this.readTable(what, offset, length));
  }

  /** As `loadTable`, without a word. */
  readTable(what: string, offset: number, length: number): MaybePromise<Uint8Array> {
    if (offset + length > this.child.size) {
      throw this.corrupt(
        `${what} at offset ${hex(offset)} is ${length} bytes long and ends past the end of the file, which is ${this.child.size} bytes long`,
        offset,
      );
    }
    const bytes = new Uint8Array(length);
    const pending = this.child.read(offset, bytes);
    return pending === undefined ? bytes : pending.then(() => bytes);
  }

  write(offset: number, bytes: Uint8Array): MaybePromise<void> {
    return this.child.write(offset, bytes);
  }

  /** Writes what is dirty in a table that lies at `offset`; it is clean afterwards. The driver lock keeps it still meanwhile, also at `event`. */
  async writeTable(event: BlockEvent, offset: number, table: TableBytes): Promise<void> {
    await this.child.event(event);
    for (const run of table.dirtyRuns()) await this.child.write(offset + run.at, run.bytes);
    table.clean();
  }

  flush(): MaybePromise<void> {
    return this.child.flush();
  }

  // The caller of a switch has flushed what the header is to point to. Where a switch fails, the image fails: nobody knows which table
  // the disk has, and what would be written to the other one would be lost.

  /** Points the header to another L1 table. */
  switchL1(entries: number, offset: number): Promise<void> {
    return this.#switchOrFail(HEADER_AT.l1, encodeL1Switch(entries, offset));
  }

  /** Points the header to another refcount table. */
  switchRefcountTable(offset: number, clusters: number): Promise<void> {
    return this.#switchOrFail(HEADER_AT.refcountTable, encodeRefcountTableSwitch(offset, clusters));
  }

  /** Points the header to another snapshot table. */
  switchSnapshots(count: number, offset: number): Promise<void> {
    return this.#switchOrFail(HEADER_AT.snapshots, encodeSnapshotsSwitch(count, offset));
  }

  /** Makes another disk of the image, with its size and L1 table. */
  switchDisk(disk: Pick<Header, "size" | "cryptMethod" | "l1Entries" | "l1Offset">): Promise<void> {
    return this.#switchOrFail(HEADER_AT.size, encodeDiskSwitch(disk));
  }

  /** Points the header to another refcount table, whose refcounts are `2 ** order` bits wide. */
  async switchRefcountWidth(order: number, offset: number, clusters: number): Promise<void> {
    const fields = new Uint8Array(HEADER_AT.refcountOrder + 4 - HEADER_AT.refcountTable);
    await this.child.read(HEADER_AT.refcountTable, fields);
    fields.set(encodeRefcountTableSwitch(offset, clusters));
    viewOf(fields).setUint32(fields.length - 4, order);
    await this.#switchOrFail(HEADER_AT.refcountTable, fields);
  }

  /** Changes the header by steps of which each is on disk before the next; `autoclear` is what it says afterwards. */
  async changeHeader(steps: readonly { readonly at: number; readonly bytes: Uint8Array }[], autoclear: bigint): Promise<void> {
    for (const { at, bytes } of steps) await this.#switchOrFail(at, bytes);
    this.#autoclear = autoclear;
  }

  /** Makes the disk larger, by the size alone. */
  setSize(size: number): Promise<void> {
    return this.#switchOrFail(HEADER_AT.size, bytesOf64(size));
  }

  /** Clears autoclear features; they are on disk before anything is changed that they speak of. */
  async clearAutoclear(flags: bigint): Promise<void> {
    if ((this.#autoclear & flags) === 0n) return;
    const left = this.#autoclear & ~flags;
    await this.child.write(HEADER_AT.autoclear, encodeFeatures(left));
    await this.child.flush();
    this.#autoclear = left;
  }

  /** Says on stable storage that the refcounts are not kept up. qcow2 spec, "dirty bit". */
  async markDirty(): Promise<void> {
    if (this.#countsBehind) return;
    await this.#setIncompatible(this.#incompatible | DIRTY);
    this.#countsBehind = true;
  }

  /** Takes back what `markDirty` said, when the refcounts are right on stable storage. */
  async markClean(): Promise<void> {
    if (!this.#countsBehind) return;
    await this.#setIncompatible(this.#incompatible & ~DIRTY);
    this.#countsBehind = false;
  }

  /** Refcounts have no room for another owner. */
  tooManyReferences(cluster: number, bits: number): BlockError {
    const message = `${this.#context.fileName}: cluster ${cluster} would have more references than refcounts of ${bits} bits can hold`;
    return new BlockError("OUT_OF_RANGE", message, { node: this.#context.nodeName });
  }

  /** An error of this image. */
  corrupt(message: string, offset: number): BlockError {
    return new BlockError("CORRUPT_IMAGE", `${this.#context.fileName}: ${message}`, { node: this.#context.nodeName, offset });
  }

  /** The image file cannot take more. */
  noSpace(reason: string): BlockError {
    return new BlockError("NO_SPACE", `${this.#context.fileName}: no space left: ${reason}`, { node: this.#context.nodeName });
  }

  /**
   * Metadata is not what it should be, and going on would damage the image further: all later I/O fails, and a version 3 image says
   * on disk that it is corrupt. Rejects with `error` in any case.
   */
  async failDamaged(error: BlockError): Promise<never> {
    this.#fail(error);
    if (this.#version === 3 && !this.#context.readOnly && (this.#incompatible & CORRUPT) === 0n) {
      try {
        await this.#setIncompatible(this.#incompatible | CORRUPT);
      } catch (cause) {
        throw new BlockError("CORRUPT_IMAGE", `${error.message}; and the image could not be marked as corrupt`, {
          cause,
          node: error.node,
          offset: error.offset,
        });
      }
    }
    throw error;
  }

  async #switchOrFail(at: number, bytes: Uint8Array): Promise<void> {
    try {
      await this.child.write(at, bytes);
      await this.child.flush();
    } catch (cause) {
      const message = `${this.#context.fileName}: the header could not be changed, and what is on disk is not known until it is opened anew`;
      const error = new BlockError("IO", message, { node: this.#context.nodeName, offset: at, cause });
      this.#fail(error);
      throw error;
    }
  }

  /** In memory first: a write that fails may have reached the disk, and what is set there must not be forgotten by the next one. */
  async #setIncompatible(flags: bigint): Promise<void> {
    const before = this.#incompatible;
    this.#incompatible = flags | before;
    await this.child.write(HEADER_AT.incompatible, encodeFeatures(flags));
    await this.child.flush();
    this.#incompatible = flags;
  }

  #fail(error: BlockError): void {
    this.#failed = true;
    this.#context.fail(error);
  }
}
