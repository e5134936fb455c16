/** Does what a request asks for on the export's node, and has it answered. */

import { BlockError, isZero } from "@coblock/core";
import { COMMAND, COMMAND_FLAG, nameOfCode } from "../protocol/codes.ts";
import { ERRNO, errnoOf } from "../protocol/error-number.ts";
import type { RequestHeader } from "../protocol/request.ts";
import type { BufferPool } from "../transport/buffer-pool.ts";
import type { Agreement } from "./handshake.ts";
import { HEADROOM, type ReplyWriter } from "./reply-writer.ts";
import { collectRuns } from "./status-runs.ts";

/** Counts bytes of a reply that stay in memory until they are sent; the result is called then. */
export type KeepMemory = (bytes: number) => () => void;

export interface RequestServerParts {
  readonly agreement: Agreement;
  readonly pool: BufferPool;
  readonly writer: ReplyWriter;
  /** Whether no further request will come: then what only helps later ones is given up. */
  readonly isEnding: () => boolean;
}

/** Shorter reads are not looked at for holes: the look costs more than their bytes. */
const HOLE_LENGTH = 64 * 1024;
/** Bytes that CACHE reads at a time. */
const CACHE_PIECE_LENGTH = 1024 * 1024;
/** Runs in one answer: 512 KiB of them. A client that wants more asks again from where they end. */
const MAX_RUNS = 64 * 1024;
/** Bytes of a run in memory and on the wire. */
const RUN_LENGTH = 16;

/** A refusal that has its own number on the wire. */
class Refused extends Error {
  readonly errno: number;

  constructor(errno: number, message: string) {
    super(message);
    this.errno = errno;
  }
}

/** Whether bytes follow the request's header. */
export function hasPayload({ command, flags }: RequestHeader, extended: boolean): boolean {
  return extended ? (flags & COMMAND_FLAG.payload) !== 0 : command === COMMAND.write;
}

/** The requests of one connection; each is answered once. */
export class RequestServer {
  readonly #agreement: Agreement;
  readonly #pool: BufferPool;
  readonly #writer: ReplyWriter;
  readonly #isEnding: () => boolean;

  constructor({ agreement, pool, writer, isEnding }: RequestServerParts) {
    this.#agreement = agreement;
    this.#pool = pool;
    this.#writer = writer;
    this.#isEnding = isEnding;
  }

  /** Bytes that answering takes. */
  replyMemory({ command, length }: RequestHeader): number {
    if (command === COMMAND.read) return Math.min(length, this.#agreement.served.blockSizes.maximum);
    if (command === COMMAND.blockStatus) return this.#agreement.contexts.length * MAX_RUNS * RUN_LENGTH;
    return command === COMMAND.cache ? CACHE_PIECE_LENGTH : 0;
  }

  /** Answers the request, whatever becomes of it; never rejects. */
  async serve(request: RequestHeader, payload: Buffer | undefined, keep: KeepMemory): Promise<void> {
    try {
      this.#check(request, payload);
      if (request.command === COMMAND.read) await this.#read(request, keep);
      else if (request.command === COMMAND.blockStatus) await this.#blockStatus(request, payload);
      else {
        await this.#change(request, payload);
        this.#writer.done(request);
      }
    } catch (error) {
      const errno = error instanceof Refused ? error.errno : errnoOf(error);
      this.#writer.error(request, errno, error instanceof Error ? error.message : String(error));
    }
  }

  /** Throws what the protocol has to say of requests that do not fit. proto.md, "Request types" and "Error values". */
  #check({ command, flags, offset, length }: RequestHeader, payload: Buffer | undefined): void {
    const { served, style, contexts } = this.#agreement;
    const known = COMMAND_FLAGS[command];
    if (known === undefined) throw new Refused(ERRNO.invalid, `request ${nameOfCode(COMMAND, command)} is not known here`);
    const allowed = known + (style === "extended" && PAYLOAD_COMMANDS.includes(command) ? COMMAND_FLAG.payload : 0);
    if ((flags & ~allowed) !== 0)
      throw new Refused(ERRNO.invalid, `request ${nameOfCode(COMMAND, command)} has flags 0x${flags.toString(16)}`);
    const isChange = CHANGES.includes(command);
    if (isChange && !served.writable) throw new Refused(ERRNO.notPermitted, `export '${served.name}' is read-only`);
    if (command === COMMAND.write && style === "extended" && (flags & COMMAND_FLAG.payload) === 0)
      throw new Refused(ERRNO.invalid, `request ${nameOfCode(COMMAND, command)} does not say the length of its payload`);
    if (command === COMMAND.flush) return;
    if (command === COMMAND.blockStatus && contexts.length === 0) throw new Refused(ERRNO.invalid, "no metadata context was selected");
    if (command === COMMAND.blockStatus && payload !== undefined) return;
    this.#checkRange(command, offset, length);
    if (command === COMMAND.read && length > served.blockSizes.maximum)
      throw new Refused(
        ERRNO.overflow,
        `request ${nameOfCode(COMMAND, command)} of ${length} bytes is longer than ${served.blockSizes.maximum}`,
      );
  }

  #checkRange(command: number, offset: number, length: number): void {
    const { served } = this.#agreement;
    const { size, blockSizes } = served;
    if (offset > size || length > size - offset)
      throw new Refused(
        command === COMMAND.write || command === COMMAND.writeZeroes ? ERRNO.noSpace : ERRNO.invalid,
        `request ${nameOfCode(COMMAND, command)} of ${length} bytes at offset ${offset} goes past the end at ${size}`,
      );
    if (length === 0) throw new Refused(ERRNO.invalid, `request ${nameOfCode(COMMAND, command)} has length 0`);
    if (offset % blockSizes.minimum !== 0 || length % blockSizes.minimum !== 0)
      throw new Refused(
        ERRNO.invalid,
        `request ${nameOfCode(COMMAND, command)} of ${length} bytes at offset ${offset} is not of whole ${blockSizes.minimum}-byte blocks`,
      );
  }

  async #change({ command, flags, offset, length }: RequestHeader, payload: Buffer | undefined): Promise<void> {
    const { node, writeThrough, detectZeroes } = this.#agreement.served;
    const forceUnitAccess = writeThrough || (flags & COMMAND_FLAG.forceUnitAccess) !== 0;
    if (command === COMMAND.write && detectZeroes !== "off" && payload !== undefined && isZero(payload))
      return node.writeZeroes(offset, payload.length, { mayUnmap: detectZeroes === "unmap", forceUnitAccess });
    switch (command) {
      case COMMAND.write:
        return node.write(offset, payload ?? Buffer.alloc(0), { forceUnitAccess });
      case COMMAND.flush:
        return node.flush();
      case COMMAND.trim:
        return node.discard(offset, length, { forceUnitAccess });
      case COMMAND.cache:
        return this.#cache(offset, length);
      default:
        return this.#writeZeroes(flags, offset, length, forceUnitAccess);
    }
  }

  async #writeZeroes(flags: number, offset: number, length: number, forceUnitAccess: boolean): Promise<void> {
    const { node } = this.#agreement.served;
    const mustBeFast = (flags & COMMAND_FLAG.fastZero) !== 0;
    if (mustBeFast && node.requests.image.writeZeroes === undefined)
      throw new Refused(ERRNO.notSupported, "zeros are not faster than writing them");
    await node.writeZeroes(offset, length, { mayUnmap: (flags & COMMAND_FLAG.noHole) === 0, forceUnitAccess });
  }

  /** Reading brings data and tables into memory, of the host and of the chain. */
  async #cache(offset: number, length: number): Promise<void> {
    const buffer = this.#pool.take(CACHE_PIECE_LENGTH);
    try {
      for (let done = 0; done < length; done += CACHE_PIECE_LENGTH) {
        if (this.#isEnding()) throw new Refused(ERRNO.shutdown, "the connection ends");
        await this.#agreement.served.node.read(offset + done, buffer.subarray(0, Math.min(CACHE_PIECE_LENGTH, length - done)));
      }
    } finally {
      this.#pool.give(buffer);
    }
  }

  async #read(request: RequestHeader, keep: KeepMemory): Promise<void> {
    const { offset, length, flags } = request;
    const mayHaveHoles = this.#writer.canSplit && length >= HOLE_LENGTH && (flags & COMMAND_FLAG.dontFragment) === 0;
    if (!mayHaveHoles) return this.#readData(request, offset, length, true, keep);
    const context = this.#agreement.served.contexts[0];
    const runs =
      context === undefined ? [] : await collectRuns(context.runs(offset, length), { ...context, blockSize: 1, maxCount: MAX_RUNS });
    const end = offset + length;
    let at = offset;
    for (const { length: bytes, flags: hole } of runs) {
      if (hole === 0) await this.#readData(request, at, bytes, at + bytes === end, keep);
      else this.#writer.hole(request, at, bytes, at + bytes === end);
      at += bytes;
    }
    if (at < end) await this.#readData(request, at, end - at, true, keep);
  }

  async #readData(request: RequestHeader, offset: number, length: number, isLast: boolean, keep: KeepMemory): Promise<void> {
    const buffer = this.#pool.take(length);
    try {
      await this.#agreement.served.node.read(offset, buffer.subarray(HEADROOM, HEADROOM + length));
    } catch (error) {
      this.#pool.give(buffer);
      throw error;
    }
    const sent = keep(length);
    this.#writer.data(request, { buffer, offset, length }, isLast, () => {
      this.#pool.give(buffer);
      sent();
    });
  }

  async #blockStatus(request: RequestHeader, payload: Buffer | undefined): Promise<void> {
    const { contexts, served } = this.#agreement;
    const { length, chosen } = payload === undefined ? { length: request.length, chosen: undefined } : statusPayload(payload);
    this.#checkRange(request.command, request.offset, length);
    if (chosen?.some((id, index) => id < 1 || id > contexts.length || chosen.indexOf(id) !== index) === true)
      throw new Refused(ERRNO.invalid, "BLOCK_STATUS names contexts that were not selected, or one twice");
    const maxCount = (request.flags & COMMAND_FLAG.requestOne) === 0 ? MAX_RUNS : 1;
    const statuses = [];
    for (const [index, context] of contexts.entries()) {
      if (chosen !== undefined && !chosen.includes(index + 1)) continue;
      const source = context.runs(request.offset, length);
      const limits = { blockSize: served.blockSizes.minimum, combine: context.combine, maxCount };
      statuses.push({ contextId: index + 1, extents: await collectRuns(source, limits) });
    }
    if (statuses.length === 0) throw new Refused(ERRNO.invalid, "BLOCK_STATUS names no context");
    this.#writer.status(request, statuses);
  }
}

/** Effect length and IDs of contexts. proto.md, "NBD_CMD_BLOCK_STATUS" with NBD_CMD_FLAG_PAYLOAD_LEN. */
function statusPayload(payload: Buffer): { readonly length: number; readonly chosen: readonly number[] } {
  if (payload.length < 8 || payload.length % 4 !== 0 || payload.length > 8 + 4 * MAX_CONTEXTS)
    throw new Refused(ERRNO.invalid, `BLOCK_STATUS has a payload of ${payload.length} bytes`);
  const length = payload.readBigUInt64BE(0);
  if (length > BigInt(Number.MAX_SAFE_INTEGER)) throw new BlockError("OUT_OF_RANGE", `BLOCK_STATUS of ${length} bytes goes past the end`);
  const chosen = Array.from({ length: (payload.length - 8) / 4 }, (_, index) => payload.readUInt32BE(8 + 4 * index));
  return { length: Number(length), chosen };
}

const MAX_CONTEXTS = 4096;
const CHANGES: readonly number[] = [COMMAND.write, COMMAND.trim, COMMAND.writeZeroes];
const PAYLOAD_COMMANDS: readonly number[] = [COMMAND.write, COMMAND.blockStatus];

/** The flags that each request may have. FUA is harmless where nothing is written. */
const COMMAND_FLAGS: Readonly<Record<number, number>> = {
  [COMMAND.read]: COMMAND_FLAG.dontFragment + COMMAND_FLAG.forceUnitAccess,
  [COMMAND.write]: COMMAND_FLAG.forceUnitAccess,
  [COMMAND.flush]: COMMAND_FLAG.forceUnitAccess,
  [COMMAND.trim]: COMMAND_FLAG.forceUnitAccess,
  [COMMAND.cache]: COMMAND_FLAG.forceUnitAccess,
  [COMMAND.writeZeroes]: COMMAND_FLAG.forceUnitAccess + COMMAND_FLAG.noHole + COMMAND_FLAG.fastZero,
  [COMMAND.blockStatus]: COMMAND_FLAG.requestOne + COMMAND_FLAG.forceUnitAccess,
};
