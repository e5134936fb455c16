/** Puts an image on another backing file without changing what it reads as. */

import { isZero } from "../binary/zeros.ts";
import { BlockError } from "../errors.ts";
import { chainOf, expectChain, isSameImage } from "../chain.ts";
import type { BlockStatus } from "../extents.ts";
import type { NewBacking } from "../chain.ts";
import type { BlockNode } from "../node.ts";
import type { JobControl } from "./job-control.ts";
import { DEFAULT_PARALLEL, PIECE_LENGTH, pieceLength, workThroughPieces } from "./pieces.ts";
import { hasData, RunCursor } from "./run-cursor.ts";
import { insideOf, type Window, windowsOf } from "./windows.ts";

/** What is rebased, and onto what. */
export interface RebaseDiskOptions {
  /** Writable; whatever it is stacked on now is open. */
  readonly overlay: BlockNode;
  /** As it is written into the image; `node` is read from. `undefined`: none, the image gets all that it shows. */
  readonly backing: (NewBacking & { readonly node: BlockNode }) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Pauses the job and sets its rate, in bytes that are compared. */
  readonly control?: JobControl | undefined;
  /** Bytes of the disk that were looked at. */
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
}

/** What differs is told by blocks of that many bytes. */
const BLOCK_LENGTH = 64 * 1024;

/**
 * When it returns, the image names the other backing file, on stable storage, and reads as before. What the two backing files show alike
 * stays there; the rest is written into the image first. Part by part: requests to the image wait only while their part is compared.
 * A stop at any point, a failure or an abort leaves the old backing file and loses nothing.
 *
 * To change the name alone, whatever the files hold, is `BlockNode.changeBacking`. Throws what that throws, READ_ONLY, NOT_ALLOWED where
 * somebody else puts the image on another backing file meanwhile, and the first failure of a read or a write.
 */
export async function rebaseDisk(options: RebaseDiskOptions): Promise<void> {
  await new DiskRebase(options).run();
}

class DiskRebase {
  readonly #options: RebaseDiskOptions;
  readonly #chain: readonly BlockNode[];
  /** Layers from the overlay down to the first that both chains have. */
  readonly #commonDepth: number;

  constructor(options: RebaseDiskOptions) {
    const { overlay, backing } = options;
    overlay.requests.checkWritable();
    if (overlay.requests.image.changeBacking === undefined) {
      const message = `${overlay.fileName}: driver '${overlay.driver}' has no backing files`;
      throw new BlockError("UNSUPPORTED_FEATURE", message, { node: overlay.name });
    }
    this.#options = options;
    this.#chain = chainOf(overlay);
    const top = backing?.node;
    const found = top === undefined ? -1 : this.#chain.findIndex((member) => isSameImage(member, top));
    this.#commonDepth = found === -1 ? Number.POSITIVE_INFINITY : found;
  }

  async run(): Promise<void> {
    const { overlay, backing, control, signal, onProgress } = this.#options;
    signal?.throwIfAborted();
    const { size } = overlay;
    const shown = new RunCursor({ extents: backing?.node.extents() ?? noExtents(), size: backing?.node.size ?? 0, end: size });
    try {
      for await (const window of windowsOf(this.#differing(shown), size, () => "data")) {
        await control?.admit(window.length, { signal });
        await overlay.exclusive(() => this.#rebase(window), { signal });
        onProgress?.(window.offset + window.length, size);
      }
    } finally {
      await shown.end();
    }
    onProgress?.(size, size);
    expectChain(overlay, this.#chain);
    await overlay.changeBacking(backing);
  }

  /** Where the image has nothing of its own, and the two chains may differ. */
  async *#differing(shown: RunCursor): AsyncGenerator<BlockStatus, void, undefined> {
    const { overlay, signal } = this.#options;
    for await (const extent of overlay.extents()) {
      signal?.throwIfAborted();
      if (!this.#mayDiffer(extent)) continue;
      const end = extent.offset + extent.length;
      for (let offset = extent.offset; offset < end;) {
        const other = await shown.at(offset);
        const length = Math.min(end, other.offset + other.length) - offset;
        if (hasData(extent) || hasData(other)) yield { ...extent, offset, length };
        offset += length;
      }
    }
  }

  #mayDiffer({ depth, kind }: BlockStatus): boolean {
    if (kind === "unallocated") return true;
    return depth > 0 && depth < this.#commonDepth;
  }

  /** Nothing else happens to the overlay meanwhile. What it has by now is its own, and stays. */
  async #rebase({ offset, length }: Window): Promise<void> {
    const { overlay, signal } = this.#options;
    await workThroughPieces({
      pieces: piecesOf(overlay.extents({ offset, length, throughBacking: false })),
      parallel: DEFAULT_PARALLEL,
      bufferLengths: [PIECE_LENGTH, PIECE_LENGTH],
      signal,
      work: (piece, [first = Buffer.alloc(0), second = Buffer.alloc(0)]) =>
        this.#keep(piece.offset, first.subarray(0, piece.length), second.subarray(0, piece.length)),
    });
  }

  async #keep(offset: number, bytes: Buffer, others: Buffer): Promise<void> {
    const { overlay, backing } = this.#options;
    await insideOf(overlay).read(offset, bytes);
    await readPadded(backing?.node, offset, others);
    for (let start = 0; start < bytes.length; start += BLOCK_LENGTH) {
      const block = bytes.subarray(start, start + BLOCK_LENGTH);
      if (block.equals(others.subarray(start, start + BLOCK_LENGTH))) continue;
      if (isZero(block)) await overlay.requests.writeZeroesInside(offset + start, block.length);
      else await overlay.requests.writeInside(offset + start, block);
    }
  }
}

async function* piecesOf(extents: AsyncIterable<BlockStatus>): AsyncGenerator<Window, void, undefined> {
  for await (const { kind, offset, length } of extents) {
    if (kind !== "unallocated") continue;
    for (let at = offset; at < offset + length;) {
      const piece = { offset: at, length: pieceLength(at, offset + length - at, PIECE_LENGTH) };
      yield piece;
      at += piece.length;
    }
  }
}

async function* noExtents(): AsyncGenerator<BlockStatus, void, undefined> {}

/** Zeros behind the end, and where there is nothing at all. */
async function readPadded(node: BlockNode | undefined, offset: number, into: Buffer): Promise<void> {
  const inside = Math.max(0, Math.min(into.length, (node?.size ?? 0) - offset));
  into.fill(0, inside);
  if (inside > 0) await node?.read(offset, into.subarray(0, inside));
}
