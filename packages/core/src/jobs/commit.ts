/** Moves what an overlay holds into an image below it. */

import { BlockError } from "../errors.ts";
import { chainOf, expectChain } from "../chain.ts";
import type { BlockNode } from "../node.ts";
import { bytesToCopy, copyBytes, kindOf } from "./copy.ts";
import type { JobControl } from "./job-control.ts";
import { insideOf, type Window, windowsOf } from "./windows.ts";

/** What to commit, and where to. */
export interface CommitDiskOptions {
  readonly overlay: BlockNode;
  /** In the overlay's chain, and writable (`OpenOptions.writableBacking`). Images between the two do not show the right bytes any more. */
  readonly base: BlockNode;
  /** Whether the overlay gives up what was committed, where its format can. Default: where `base` is its own backing file. */
  readonly empty?: boolean;
  readonly signal?: AbortSignal | undefined;
  /** Pauses the job and sets its rate, in bytes of the overlay's data. */
  readonly control?: JobControl | undefined;
  /** Bytes of the overlay's data that are done, of all that there were at the start. */
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
}

/**
 * When it returns, `base` reads on stable storage as the overlay did; answers whether the overlay holds nothing any more. A base that is
 * shorter grows first. Part by part: requests to the overlay wait only while their part is copied, and its space is given up only when
 * the base has the bytes on stable storage. So the overlay reads the same all the while, and a stop at any point, a failure or an abort
 * loses nothing: the job is simply run again. What is written to an overlay that is not emptied, while the job runs, may stay there alone.
 *
 * Throws INVALID_OPTION where `base` is not below the overlay, NOT_ALLOWED where it is put on another one meanwhile, READ_ONLY, and the first failure of a read, a write or a flush.
 */
export async function commitDisk(options: CommitDiskOptions): Promise<{ readonly emptied: boolean }> {
  const job = new DiskCommit(options);
  return { emptied: await job.run() };
}

class DiskCommit {
  readonly #options: CommitDiskOptions;
  readonly #chain: readonly BlockNode[];
  readonly #depth: number;
  readonly #empties: boolean;
  #doneBytes = 0;
  #totalBytes = 0;

  constructor(options: CommitDiskOptions) {
    const { overlay, base } = options;
    this.#options = options;
    this.#chain = chainOf(overlay);
    this.#depth = this.#chain.indexOf(base);
    const empty = options.empty ?? this.#depth === 1;
    if (this.#depth < 1) throw refused("INVALID_OPTION", base, `it is no backing file of ${overlay.fileName}`);
    if (empty && this.#depth > 1)
      throw refused("INVALID_OPTION", overlay, `cannot be emptied: images between it and ${base.fileName} show`);
    for (const node of empty ? [base, overlay] : [base]) if (node.readOnly) throw refused("READ_ONLY", node, "it was opened read-only");
    this.#empties = empty && overlay.requests.image.reveal !== undefined;
  }

  async run(): Promise<boolean> {
    const { overlay, base, onProgress, control, signal } = this.#options;
    signal?.throwIfAborted();
    if (base.size < overlay.size) await base.resize(overlay.size);
    if (onProgress !== undefined) this.#totalBytes = await bytesToCopy({ source: overlay, sharedDepth: this.#depth, signal });
    let emptied = this.#empties;
    for await (const window of windowsOf(overlay.extents(), overlay.size, (extent) => kindOf(extent, { sharedDepth: this.#depth }))) {
      const length = await bytesToCopy({ source: overlay, range: window, sharedDepth: this.#depth, signal });
      await control?.admit(length, { signal });
      emptied = (await overlay.exclusive(() => this.#commit(window), { signal })) && emptied;
      this.#doneBytes += length;
      onProgress?.(Math.min(this.#doneBytes, this.#totalBytes), this.#totalBytes);
    }
    await base.flush();
    if (this.#empties) await overlay.flush();
    return emptied;
  }

  /** Nothing else happens to the overlay meanwhile. Answers whether it holds nothing there any more. */
  async #commit(range: Window): Promise<boolean> {
    const { overlay, base, signal } = this.#options;
    expectChain(overlay, this.#chain);
    await copyBytes({ source: insideOf(overlay), range, target: base, sharedDepth: this.#depth, signal });
    if (!this.#empties) return false;
    await base.flush();
    return (await overlay.requests.image.reveal?.(range.offset, range.length)) ?? false;
  }
}

function refused(code: "INVALID_OPTION" | "READ_ONLY", node: BlockNode, reason: string): BlockError {
  return new BlockError(code, `${node.fileName}: ${reason}`, { node: node.name });
}
