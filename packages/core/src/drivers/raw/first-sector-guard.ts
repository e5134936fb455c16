/** Keeps a guest from turning a raw disk whose format was guessed into another format. */

import type { BlockChild } from "../../child.ts";
import { CoMutex } from "../../coroutine/mutex.ts";
import type { IoOptions, OpenContext, ResizeOptions, ZeroOptions } from "../../driver.ts";
import { BlockError } from "../../errors.ts";
import { formatOfFirstSector } from "./image-magics.ts";

/** Bytes at the start of the file in which formats are recognised. */
export const FIRST_SECTOR_LENGTH = 512;

/**
 * A guest that writes the header of another format into its disk would choose, at the next opening, what its host opens: a header
 * names backing files. So each change is judged by what the sector would become, one at a time: two partial writes that are
 * harmless alone may spell a header together.
 */
export class FirstSectorGuard {
  readonly #file: BlockChild;
  readonly #context: OpenContext;
  readonly #sector: CoMutex;

  constructor(file: BlockChild, context: OpenContext) {
    this.#file = file;
    this.#context = context;
    this.#sector = new CoMutex(`${context.nodeName} first sector`, context.clock);
  }

  /** `offset` lies in the first sector. Throws NOT_ALLOWED. */
  async write(offset: number, from: Uint8Array, options: IoOptions | undefined): Promise<void> {
    using _held = await this.#sector.lock(options);
    await this.#judge("write", (sector) => sector.set(from.subarray(0, FIRST_SECTOR_LENGTH - offset), offset));
    await this.#file.write(offset, from, options);
  }

  /** As `write`: zeros may be what a magic number lacks. */
  async writeZeroes(offset: number, length: number, options: ZeroOptions | undefined): Promise<void> {
    using _held = await this.#sector.lock(options);
    await this.#judge("write zeroes", (sector) => sector.fill(0, offset, offset + length));
    await this.#file.writeZeroes(offset, length, options);
  }

  /** To less than a sector: what is cut off comes back as zeros. */
  async resize(size: number, options: ResizeOptions): Promise<void> {
    using _held = await this.#sector.lock();
    await this.#judge("resize", (sector) => sector.fill(0, size));
    await this.#file.resize(size, options);
  }

  async #judge(what: string, change: (sector: Uint8Array) => void): Promise<void> {
    const sector = new Uint8Array(FIRST_SECTOR_LENGTH);
    await this.#file.read(0, sector.subarray(0, Math.min(FIRST_SECTOR_LENGTH, this.#file.size)));
    change(sector);
    const format = formatOfFirstSector(sector);
    if (format === undefined) return;
    const { fileName, nodeName: node } = this.#context;
    const message = `'${fileName}' was guessed to be raw, and this ${what} would make it look like a ${format} image; open it with driver 'raw' given explicitly to allow that`;
    throw new BlockError("NOT_ALLOWED", message, { node, offset: 0 });
  }
}
