/** An export of a server as an image. */

import { alignDown, type BlockImage, type Clock, type ImageLimits, type IoOptions, type RunStatus, type ZeroOptions } from "@coblock/core";
import { ALLOCATION, COMMAND, COMMAND_FLAG, MAX_COMPACT_LENGTH } from "../protocol/codes.ts";
import { hasFlag } from "../protocol/export-info.ts";
import { payloadLimit } from "./client-handshake.ts";
import type { ClientLink } from "./client-link.ts";
import { StatusAhead } from "./status-ahead.ts";

/** Requests that carry no data go in pieces of at most that many bytes. */
const EFFECT_LENGTH = 1024 * 1024 * 1024;
const SECTOR_LENGTH = 512;

/** What an export is called. */
export interface NbdImageNames {
  readonly identity: string | undefined;
  readonly fileName: string | undefined;
}

/** Methods are there where the server has what they need. */
export class NbdImage implements BlockImage {
  readonly size: number;
  readonly limits: ImageLimits;
  readonly identity?: string;
  readonly fileName?: string;
  readonly writeZeroes?: NonNullable<BlockImage["writeZeroes"]>;
  readonly discard?: NonNullable<BlockImage["discard"]>;
  readonly flush?: NonNullable<BlockImage["flush"]>;
  readonly status?: NonNullable<BlockImage["status"]>;
  readonly #link: ClientLink;
  readonly #ahead: StatusAhead;
  /** The flag that asks for FUA, where the server knows it. */
  readonly #forced: number;

  /** `identity` and `fileName`: `undefined` where nothing tells which disk it is. */
  constructor(link: ClientLink, { identity, fileName }: NbdImageNames, clock: Clock) {
    const { size, flags, blockSizes, allocationId } = link.agreement;
    this.#link = link;
    this.#ahead = new StatusAhead(clock);
    this.size = size;
    if (identity !== undefined) this.identity = identity;
    if (fileName !== undefined) this.fileName = fileName;
    this.#forced = hasFlag(flags, "forceUnitAccess") ? COMMAND_FLAG.forceUnitAccess : 0;
    // A server that names no minimum serves sectors; one whose disk is of odd size serves bytes.
    const requestAlignment = blockSizes?.minimum ?? (size % SECTOR_LENGTH === 0 ? SECTOR_LENGTH : 1);
    this.limits = { requestAlignment, maxTransfer: alignDown(payloadLimit(link.agreement), requestAlignment) };
    if (hasFlag(flags, "writeZeroes")) this.writeZeroes = (offset, length, options) => this.#writeZeroes(offset, length, options);
    if (hasFlag(flags, "trim"))
      this.discard = (offset, length, options) => this.#change(COMMAND.trim, this.#flags(options), offset, length);
    if (hasFlag(flags, "flush")) this.flush = () => this.#flush();
    if (allocationId !== undefined) this.status = (offset, length) => this.#status(offset, length);
  }

  async read(offset: number, into: Uint8Array): Promise<void> {
    await this.#link.perform({ command: COMMAND.read, flags: 0, offset, length: into.length, target: into });
  }

  async write(offset: number, from: Uint8Array, options?: IoOptions): Promise<void> {
    this.#ahead.drop();
    await this.#link.perform({
      command: COMMAND.write,
      flags: this.#flags(options) + this.#payloadFlag,
      offset,
      length: from.length,
      payload: from,
    });
    this.#ahead.drop();
  }

  inspect(): object {
    return { ...this.#link.agreement, channel: undefined, ...this.#link.pending };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#link.close();
  }

  get #payloadFlag(): number {
    return this.#link.agreement.style === "extended" ? COMMAND_FLAG.payload : 0;
  }

  #flags(options: IoOptions | undefined): number {
    return options?.forceUnitAccess === true ? this.#forced : 0;
  }

  #writeZeroes(offset: number, length: number, options?: ZeroOptions): Promise<void> {
    const flags = this.#flags(options) + (options?.mayUnmap === true ? 0 : COMMAND_FLAG.noHole);
    return this.#change(COMMAND.writeZeroes, flags, offset, length);
  }

  async #change(command: number, flags: number, offset: number, length: number): Promise<void> {
    this.#ahead.drop();
    for (let done = 0; done < length; done += EFFECT_LENGTH)
      await this.#link.perform({ command, flags, offset: offset + done, length: Math.min(EFFECT_LENGTH, length - done) });
    this.#ahead.drop();
  }

  async #flush(): Promise<void> {
    await this.#link.perform({ command: COMMAND.flush, flags: 0, offset: 0, length: 0 });
  }

  /** A hole that is not said to be zero may hold anything: it counts as data. */
  async #status(offset: number, length: number): Promise<RunStatus> {
    const run = this.#ahead.take(offset) ?? (await this.#ask(offset, length));
    const found = Math.min(run.length, length);
    if ((run.flags & ALLOCATION.zero) === 0) return { kind: "data", length: found };
    return (run.flags & ALLOCATION.hole) === 0 ? { kind: "zero", holeBelow: true, length: found } : { kind: "zero", length: found };
  }

  async #ask(offset: number, length: number): Promise<{ readonly length: number; readonly flags: number }> {
    const { requestAlignment } = this.limits;
    const start = alignDown(offset, requestAlignment);
    const asked = Math.min(length + offset - start, alignDown(MAX_COMPACT_LENGTH, requestAlignment));
    const end = Math.min(this.size, Math.ceil((start + asked) / requestAlignment) * requestAlignment);
    const [first, ...rest] = await this.#link.perform({ command: COMMAND.blockStatus, flags: 0, offset: start, length: end - start });
    // A reply has a run at least, and it covers more than what stands in front of `offset` within one block.
    const head = { length: Math.max(1, (first?.length ?? 1) - (offset - start)), flags: first?.flags ?? 0 };
    this.#ahead.keep(offset + head.length, rest);
    return head;
  }
}
