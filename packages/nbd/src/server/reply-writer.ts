/** Answers requests on one connection, in the style that was agreed on. */

import { CHUNK, CHUNK_DONE } from "../protocol/codes.ts";
import { type ContextStatus, DATA_PREFIX_LENGTH, encodeBlockStatus, encodeError, encodeHole } from "../protocol/chunk.ts";
import { CHUNK_HEADER_LENGTH, type ReplyStyle, SIMPLE_REPLY_LENGTH, writeChunkHeader, writeSimpleReply } from "../protocol/reply.ts";
import { type RequestHeader, writeWide } from "../protocol/request.ts";
import type { Outbox } from "../transport/outbox.ts";

/** Bytes in front of data that are kept free in its buffer, for the longest header. */
export const HEADROOM: number = CHUNK_HEADER_LENGTH.extended + DATA_PREFIX_LENGTH;

/** Bytes that were read: `buffer` has the data behind its headroom. */
export interface ReadData {
  readonly buffer: Buffer;
  readonly offset: number;
  readonly length: number;
}

export class ReplyWriter {
  readonly #outbox: Outbox;
  readonly #style: ReplyStyle;

  constructor(outbox: Outbox, style: ReplyStyle) {
    this.#outbox = outbox;
    this.#style = style;
  }

  /** Whether a reply may come in pieces. */
  get canSplit(): boolean {
    return this.#style !== "simple";
  }

  /** Data of a read; `written` is called when the buffer is free. */
  data(request: RequestHeader, { buffer, offset, length }: ReadData, isLast: boolean, written: () => void): void {
    if (this.#style === "simple") {
      const start = HEADROOM - SIMPLE_REPLY_LENGTH;
      writeSimpleReply(buffer, start, request, 0);
      this.#outbox.push(buffer.subarray(start, HEADROOM + length), written);
      return;
    }
    const start = HEADROOM - DATA_PREFIX_LENGTH - CHUNK_HEADER_LENGTH[this.#style];
    const at = start + this.#header(buffer, start, request, CHUNK.data, isLast, length + DATA_PREFIX_LENGTH);
    writeWide(buffer, at, offset);
    this.#outbox.push(buffer.subarray(start, HEADROOM + length), written);
  }

  /** Zeros of a read, without their bytes. Not for simple replies. */
  hole(request: RequestHeader, offset: number, length: number, isLast: boolean): void {
    this.#chunk(request, CHUNK.hole, encodeHole(offset, length), isLast);
  }

  status(request: RequestHeader, statuses: readonly ContextStatus[]): void {
    const extended = this.#style === "extended";
    const type = extended ? CHUNK.blockStatusExtended : CHUNK.blockStatus;
    for (const [index, status] of statuses.entries())
      this.#chunk(request, type, encodeBlockStatus(status, extended), index === statuses.length - 1);
  }

  /** Success that has no data. */
  done(request: RequestHeader): void {
    if (this.#style === "simple") this.#simple(request, 0);
    else this.#chunk(request, CHUNK.none, Buffer.alloc(0), true);
  }

  error(request: RequestHeader, errno: number, message: string): void {
    if (this.#style === "simple") this.#simple(request, errno);
    else this.#chunk(request, CHUNK.error, encodeError(errno, message), true);
  }

  #simple(request: RequestHeader, errno: number): void {
    const reply = Buffer.allocUnsafe(SIMPLE_REPLY_LENGTH);
    writeSimpleReply(reply, 0, request, errno);
    this.#outbox.push(reply);
  }

  #chunk(request: RequestHeader, type: number, payload: Buffer, isLast: boolean): void {
    const bytes = Buffer.allocUnsafe(CHUNK_HEADER_LENGTH[this.#style === "extended" ? "extended" : "structured"] + payload.length);
    const at = this.#header(bytes, 0, request, type, isLast, payload.length);
    payload.copy(bytes, at);
    this.#outbox.push(bytes);
  }

  #header(into: Buffer, at: number, request: RequestHeader, type: number, isLast: boolean, length: number): number {
    const { cookieHigh, cookieLow, offset } = request;
    const chunk = { type, flags: isLast ? CHUNK_DONE : 0, length, cookieHigh, cookieLow, requestOffset: offset };
    return writeChunkHeader(into, at, chunk, this.#style === "extended");
  }
}
