/** A disk that several images hold. */

import {
  BlockError,
  CoRwLock,
  hex,
  type BlockChild,
  type Clock,
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
  readonly clock: Clock;
}

/** The same bytes, and who has them. */
interface Version {
  readonly bytes: Uint8Array;
  readonly children: BlockChild[];
}

/** What the children read. */
interface Votes {
  /** Best first. */
  readonly versions: readonly Version[];
  /** Of each child; `undefined`: none. */
  readonly failures: readonly ({ readonly error: unknown } | undefined)[];
}

export class QuorumImage implements BlockImage {
  readonly limits: ImageLimits = { requestAlignment: 1 };
  readonly #parts: QuorumParts;
  /** Writes share it; where children seem to disagree, they are asked again alone, and mended before anything else is written. */
  readonly #votes: CoRwLock;

  constructor(parts: QuorumParts) {
    this.#parts = parts;
    this.#votes = new CoRwLock(`${parts.nodeName} votes`, parts.clock);
  }

  get size(): number {
    return Math.min(...this.#parts.children.map((child) => child.size));
  }

  read(offset: number, into: Uint8Array, options?: IoOptions): Promise<void> {
    return this.#parts.readPattern === "fifo" ? this.#readFirst(offset, into, options) : this.#readVoted(offset, into, options);
  }

  async write(offset: number, from: Uint8Array, options?: IoOptions): Promise<void> {
    using _shared = await this.#votes.read(options);
    await this.#agree((child) => child.write(offset, from, options));
  }

  async writeZeroes(offset: number, length: number, options?: ZeroOptions): Promise<void> {
    using _shared = await this.#votes.read(options);
    await this.#agree((child) => child.writeZeroes(offset, length, options));
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
    const votes = await this.#vote(offset, into.length, options);
    if (votes.versions.length <= 1) return this.#take(votes, offset, into);
    // A write that runs may have reached some of them only.
    using _alone = await this.#votes.write(options);
    const settled = await this.#vote(offset, into.length, options);
    this.#take(settled, offset, into);
    const [winner] = settled.versions;
    if (this.#parts.rewrites && winner !== undefined && settled.versions.length > 1) await this.#mend(offset, winner);
  }

  async #vote(offset: number, length: number, options: IoOptions | undefined): Promise<Votes> {
    const { children } = this.#parts;
    const buffers = children.map((child) => ({ child, bytes: new Uint8Array(length) }));
    const failures = await failuresOf(
      buffers.map(
        ({ child, bytes }) =>
          () =>
            child.read(offset, bytes, options),
      ),
    );
    const versions: Version[] = [];
    for (const [index, { child, bytes }] of buffers.entries()) {
      if (failures[index] !== undefined) continue;
      const known = versions.find((version) => Buffer.compare(version.bytes, bytes) === 0);
      if (known === undefined) versions.push({ bytes, children: [child] });
      else known.children.push(child);
    }
    return { versions: versions.sort((one, other) => other.children.length - one.children.length), failures };
  }

  /** Throws the first failure where too many have failed, IO where too few agree. */
  #take({ versions, failures }: Votes, offset: number, into: Uint8Array): void {
    const { threshold } = this.#parts;
    if (failures.filter((failure) => failure === undefined).length < threshold) throw firstError(failures);
    const agreed = versions[0]?.children.length ?? 0;
    if (agreed < threshold) throw this.#disagreement(offset, into.length, agreed);
    into.set(versions[0]?.bytes ?? into);
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
