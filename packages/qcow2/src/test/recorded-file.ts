/** A file in memory, under the name of the memory driver, that keeps a log for power cuts, and fails when it is told to. */

import { type BlockDriver, BlockError, type DriverEntry } from "@coblock/core";

const SECTOR = 512;

/** A file in memory that keeps a log of what was written and flushed. */
export class RecordedFile {
  bytes: Buffer;
  readonly log: ({ readonly kind: "write"; readonly offset: number; readonly bytes: Buffer } | { readonly kind: "flush" })[] = [];

  constructor(bytes: Uint8Array) {
    this.bytes = Buffer.from(bytes);
  }

  /** Changes and flushes that succeed until one fails; that one alone. */
  operationsUntilFailure: number = Number.POSITIVE_INFINITY;

  write(offset: number, bytes: Uint8Array): void {
    this.#fail();
    this.bytes = grown(this.bytes, offset + bytes.length);
    this.bytes.set(bytes, offset);
    this.log.push({ kind: "write", offset, bytes: Buffer.from(bytes) });
  }

  get driver(): DriverEntry {
    const image = {
      size: 0,
      limits: { requestAlignment: 1 },
      growable: true,
      read: (offset: number, into: Uint8Array) => into.set(this.bytes.subarray(offset, offset + into.length)),
      write: (offset: number, from: Uint8Array) => this.write(offset, from),
      // Discarded bytes are no longer known; here they are never zero.
      discard: (offset: number, length: number) => this.write(offset, Buffer.alloc(length, 0xdd)),
      flush: () => this.#flush(),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
    Object.defineProperty(image, "size", { get: () => this.bytes.length });
    const driver: BlockDriver = { name: "memory", kind: "protocol", optionNames: [], open: () => Promise.resolve(image) };
    return { name: "memory", kind: "protocol", load: () => Promise.resolve(driver) };
  }

  /** What a cut after `length` entries of the log may leave: everything before the last flush, of the rest what `chosen` says. */
  cut(original: Uint8Array, length: number, chosen: () => boolean): Buffer {
    const flushed = this.log.slice(0, length).findLastIndex(({ kind }) => kind === "flush");
    let bytes: Buffer = Buffer.from(original);
    for (const [index, entry] of this.log.slice(0, length).entries()) {
      if (entry.kind === "flush") continue;
      for (let at = 0; at < entry.bytes.length; at += SECTOR - ((entry.offset + at) % SECTOR)) {
        const part = entry.bytes.subarray(at, at + SECTOR - ((entry.offset + at) % SECTOR));
        if (index > flushed && !chosen()) continue;
        bytes = grown(bytes, entry.offset + at + part.length);
        bytes.set(part, entry.offset + at);
      }
    }
    return bytes;
  }

  #flush(): void {
    this.#fail();
    this.log.push({ kind: "flush" });
  }

  #fail(): void {
    if (this.operationsUntilFailure-- === 0) throw new BlockError("IO", "this operation was to fail");
  }
}

function grown(bytes: Buffer, length: number): Buffer {
  return bytes.length >= length ? bytes : Buffer.concat([bytes, Buffer.alloc(length - bytes.length)]);
}
