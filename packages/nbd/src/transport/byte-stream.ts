/** What comes in on a socket, as its reader asks for it. */

import { assert, type MaybePromise } from "@coblock/core";
import { ConnectionLost } from "./connection-lost.ts";

/** The socket, as far as it can be told to hold back. */
export interface Flow {
  pause(): unknown;
  resume(): unknown;
}

/** Takes bytes as they come, without a coroutine in between. */
export interface ByteConsumer {
  /** Where the next bytes go; all of it will be filled. Never empty. */
  readonly target: Uint8Array;
  /** `target` is filled: sets another one. Throws for bytes that should not be. */
  filled(): void;
}

/** Bytes that may lie here before the peer is made to wait. */
const HIGH_WATER = 256 * 1024;
/** Bytes of a target from which on the socket reads right into it. */
const DIRECT_LENGTH = 8 * 1024;
const STAGING_LENGTH = 64 * 1024;

/**
 * One reader at a time. It pulls (`take`, `read`, `readInto`), or sets a consumer for good. When the peer leaves between two messages a
 * reader hears `undefined`; in the middle of one it gets ConnectionLost.
 */
export class ByteStream {
  readonly #flow: Flow;
  readonly #chunks: Buffer[] = [];
  /** Bytes of the first chunk that are taken. */
  #head = 0;
  #buffered = 0;
  #received = 0;
  #paused = false;
  #ended: { readonly error: Error | undefined } | undefined;
  #waiter: { readonly needed: number; readonly wake: () => void } | undefined;
  #fill: { readonly target: Uint8Array; at: number } | undefined;
  #consumer: ByteConsumer | undefined;
  #consumed = 0;
  #staging: Buffer | undefined;
  #tellEnd: ((error: Error | undefined) => void) | undefined;

  constructor(flow: Flow) {
    this.#flow = flow;
  }

  /** Bytes that came and that nobody has asked for. */
  get buffered(): number {
    return this.#buffered;
  }

  /** Bytes that have come so far. */
  get received(): number {
    return this.#received;
  }

  /** Whether no more will come than has come. */
  get ended(): boolean {
    return this.#ended !== undefined;
  }

  /** The next `length` bytes, if they are there; valid as long as the caller likes. */
  take(length: number): Buffer | undefined {
    const [first] = this.#chunks;
    if (first === undefined || this.#buffered < length) return undefined;
    if (first.length - this.#head < length) return this.#join(length);
    const taken = first.subarray(this.#head, this.#head + length);
    this.#drop(length);
    return taken;
  }

  /** The next `length` bytes when they are there; `undefined` where the stream ends in front of them. */
  async read(length: number): Promise<Buffer | undefined> {
    while (this.#buffered < length) {
      if (this.#ended !== undefined) return this.#endOf(this.#ended);
      await this.#wait(length);
    }
    return this.take(length);
  }

  /** `read` in the middle of a message. */
  async readRest(length: number): Promise<Buffer> {
    if (length === 0) return Buffer.alloc(0);
    const bytes = await this.read(length);
    if (bytes === undefined) throw cutShort();
    return bytes;
  }

  /** Fills all of `target`, in the middle of a message. After a failure the socket may still write to it: nobody else may have it then. */
  readInto(target: Uint8Array): MaybePromise<void> {
    const at = Math.min(this.#buffered, target.length);
    for (let done = 0; done < at;) {
      const [first] = this.#chunks;
      if (first === undefined) break;
      const piece = first.subarray(this.#head, this.#head + Math.min(at - done, first.length - this.#head));
      target.set(piece, done);
      done += piece.length;
      this.#drop(piece.length);
    }
    return at === target.length ? undefined : this.#fillRest(target, at);
  }

  /** From now on everything goes to `consumer`. */
  consume(consumer: ByteConsumer): void {
    this.#consumer = consumer;
    const chunks = this.#chunks.splice(0);
    const head = this.#head;
    this.#head = 0;
    this.#buffered = 0;
    for (const [index, chunk] of chunks.entries()) this.#deliver(index === 0 ? chunk.subarray(head) : chunk);
    if (this.#paused) this.#resume();
  }

  /** Bytes came; `chunk` is the stream's own from now on. A consumer's objection is thrown. */
  receive(chunk: Buffer): void {
    this.#received += chunk.length;
    if (this.#consumer !== undefined) return this.#deliver(chunk);
    const rest = this.#fill === undefined ? chunk : this.#fillFrom(this.#fill, chunk);
    if (rest.length > 0) {
      this.#chunks.push(rest);
      this.#buffered += rest.length;
    }
    if (this.#waiter !== undefined && this.#buffered >= this.#waiter.needed) this.#wake();
    if (this.#buffered > HIGH_WATER && this.#waiter === undefined && !this.#paused) {
      this.#paused = true;
      this.#flow.pause();
    }
  }

  /** Where a socket that fills buffers of its user shall put what comes next. */
  nextBuffer(): Uint8Array {
    const consumer = this.#consumer;
    if (consumer !== undefined && consumer.target.length - this.#consumed >= DIRECT_LENGTH) return consumer.target.subarray(this.#consumed);
    const fill = this.#fill;
    if (fill !== undefined && fill.target.length - fill.at >= DIRECT_LENGTH) return fill.target.subarray(fill.at);
    return (this.#staging ??= Buffer.allocUnsafeSlow(STAGING_LENGTH));
  }

  /** `length` bytes came into `buffer`, which `nextBuffer` had named. */
  receiveInto(length: number, buffer: Uint8Array): void {
    const consumer = this.#consumer;
    if (buffer !== this.#staging) {
      this.#received += length;
      if (consumer === undefined) return this.#filled(length);
      this.#consumed += length;
      if (this.#consumed === consumer.target.length) this.#next(consumer);
    } else if (consumer !== undefined) {
      this.#received += length;
      this.#deliver(this.#staging.subarray(0, length));
    } else {
      this.receive(Buffer.from(this.#staging.subarray(0, length)));
    }
  }

  /** Nothing comes any more; with an error, readers hear of it. The first call counts. */
  end(error?: Error): void {
    if (this.#ended !== undefined) return;
    this.#ended = { error };
    this.#wake();
    this.#tellEnd?.(error);
  }

  /** Calls `tell` when nothing comes any more, at once if that is so already. */
  onEnd(tell: (error: Error | undefined) => void): void {
    if (this.#ended === undefined) this.#tellEnd = tell;
    else tell(this.#ended.error);
  }

  #deliver(chunk: Buffer): void {
    const consumer = this.#consumer;
    assert(consumer !== undefined, "bytes are delivered to a consumer");
    for (let at = 0; at < chunk.length;) {
      const { target } = consumer;
      const length = Math.min(chunk.length - at, target.length - this.#consumed);
      chunk.copy(target, this.#consumed, at, at + length);
      at += length;
      this.#consumed += length;
      if (this.#consumed === target.length) this.#next(consumer);
    }
  }

  #next(consumer: ByteConsumer): void {
    this.#consumed = 0;
    consumer.filled();
  }

  #wait(needed: number): Promise<void> {
    assert(this.#waiter === undefined, "two readers wait for one stream");
    if (this.#paused) this.#resume();
    return new Promise((wake) => (this.#waiter = { needed, wake }));
  }

  #wake(): void {
    const waiter = this.#waiter;
    this.#waiter = undefined;
    waiter?.wake();
  }

  async #fillRest(target: Uint8Array, at: number): Promise<void> {
    const fill = { target, at };
    this.#fill = fill;
    while (fill.at < target.length) {
      if (this.#ended !== undefined) {
        this.#fill = undefined;
        throw this.#ended.error ?? cutShort();
      }
      // Woken by `#fillFrom`, or by the end.
      await this.#wait(Infinity);
    }
  }

  #fillFrom(fill: { readonly target: Uint8Array; at: number }, chunk: Buffer): Buffer {
    const length = Math.min(chunk.length, fill.target.length - fill.at);
    fill.target.set(chunk.subarray(0, length), fill.at);
    this.#filled(length);
    return chunk.subarray(length);
  }

  /** So many bytes more are in the buffer of whoever waits in `readInto`, if that one still waits. */
  #filled(length: number): void {
    const fill = this.#fill;
    if (fill === undefined) return;
    fill.at += length;
    if (fill.at < fill.target.length) return;
    this.#fill = undefined;
    this.#wake();
  }

  #join(length: number): Buffer {
    const joined = Buffer.allocUnsafe(length);
    for (let done = 0; done < length;) {
      const [first] = this.#chunks;
      if (first === undefined) break;
      const copied = first.copy(joined, done, this.#head, this.#head + length - done);
      done += copied;
      this.#drop(copied);
    }
    return joined;
  }

  /** The first `length` bytes, which lie in the first chunk, are taken. */
  #drop(length: number): void {
    this.#head += length;
    this.#buffered -= length;
    if (this.#head === this.#chunks[0]?.length) {
      this.#chunks.shift();
      this.#head = 0;
    }
    if (this.#paused && this.#buffered < HIGH_WATER / 2) this.#resume();
  }

  #resume(): void {
    this.#paused = false;
    this.#flow.resume();
  }

  #endOf({ error }: { readonly error: Error | undefined }): undefined {
    if (error !== undefined) throw error;
    if (this.#buffered > 0) throw cutShort();
    return undefined;
  }
}

function cutShort(): ConnectionLost {
  return new ConnectionLost("the peer closed the connection in the middle of a message");
}
