/** Writes that compress: a request is cut into the format's units, these are compressed beside each other, and stored in order. */

import type { IoOptions, MappedImage } from "../driver.ts";
import { assert } from "../errors.ts";
import { PieceTasks } from "./piece-tasks.ts";
import type { MappedWriter } from "./writer.ts";

/** Units that are compressed before the first of them is stored. */
const UNITS_AT_A_TIME = 16;

/** Bytes of one unit; `stored` is absent where they are to be written as they are. */
interface Unit {
  readonly offset: number;
  readonly bytes: Uint8Array;
  stored: Uint8Array | undefined;
}

export class CompressedWriter {
  readonly #image: MappedImage;
  readonly #writer: MappedWriter;

  constructor(image: MappedImage, writer: MappedWriter) {
    this.#image = image;
    this.#writer = writer;
  }

  /** Whole units, compressed where that saves space; the last one may end with the disk. What is no whole unit is written as it is. */
  async write(offset: number, from: Uint8Array, options: IoOptions | undefined): Promise<void> {
    const { compressionUnit } = this.#image;
    if (compressionUnit === undefined) return this.#writer.write(offset, from, options);
    await this.#writer.prepare();
    for (let done = 0; done < from.length;) {
      options?.signal?.throwIfAborted();
      const units: Unit[] = [];
      for (; done < from.length && units.length < UNITS_AT_A_TIME; done += units[units.length - 1]?.bytes.length ?? 0)
        units.push(unitAt(offset + done, from.subarray(done), compressionUnit));
      await this.#compress(units, compressionUnit);
      await this.#store(units, compressionUnit);
    }
  }

  async #compress(units: readonly Unit[], unitLength: number): Promise<void> {
    const pieces = new PieceTasks();
    for (const unit of units) if (this.#isUnit(unit, unitLength)) pieces.start(() => this.#compressUnit(unit, unitLength));
    await pieces.settled();
  }

  async #compressUnit(unit: Unit, unitLength: number): Promise<void> {
    const { bytes } = unit;
    assert(this.#image.encode !== undefined, "a format with a compression unit encodes");
    unit.stored = await this.#image.encode(bytes.length === unitLength ? bytes : padded(bytes, unitLength));
  }

  /** What has begun is finished, whatever a signal says. Neighbours that stay as they are are one write. */
  async #store(units: readonly Unit[], unitLength: number): Promise<void> {
    const pieces = new PieceTasks();
    for (let index = 0; index < units.length && !pieces.failed;) {
      const first = units[index];
      assert(first !== undefined, "the index is below the length");
      const { offset, stored } = first;
      index++;
      if (stored !== undefined) pieces.start(() => this.#writer.writeStored(offset, unitLength, stored));
      else {
        let length = first.bytes.length;
        for (let next = units[index]; next !== undefined && next.stored === undefined; next = units[++index]) length += next.bytes.length;
        const bytes = new Uint8Array(first.bytes.buffer, first.bytes.byteOffset, length);
        pieces.start(() => this.#writer.write(offset, bytes, undefined));
      }
    }
    await pieces.settled();
  }

  /** A whole unit, or what the disk has of its last one: nothing else may be padded with zeros. */
  #isUnit({ offset, bytes: { length } }: Unit, unitLength: number): boolean {
    return offset % unitLength === 0 && (length === unitLength || offset + length === this.#image.size);
  }
}

function unitAt(offset: number, from: Uint8Array, unitLength: number): Unit {
  return { offset, bytes: from.subarray(0, unitLength - (offset % unitLength)), stored: undefined };
}

function padded(bytes: Uint8Array, length: number): Uint8Array {
  const whole = new Uint8Array(length);
  whole.set(bytes);
  return whole;
}
