/** Buffers for payloads, used again: a fresh one costs more than reading into it. */

/** Bytes that a pool keeps at the most, and the smallest and the largest buffer that it keeps. */
const KEPT_LENGTH = 32 * 1024 * 1024;
const SMALLEST = 4096;
const LARGEST = 4 * 1024 * 1024;

/** Buffers hold what was in them before: whoever takes one fills it. */
export class BufferPool {
  readonly #headroom: number;
  readonly #free: Map<number, Buffer[]> = new Map();
  #kept = 0;

  /** Each buffer has `headroom` bytes more, so that a payload of a power of two takes no buffer of the next one. */
  constructor(headroom: number) {
    this.#headroom = headroom;
  }

  /** At least `length` bytes and the headroom. */
  take(length: number): Buffer {
    const size = sizeFor(length);
    const found = this.#free.get(size)?.pop();
    if (found === undefined) return Buffer.allocUnsafeSlow(size + this.#headroom);
    this.#kept -= size;
    return found;
  }

  /** `buffer` came from `take` and is used no more. */
  give(buffer: Buffer): void {
    const size = buffer.length - this.#headroom;
    if (size > LARGEST || this.#kept + size > KEPT_LENGTH) return;
    this.#kept += size;
    const free = this.#free.get(size);
    if (free === undefined) this.#free.set(size, [buffer]);
    else free.push(buffer);
  }
}

/** The power of two that holds `length`; longer buffers than are kept are as long as they must be. */
function sizeFor(length: number): number {
  return length > LARGEST ? length : Math.max(SMALLEST, 2 ** Math.ceil(Math.log2(length)));
}
