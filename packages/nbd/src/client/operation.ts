/** One request of the client and what its reply has brought so far. */

import { BlockError } from "@coblock/core";
import { COMMAND, nameOfCode } from "../protocol/codes.ts";
import type { ContextStatus, StatusExtent } from "../protocol/chunk.ts";
import { meaningOf } from "../protocol/error-number.ts";
import { expectPeer } from "../protocol/protocol-error.ts";

/** What is asked for; it may be sent more than once, on one connection after the other. */
export interface Operation {
  /** Of `COMMAND`, with bits of `COMMAND_FLAG`. */
  readonly command: number;
  readonly flags: number;
  /** Bytes. */
  readonly offset: number;
  readonly length: number;
  /** What a write brings. */
  readonly payload?: Uint8Array;
  /** Where a read goes. */
  readonly target?: Uint8Array;
}

/** The runs of a block status, none for other requests. */
export type OperationResult = readonly StatusExtent[];

const NO_RUNS: OperationResult = [];

/** An operation between its request and the end of its reply. Methods throw ProtocolError for what does not fit. */
export class PendingReply {
  readonly operation: Operation;
  readonly #server: string;
  readonly ended: Promise<OperationResult>;
  #resolve: (result: OperationResult) => void = () => {};
  #reject: (error: unknown) => void = () => {};
  #error: { readonly errno: number; readonly message: string } | undefined;
  #runs: readonly StatusExtent[] | undefined;
  /** Parts of a read that have come, in order of offset. */
  readonly #parts: { readonly start: number; readonly end: number }[] = [];
  #covered = 0;

  /** `server`: as errors name it. */
  constructor(operation: Operation, server: string) {
    this.operation = operation;
    this.#server = server;
    this.ended = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** Where the bytes of a chunk go: inside the request, and where nothing came before. */
  claim(offset: number, length: number): Uint8Array {
    const { target, offset: start, command } = this.operation;
    expectPeer(target !== undefined, `data comes for request ${nameOfCode(COMMAND, command)}`);
    const end = offset + length;
    expectPeer(offset >= start && end <= start + target.length, `a chunk of ${length} bytes at offset ${offset} lies outside its request`);
    let index = this.#parts.length;
    while (index > 0 && (this.#parts[index - 1]?.start ?? 0) >= end) index--;
    expectPeer((this.#parts[index - 1]?.end ?? 0) <= offset, `a chunk at offset ${offset} covers bytes that came already`);
    this.#parts.splice(index, 0, { start: offset, end });
    this.#covered += length;
    return target.subarray(offset - start, end - start);
  }

  /** What the selected context says. */
  status({ contextId, extents }: ContextStatus, wantedId: number | undefined): void {
    const { command, length } = this.operation;
    expectPeer(command === COMMAND.blockStatus, `block status comes for request ${nameOfCode(COMMAND, command)}`);
    expectPeer(contextId === wantedId, `block status comes for context ${contextId}, which was not selected`);
    expectPeer(this.#runs === undefined, "block status of one context comes twice");
    const whole = extents.reduce((sum, extent) => sum + extent.length, 0);
    const last = extents.at(-1)?.length ?? 0;
    expectPeer(whole - last < length, "block status has extents behind the end of the request");
    this.#runs = extents;
  }

  /** The first error counts. */
  fail(errno: number, message: string): void {
    this.#error ??= { errno, message };
  }

  /** The last chunk came. */
  finish(): void {
    const { command, length } = this.operation;
    if (this.#error !== undefined) return this.#reject(errorOf(this.operation, this.#error, this.#server));
    if (command === COMMAND.read) expectPeer(this.#covered === length, `a reply ends with ${this.#covered} of ${length} bytes`);
    if (command === COMMAND.blockStatus) expectPeer(this.#runs !== undefined, "a reply to BLOCK_STATUS has no status");
    this.#resolve(this.#runs ?? NO_RUNS);
  }

  /** The connection ended first. */
  lose(error: unknown): void {
    this.#reject(error);
  }
}

function errorOf(
  { command, offset, length }: Operation,
  { errno, message }: { readonly errno: number; readonly message: string },
  server: string,
): BlockError {
  const { code, errno: name, words } = meaningOf(errno);
  const told = message === "" ? words : `${words} (${message})`;
  const where = command === COMMAND.flush ? "" : ` of ${length} bytes at offset ${offset}`;
  return new BlockError(code, `${server}: ${nameOfCode(COMMAND, command)}${where} failed: ${told}`, { offset, errno: name });
}
