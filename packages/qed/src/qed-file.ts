/** The file of an image with its header: read once, changed by read-modify-write. */

import { type BlockChild, BlockError, type NamedFile } from "@coblock/core";
import { Geometry } from "./geometry.ts";
import { BACKING_FILE, encodeBacking, NEED_CHECK, NO_PROBE, parseHeader, type QedHeader, SECTOR_SIZE, writeHeader } from "./header.ts";

/** Behind the sector of the fields, in the 4 KiB that the smallest header has; no name is long enough to lie in both. */
const NAME_PLACES = [512, 2560] as const;

export class QedFile {
  readonly child: BlockChild;
  readonly geometry: Geometry;
  /** As the header names it. */
  backing: NamedFile | undefined;
  #header: QedHeader;

  private constructor(child: BlockChild, header: QedHeader, backing: NamedFile | undefined) {
    this.child = child;
    this.geometry = new Geometry(header);
    this.backing = backing;
    this.#header = header;
  }

  /** Throws `CORRUPT_IMAGE` or `UNSUPPORTED_FEATURE` where the header breaks a rule of the format. */
  static async read(child: BlockChild): Promise<QedFile> {
    const bytes = new Uint8Array(Math.min(SECTOR_SIZE, child.size));
    await child.read(0, bytes);
    const header = parseHeader(bytes, child.fileName, child.size);
    return new QedFile(child, header, await readBacking(child, header));
  }

  /** What is on stable storage. */
  get header(): QedHeader {
    return this.#header;
  }

  /** NEED_CHECK is set. */
  get needsCheck(): boolean {
    return (this.#header.features & NEED_CHECK) !== 0n;
  }

  /** Nothing of the metadata can be inconsistent from now on, or it can. On stable storage when this returns. */
  async setNeedCheck(needed: boolean): Promise<void> {
    const others = this.#header.features & ~NEED_CHECK;
    await this.updateHeader({ features: needed ? others | NEED_CHECK : others });
  }

  /**
   * Names another backing file. The name goes where the old one is not, and shows with the fields, which are one sector. Throws
   * INVALID_OPTION, before anything is written.
   */
  async changeBacking(backing: NamedFile | undefined): Promise<void> {
    const { features, compatFeatures, backingNameOffset: oldOffset, backingNameLength: oldLength } = this.#header;
    const { name, flags, problem } = encodeBacking(backing);
    const reason = compatFeatures === 0n ? problem : "features yet unknown may use the space behind its header";
    if (reason !== undefined) throw new BlockError("INVALID_OPTION", `${this.child.fileName}: ${reason}`);
    const [first, second] = NAME_PLACES;
    const backingNameOffset = oldOffset < second && oldOffset + oldLength > first ? second : first;
    await this.child.write(backingNameOffset, name);
    await this.child.flush();
    await this.updateHeader({ features: (features & NEED_CHECK) | flags, backingNameOffset, backingNameLength: name.length });
    this.backing = name.length === 0 ? undefined : backing;
  }

  /** Writes the changed fields and flushes. The bytes behind the known fields may belong to features yet unknown: they stay. */
  async updateHeader(change: Partial<QedHeader>): Promise<void> {
    const next = { ...this.#header, ...change };
    const sector = new Uint8Array(SECTOR_SIZE);
    await this.child.read(0, sector);
    writeHeader(sector, next);
    try {
      await this.child.write(0, sector);
      await this.child.flush();
      this.#header = next;
    } catch (error) {
      // The file may hold the old fields or the new: who needs the mark has to write it again.
      this.#header = { ...this.#header, features: this.#header.features & ~NEED_CHECK };
      throw error;
    }
  }
}

/** An empty name is none, as QEMU has it. */
async function readBacking(child: BlockChild, header: QedHeader): Promise<NamedFile | undefined> {
  const { features, backingNameOffset: offset, backingNameLength: length } = header;
  if ((features & BACKING_FILE) === 0n || length === 0) return undefined;
  const bytes = new Uint8Array(length);
  await child.read(offset, bytes);
  if (bytes.includes(0)) throw new BlockError("CORRUPT_IMAGE", `${child.fileName}: the backing file name contains a zero byte`, { offset });
  const filename = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  return (features & NO_PROBE) === 0n ? { filename } : { filename, format: "raw" };
}
