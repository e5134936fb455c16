/** The enciphered disk behind the key slots, as an image. */

import {
  alignUp,
  type AmendOptions,
  assert,
  type BlockChild,
  BlockError,
  type BlockImage,
  type CreateValue,
  type ImageInfo,
  type ImageLimits,
  type IoOptions,
  type MaybePromise,
  type OpenContext,
  type ResizeOptions,
} from "@coblock/core";
import { changeSlots, describeLuks, type LuksHeader, SECTOR_LENGTH, type SectorCipher, slotChangeOf } from "@coblock/crypto";
import type { LuksArea } from "./luks-area.ts";

/** Bytes that are enciphered at a time: so much memory does a request take beside its own. */
const MAX_TRANSFER = 1024 * 1024;

/** What the passphrase gave. */
export interface UnlockedDisk {
  readonly masterKey: Uint8Array;
  readonly cipher: SectorCipher;
}

export interface LuksImageParts {
  readonly area: LuksArea;
  /** Or why the disk cannot be read: then it only tells of itself. */
  readonly unlocked: UnlockedDisk | BlockError;
  readonly context: OpenContext;
}

/** Sectors are numbered from the beginning of the disk. */
export class LuksImage implements BlockImage {
  readonly limits: ImageLimits = { requestAlignment: SECTOR_LENGTH, maxTransfer: MAX_TRANSFER };
  readonly newSpaceReads = "anything";
  readonly #parts: LuksImageParts;
  readonly #file: BlockChild;
  readonly #cipher: SectorCipher | BlockError;
  #header: LuksHeader;

  constructor(parts: LuksImageParts) {
    const { area, unlocked } = parts;
    this.#parts = parts;
    this.#file = area.file;
    this.#header = area.header;
    this.#cipher = unlocked instanceof BlockError ? unlocked : unlocked.cipher;
  }

  /** A file may end in the middle of a sector: zeros are missing. */
  get size(): number {
    return alignUp(this.#file.size - this.#header.payloadOffset, SECTOR_LENGTH);
  }

  read(offset: number, into: Uint8Array, options?: IoOptions): MaybePromise<void> {
    const cipher = this.#unlocked();
    const at = this.#header.payloadOffset + offset;
    const stored = into.subarray(0, Math.min(into.length, this.#file.size - at));
    into.fill(0, stored.length);
    const reading = this.#file.read(at, stored, options);
    const decrypt = (): void => cipher.decrypt(offset / SECTOR_LENGTH, into, into);
    return reading instanceof Promise ? reading.then(decrypt) : decrypt();
  }

  write(offset: number, from: Uint8Array, options?: IoOptions): MaybePromise<void> {
    const bytes = new Uint8Array(from.length);
    this.#unlocked().encrypt(offset / SECTOR_LENGTH, from, bytes);
    return this.#file.write(this.#header.payloadOffset + offset, bytes, options);
  }

  flush(options?: IoOptions): MaybePromise<void> {
    return this.#file.flush(options);
  }

  async resize(size: number, options: ResizeOptions): Promise<void> {
    const preallocation = options.preallocation === "metadata" ? "off" : options.preallocation;
    await this.#file.resize(this.#header.payloadOffset + alignUp(size, SECTOR_LENGTH), { ...options, preallocation });
  }

  /** Changes key slots: the disk stays as it is, and so does the key that it is enciphered with. */
  async amend(values: Readonly<Record<string, CreateValue>>, { signal, force = false }: AmendOptions): Promise<void> {
    const { area, unlocked, context } = this.#parts;
    assert(!(unlocked instanceof BlockError), "a disk that is amended was opened for writing, with its key");
    const { clock, entropy, offload } = context;
    const secret = (id: string): Uint8Array => context.secret(id);
    const change = slotChangeOf(values, "");
    this.#header = await changeSlots(change, {
      area: area.slots,
      masterKey: unlocked.masterKey,
      clock,
      entropy,
      offload,
      secret,
      signal,
      force,
    });
  }

  info(): ImageInfo {
    return { encrypted: true, formatSpecific: { type: "luks", data: describeLuks(this.#header, { embedded: false }) } };
  }

  /** The child is the node's to close. */
  async [Symbol.asyncDispose](): Promise<void> {}

  #unlocked(): SectorCipher {
    if (this.#cipher instanceof BlockError) throw this.#cipher;
    return this.#cipher;
  }
}
