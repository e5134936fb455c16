/** One file of a `SimStorage`: what reads see, what a power cut cannot take back, and what is in between. */

/** A change that no flush covers yet: it may be on the disk after a power cut, in whole or in parts. */
export interface UnflushedChange {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** The file at the moment of a power cut. `changes` are in the order of their completion, those in flight last. */
export interface FileAtCut {
  readonly durable: Uint8Array;
  readonly size: number;
  readonly changes: readonly UnflushedChange[];
}

/** `serial` counts in the order of completion, and stays with what a resize leaves of a change. */
interface SerialChange extends UnflushedChange {
  readonly serial: number;
}

/** Grows with the writes past its end; what lies between reads as zeros. */
export class SimFile {
  #bytes: Uint8Array;
  #size: number;
  /** Never changed in place, so that a cut can keep it. */
  #durable: Uint8Array;
  #unflushed: readonly SerialChange[] = [];
  #serial = 0;

  /** `content` is on the disk for good. */
  constructor(content: Uint8Array) {
    // A Buffer's `slice` is no copy.
    this.#bytes = new Uint8Array(content);
    this.#size = content.length;
    this.#durable = new Uint8Array(content);
  }

  get size(): number {
    return this.#size;
  }

  /** A copy of all bytes. */
  snapshot(): Uint8Array {
    return this.#bytes.slice(0, this.#size);
  }

  read(offset: number, into: Uint8Array): void {
    into.set(this.#bytes.subarray(offset, Math.min(offset + into.length, this.#size)));
  }

  /** `bytes` must not change any more. */
  write(offset: number, bytes: Uint8Array): void {
    this.#reach(offset + bytes.length);
    this.#bytes.set(bytes, offset);
    this.#unflushed = [...this.#unflushed, { offset, bytes, serial: ++this.#serial }];
  }

  /** A new size is on the disk at once: file systems journal it. */
  resize(size: number): void {
    if (size > this.#size) this.#reach(size);
    else this.#bytes.fill(0, size, this.#size);
    this.#size = size;
    this.#durable = resized(this.#durable, size);
    this.#unflushed = this.#unflushed
      .filter(({ offset }) => offset < size)
      .map((change) => ({ ...change, bytes: change.bytes.subarray(0, size - change.offset) }));
  }

  /** What a flush that begins now will cover; calling it makes that durable. */
  beginFlush(): () => void {
    const last = this.#serial;
    return () => this.#makeDurable(last);
  }

  /** `inFlight`: writes that have begun, and may have reached the disk in part. */
  atCut(inFlight: readonly UnflushedChange[]): FileAtCut {
    return { durable: this.#durable, size: this.#size, changes: [...this.#unflushed, ...inFlight] };
  }

  /** All changes up to the one with the serial `last`. */
  #makeDurable(last: number): void {
    const covered = this.#unflushed.filter(({ serial }) => serial <= last);
    const end = Math.max(this.#durable.length, ...covered.map(({ offset, bytes }) => offset + bytes.length));
    const durable = resized(this.#durable, end);
    for (const { offset, bytes } of covered) durable.set(bytes, offset);
    this.#durable = durable;
    this.#unflushed = this.#unflushed.filter(({ serial }) => serial > last);
  }

  #reach(size: number): void {
    if (size > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(size, this.#bytes.length * 2));
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    this.#size = Math.max(this.#size, size);
  }
}

function resized(bytes: Uint8Array, size: number): Uint8Array {
  const copy = new Uint8Array(size);
  copy.set(bytes.subarray(0, size));
  return copy;
}
