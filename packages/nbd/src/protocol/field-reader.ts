/** Reads the fields of one message in order; every number is big-endian and every length is checked. */

import { MAX_STRING_LENGTH } from "./codes.ts";
import { ProtocolError } from "./protocol-error.ts";

/** Decodes strictly: a name with bytes that are no UTF-8 is no name. */
const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** `what` names the message in the errors. Methods throw `ProtocolError` where it ends too early or a value is none. */
export class FieldReader {
  readonly #bytes: Buffer;
  readonly #what: string;
  #at = 0;

  constructor(bytes: Buffer, what: string) {
    this.#bytes = bytes;
    this.#what = what;
  }

  /** Bytes that were not read yet. */
  get left(): number {
    return this.#bytes.length - this.#at;
  }

  u16(): number {
    return this.#bytes.readUInt16BE(this.#advance(2));
  }

  u32(): number {
    return this.#bytes.readUInt32BE(this.#advance(4));
  }

  u64(): bigint {
    return this.#bytes.readBigUInt64BE(this.#advance(8));
  }

  /** A size or an offset: 64 bits of which 53 may be used. */
  size(): number {
    const value = this.u64();
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new ProtocolError(`${this.#what} has ${value} where at most 2^53 - 1 can be used`);
    return Number(value);
  }

  /** A string of `length` bytes, without NUL. */
  text(length: number): string {
    if (length > MAX_STRING_LENGTH)
      throw new ProtocolError(`${this.#what} has a string of ${length} bytes, longer than ${MAX_STRING_LENGTH}`);
    const start = this.#advance(length);
    const bytes = this.#bytes.subarray(start, start + length);
    if (bytes.includes(0)) throw new ProtocolError(`${this.#what} has a string with a zero byte`);
    try {
      return UTF8.decode(bytes);
    } catch {
      throw new ProtocolError(`${this.#what} has a string that is not UTF-8`);
    }
  }

  /** A string behind its length. */
  countedText(): string {
    return this.text(this.u32());
  }

  /** Everything must have been read. */
  end(): void {
    if (this.left > 0) throw new ProtocolError(`${this.#what} has ${this.left} bytes too many`);
  }

  #advance(length: number): number {
    const at = this.#at;
    if (length > this.left) throw new ProtocolError(`${this.#what} ends ${length - this.left} bytes too early`);
    this.#at += length;
    return at;
  }
}
