/** The file of an image with its header: read once, changed by read-modify-write. */

import { type BlockChild, BlockError } from "@coblock/core";

import { Geometry } from "./geometry.ts";
import { BACKING_FILE, HEADER_LENGTH, parseHeader, type QedHeader, SECTOR_SIZE, writeHeader } from "./header.ts";

export class QedFile {
  readonly child: BlockChild;
  readonly geometry: Geometry;
  /** As the header names it. */
  readonly backingName: string | undefined;
  #header: QedHeader;
  #headerIsCertain = true;

  private constructor(child: BlockChild, header: QedHeader, backingName: string | undefined) {
    this.child = child;
    this.geometry = new Geometry(header);
    this.backingName = backingName;
    this.#header = header;
  }

  /** Throws `CORRUPT_IMAGE` or `UNSUPPORTED_FEATURE` where the header breaks a rule of the format. */
  static async read(child: BlockChild): Promise<QedFile> {
    const bytes = new Uint8Array(Math.min(HEADER_LENGTH, child.size));
    await child.read(0, bytes);
    const header = parseHeader(bytes, child.fileName, child.size);
    return new QedFile(child, header, await readBackingName(child, header));
  }

  /** What is on stable storage, as far as is known. */
  get header(): QedHeader {
    return this.#header;
  }

  /** False after an `updateHeader` that failed: the file may hold the old fields or the new. */
  get headerIsCertain(): boolean {
    return this.#headerIsCertain;
  }

  /** Writes the changed fields and flushes. The bytes behind the known fields may belong to features yet unknown: they stay. */
  async updateHeader(change: Partial<Pick<QedHeader, "features" | "autoclearFeatures" | "imageSize">>): Promise<void> {
    const next = { ...this.#header, ...change };
    const sector = new Uint8Array(SECTOR_SIZE);
    await this.child.read(0, sector);
    writeHeader(sector, next);
    this.#headerIsCertain = false;
    await this.child.write(0, sector);
    await this.child.flush();
    this.#headerIsCertain = true;
    this.#header = next;
  }
}

/** An empty name is none, as QEMU has it. */
async function readBackingName(child: BlockChild, header: QedHeader): Promise<string | undefined> {
  const { features, backingNameOffset: offset, backingNameLength: length } = header;
  if ((features & BACKING_FILE) === 0n || length === 0) return undefined;
  const bytes = new Uint8Array(length);
  await child.read(offset, bytes);
  if (bytes.includes(0)) throw new BlockError("CORRUPT_IMAGE", `${child.fileName}: the backing file name contains a zero byte`, { offset });
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new BlockError("UNSUPPORTED_FEATURE", `${child.fileName}: the backing file name is not UTF-8`, { offset, cause });
  }
}
