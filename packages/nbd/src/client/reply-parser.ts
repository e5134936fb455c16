/** Takes the replies of a server apart as their bytes come, and leads data to where it belongs. */

import { CHUNK, CHUNK_DONE, nameOfCode } from "../protocol/codes.ts";
import {
  DATA_PREFIX_LENGTH,
  decodeBlockStatus,
  decodeError,
  decodeHole,
  HOLE_LENGTH,
  MAX_ERROR_LENGTH,
  MAX_EXTENTS,
} from "../protocol/chunk.ts";
import { expectPeer, ProtocolError } from "../protocol/protocol-error.ts";
import {
  CHUNK_HEADER_LENGTH,
  decodeReply,
  replyHeaderLength,
  type ReplyHeader,
  type ReplyStyle,
  SIMPLE_REPLY_LENGTH,
} from "../protocol/reply.ts";
import { wide } from "../protocol/request.ts";
import type { ByteConsumer } from "../transport/byte-stream.ts";
import type { PendingReply } from "./operation.ts";

/** The requests that are waited for. */
export interface Pending {
  /** Throws ProtocolError for a cookie that is nobody's. */
  find(header: ReplyHeader): PendingReply;
  /** Its reply is complete. */
  remove(header: ReplyHeader): void;
}

const ERROR_BIT = 0x8000;
/** The longest block status that is taken: with compact and with extended headers, bytes. */
const STATUS_LENGTH = { compact: 4 + 8 * MAX_EXTENTS, extended: 8 + 16 * MAX_EXTENTS } as const;

type State = "start" | "header" | "prefix" | "data" | "payload";
type ChunkHead = Extract<ReplyHeader, { kind: "chunk" }>;

/** `filled` throws ProtocolError: the connection is then of no more use. */
export class ReplyParser implements ByteConsumer {
  readonly #style: ReplyStyle;
  readonly #allocationId: number | undefined;
  readonly #pending: Pending;
  readonly #header: Buffer = Buffer.allocUnsafeSlow(CHUNK_HEADER_LENGTH.extended);
  readonly #prefix: Buffer = Buffer.allocUnsafeSlow(DATA_PREFIX_LENGTH);
  #state: State = "start";
  #target: Uint8Array;
  #headerLength = SIMPLE_REPLY_LENGTH;
  #chunk: ReplyHeader | undefined;
  #payload: Buffer | undefined;

  constructor(style: ReplyStyle, allocationId: number | undefined, pending: Pending) {
    this.#style = style;
    this.#allocationId = allocationId;
    this.#pending = pending;
    this.#target = this.#header.subarray(0, SIMPLE_REPLY_LENGTH);
  }

  get target(): Uint8Array {
    return this.#target;
  }

  /** Between two replies. */
  get idle(): boolean {
    return this.#state === "start";
  }

  filled(): void {
    switch (this.#state) {
      case "start":
        return this.#begin();
      case "header":
        return this.#headerDone();
      case "prefix":
        return this.#data();
      case "data":
        return this.#chunkDone();
      case "payload":
        return this.#payloadDone();
    }
  }

  /** All headers are at least as long as the simple one. */
  #begin(): void {
    this.#headerLength = replyHeaderLength(this.#header, this.#style);
    if (this.#headerLength === SIMPLE_REPLY_LENGTH) return this.#headerDone();
    this.#want("header", this.#header.subarray(SIMPLE_REPLY_LENGTH, this.#headerLength));
  }

  #headerDone(): void {
    const header = decodeReply(this.#header.subarray(0, this.#headerLength));
    this.#chunk = header;
    if (header.kind === "simple") this.#simple(header);
    else this.#chunkBegins(header);
  }

  #simple(header: Extract<ReplyHeader, { kind: "simple" }>): void {
    const reply = this.#pending.find(header);
    const { target, offset } = reply.operation;
    expectPeer(
      target === undefined || this.#style === "simple",
      "a read is answered with a simple reply, although structured ones were agreed on",
    );
    if (header.error !== 0) reply.fail(header.error, "");
    else if (target !== undefined) return this.#want("data", reply.claim(offset, target.length));
    this.#chunkDone();
  }

  #chunkBegins({ flags, type, length }: ChunkHead): void {
    expectPeer((flags & ~CHUNK_DONE) === 0, `a reply chunk has flags ${flags}`);
    const name = nameOfCode(CHUNK, type);
    const isDone = flags === CHUNK_DONE;
    switch (type) {
      case CHUNK.none:
        expectPeer(length === 0 && isDone, "a chunk of type NONE has a payload, or is not the last");
        return this.#chunkDone();
      case CHUNK.data:
        expectPeer(length > DATA_PREFIX_LENGTH, `a ${name} chunk has a payload of ${length} bytes`);
        return this.#want("prefix", this.#prefix);
      case CHUNK.hole:
        expectPeer(length === HOLE_LENGTH, `a ${name} chunk has a payload of ${length} bytes`);
        break;
      case CHUNK.blockStatus:
      case CHUNK.blockStatusExtended: {
        const extended = type === CHUNK.blockStatusExtended;
        expectPeer(extended === (this.#style === "extended"), `a ${name} chunk comes with ${this.#style} replies`);
        expectPeer(
          length > 8 && length <= (extended ? STATUS_LENGTH.extended : STATUS_LENGTH.compact),
          `a ${name} chunk has a payload of ${length} bytes`,
        );
        break;
      }
      default:
        expectPeer((type & ERROR_BIT) !== 0, `a reply chunk is of the unknown type ${type}`);
        expectPeer(length >= 6 && length <= MAX_ERROR_LENGTH, `an error chunk has a payload of ${length} bytes`);
    }
    this.#payload = Buffer.allocUnsafe(length);
    this.#want("payload", this.#payload);
  }

  #data(): void {
    const header = this.#current();
    const offset = wide(this.#prefix.readUInt32BE(0), this.#prefix.readUInt32BE(4));
    this.#want("data", this.#pending.find(header).claim(offset, header.length - DATA_PREFIX_LENGTH));
  }

  #payloadDone(): void {
    const header = this.#current();
    const payload = this.#payload ?? Buffer.alloc(0);
    const reply = this.#pending.find(header);
    const { type } = header;
    if (type === CHUNK.hole) {
      const { offset, length } = decodeHole(payload);
      reply.claim(offset, length).fill(0);
    } else if (type === CHUNK.blockStatus || type === CHUNK.blockStatusExtended) {
      reply.status(decodeBlockStatus(payload, type === CHUNK.blockStatusExtended), this.#allocationId);
    } else if (type === CHUNK.error || type === CHUNK.errorOffset) {
      const { errno, message } = decodeError(payload, type === CHUNK.errorOffset);
      reply.fail(errno, message);
    } else {
      reply.fail(payload.readUInt32BE(0), `error chunk of type ${type}`);
    }
    this.#payload = undefined;
    this.#chunkDone();
  }

  #chunkDone(): void {
    const header = this.#chunk;
    if (header === undefined) throw new ProtocolError("a chunk ends that has not begun");
    const reply = this.#pending.find(header);
    if (header.kind === "simple" || header.flags === CHUNK_DONE) {
      // An incomplete reply throws, and its request ends with the others of the connection.
      reply.finish();
      this.#pending.remove(header);
    }
    this.#chunk = undefined;
    this.#want("start", this.#header.subarray(0, SIMPLE_REPLY_LENGTH));
  }

  #current(): ChunkHead {
    const header = this.#chunk;
    if (header?.kind !== "chunk") throw new ProtocolError("a payload comes without a chunk");
    return header;
  }

  #want(state: State, target: Uint8Array): void {
    this.#state = state;
    this.#target = target;
  }
}
