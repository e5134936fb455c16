/** The file of an image with its header: read once, changed by read-modify-write. */

import { type BlockChild, BlockError, type NamedFile } from "@coblock/core";
import { Geometry } from "./geometry.ts";
import {
  BACKING_FILE,
  HEADER_LENGTH,
  nameProblem,
  NEED_CHECK,
  NO_PROBE,
  parseHeader,
  type QedHeader,
  SECTOR_SIZE,
  writeHeader,
} from "./header.ts";

/** Between two places for long names; the smallest header is one cluster of 4 KiB. */
const NAME_ROOM = 1024;

type HeaderChange = Partial<Pick<QedHeader, "features" | "autoclearFeatures" | "imageSize" | "backingNameOffset" | "backingNameLength">>;

export class QedFile {
  readonly child: BlockChild;
  readonly geometry: Geometry;
  #backing: NamedFile | undefined;
  #header: QedHeader;

  private constructor(child: BlockChild, header: QedHeader, backing: NamedFile | undefined) {
    this.child = child;
    this.geometry = new Geometry(header);
    this.#backing = backing;
    this.#header = header;
  }

  /** Throws `CORRUPT_IMAGE` or `UNSUPPORTED_FEATURE` where the header breaks a rule of the format. */
  static async read(child: BlockChild): Promise<QedFile> {
    const bytes = new Uint8Array(Math.min(HEADER_LENGTH, child.size));
    await child.read(0, bytes);
    const header = parseHeader(bytes, child.fileName, child.size);
    return new QedFile(child, header, await readBacking(child, header));
  }

  /** As the header names it. */
  get backing(): NamedFile | undefined {
    return this.#backing;
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
   * Names another backing file. A name that does not fit behind the fields, in the sector that is written with them, goes to a place that
   * the old one does not have: it shows with the fields, which are one sector. Throws INVALID_OPTION, before anything is written.
   */
  async changeBacking(backing: NamedFile | undefined): Promise<void> {
    const { features, compatFeatures, backingNameOffset: oldOffset, backingNameLength: oldLength } = this.#header;
    const name = new TextEncoder().encode(backing?.filename ?? "");
    const problem = compatFeatures === 0n ? nameProblem(name) : "features yet unknown may use the space behind its header";
    if (problem !== undefined) throw new BlockError("INVALID_OPTION", `${this.child.fileName}: ${problem}`);
    const inSector = HEADER_LENGTH + name.length <= SECTOR_SIZE;
    const [first, second] = [SECTOR_SIZE, SECTOR_SIZE + NAME_ROOM];
    const backingNameOffset = inSector ? HEADER_LENGTH : oldOffset < second && oldOffset + oldLength > first ? second : first;
    if (!inSector) {
      await this.child.write(backingNameOffset, name);
      await this.child.flush();
    }
    const flags = name.length === 0 ? 0n : BACKING_FILE | (backing?.format === "raw" ? NO_PROBE : 0n);
    const change = { features: (features & ~(BACKING_FILE | NO_PROBE)) | flags, backingNameOffset, backingNameLength: name.length };
    await this.updateHeader(name.length === 0 ? { ...change, backingNameOffset: 0 } : change, inSector ? name : undefined);
    this.#backing = name.length === 0 ? undefined : backing;
  }

  /** Writes the changed fields and flushes. The bytes behind the known fields may belong to features yet unknown: they stay. */
  async updateHeader(change: HeaderChange, name?: Uint8Array): Promise<void> {
    const next = { ...this.#header, ...change };
    const sector = new Uint8Array(SECTOR_SIZE);
    await this.child.read(0, sector);
    writeHeader(sector, next);
    if (name !== undefined) sector.set(name, HEADER_LENGTH);
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
