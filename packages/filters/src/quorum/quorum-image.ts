/** A disk that several images hold. */

import {
  BlockError,
  hex,
  type BlockChild,
  type BlockImage,
  type ImageLimits,
  type IoOptions,
  type MaybePromise,
  type RunStatus,
  type ZeroOptions,
} from "@coblock/core";
import { failuresOf } from "../settle.ts";

export interface QuorumParts {
  readonly children: readonly BlockChild[];
  /** How many must agree. */
  readonly threshold: number;
  readonly readPattern: "quorum" | "fifo";
  /** Children that were outvoted are mended. */
  readonly rewrites: boolean;
  readonly nodeName: string;
}

/** The same bytes, and who has them. */
interface Version {
  readonly bytes: Uint8Array;
  readonly children: BlockChild[];
}

export class QuorumImage implements BlockImage {
  readonly limits: ImageLimits = { requestAlignment: 1 };
  readonly #parts: QuorumParts;

  constructor(parts: QuorumParts) {
    this.#parts = parts;
  }

  get size(): number {
    return Math.min(...this.#parts.children.map((child) => child.size));
  }

  read(offset: number, into: Uint8Array, options?: IoOptions): Promise<void> {
    return this.#parts.readPattern === "fifo" ? this.#readFirst(offset, into, options) : this.#readVoted(offset, into, options);
  }

  write(offset: number, from: Uint8Array, options?: IoOptions): Promise<void> {
    return this.#agree((child) => child.write(offset, from, options));
  }

  writeZeroes(offset: number, length: number, options?: ZeroOptions): Promise<void> {
    return this.#agree((child) => child.writeZeroes(offset, length, options));
  }

  flush(options?: IoOptions): Promise<void> {
    return this.#agree((child) => child.flush(options));
  }

  /** Whoever asks must read: the children may lie differently. */
  status(_offset: number, length: number): RunStatus {
    return { kind: "data", length };
  }

  /** The children are the node's to close. */
  async [Symbol.asyncDispose](): Promise<void> {}

  async #readFirst(offset: number, into: Uint8Array, options: IoOptions | undefined): Promise<void> {
    let failure: { readonly error: unknown } | undefined;
    for (const child of this.#parts.children) {
      [failure] = await failuresOf([() => child.read(offset, into, options)]);
      if (failure === undefined) return;
    }
    throw failure?.error;
  }

  async #readVoted(offset: number, into: Uint8Array, options: IoOptions | undefined): Promise<void> {
    const { children, threshold } = this.#parts;
    const buffers = children.map(() => new Uint8Array(into.length));
    const failures = await failuresOf(children.map((child, index) => () => child.read(offset, buffers[index] ?? into, options)));
    const versions: Version[] = [];
    for (const [index, child] of children.entries()) {
      const bytes = buffers[index];
      if (bytes === undefined || failures[index] !== undefined) continue;
      const known = versions.find((version) => Buffer.compare(version.bytes, bytes) === 0);
      if (known === undefined) versions.push({ bytes, children: [child] });
      else known.children.push(child);
    }
    if (failures.filter((failure) => failure === undefined).length < threshold) throw firstError(failures);
    const winner = versions.reduce((best, version) => (version.children.length > best.children.length ? version : best));
    if (winner.children.length < threshold) throw this.#disagreement(offset, into.length, winner.children.length);
    into.set(winner.bytes);
    if (this.#parts.rewrites && versions.length > 1) await this.#mend(offset, winner);
  }

  /** The others get what most have. A child that cannot be written stays as it is. */
  async #mend(offset: number, winner: Version): Promise<void> {
    const losers = this.#parts.children.filter((child) => !winner.children.includes(child));
    await failuresOf(losers.map((child) => () => child.write(offset, winner.bytes)));
  }

  /** Succeeds where enough children do; otherwise with the first error. */
  async #agree(request: (child: BlockChild) => MaybePromise<void>): Promise<void> {
    const { children, threshold } = this.#parts;
    const failures = await failuresOf(children.map((child) => () => request(child)));
    if (failures.filter((failure) => failure === undefined).length < threshold) throw firstError(failures);
  }

  #disagreement(offset: number, length: number, agreed: number): BlockError {
    const { nodeName: node, threshold } = this.#parts;
    const message = `${node}: ${agreed} of the children agree on ${length} bytes at offset ${hex(offset)}, and ${threshold} must`;
    return new BlockError("IO", message, { node, offset });
  }
}

function firstError(failures: readonly ({ readonly error: unknown } | undefined)[]): unknown {
  return failures.find((failure) => failure !== undefined)?.error;
}
