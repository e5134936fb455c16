/** What a server can tell of a disk beside its bytes: the metadata contexts. */

import { backingOf, type BlockNode, type BlockStatus, type DirtyBitmap } from "@coblock/core";
import { ALLOCATION } from "../protocol/codes.ts";
import type { StatusExtent } from "../protocol/chunk.ts";

/** One context of an export. */
export interface ServedContext {
  readonly name: string;
  /** The state of a block in which two states meet: the one that promises less. */
  readonly combine: (left: number, right: number) => number;
  /** Runs from `offset` on that cover `length` bytes. */
  runs(offset: number, length: number): AsyncIterable<StatusExtent> | Iterable<StatusExtent>;
}

const BASE = "base:";
const QEMU = "qemu:";
const BITMAP = "qemu:dirty-bitmap:";

/** `base:allocation`: what reads as zeros and takes no space. */
export function allocationContext(node: BlockNode): ServedContext {
  return {
    name: "base:allocation",
    combine: (left, right) => left & right,
    async *runs(offset, length) {
      for await (const extent of node.extents({ offset, length })) yield { length: extent.length, flags: allocationOf(extent) };
    },
  };
}

function allocationOf({ kind, holeBelow = false }: BlockStatus): number {
  if (kind !== "zero" && kind !== "unallocated") return 0;
  return holeBelow ? ALLOCATION.zero : ALLOCATION.hole + ALLOCATION.zero;
}

/** `qemu:allocation-depth`: the layer that answers, 1 for the top one, 0 for none. Behind the end of a backing file it is that file. */
export function depthContext(node: BlockNode): ServedContext {
  return {
    name: "qemu:allocation-depth",
    combine: (left, right) => (left === 0 || right === 0 ? Math.max(left, right) : Math.min(left, right)),
    async *runs(offset, length) {
      const layers = countLayers(node);
      for await (const { kind, depth, length: bytes } of node.extents({ offset, length }))
        yield { length: bytes, flags: kind !== "unallocated" ? depth + 1 : layers > depth + 1 ? depth + 2 : 0 };
    },
  };
}

function countLayers(node: BlockNode): number {
  const below = backingOf(node);
  return below === undefined ? 1 : 1 + countLayers(below);
}

/** `qemu:dirty-bitmap:NAME`: 1 where the bitmap is set. */
export function bitmapContext(bitmap: DirtyBitmap): ServedContext {
  return {
    name: BITMAP + bitmap.name,
    combine: (left, right) => Math.max(left, right),
    *runs(offset, length) {
      let at = offset;
      for (const dirty of bitmap.extents({ offset, length })) {
        if (dirty.offset > at) yield { length: dirty.offset - at, flags: 0 };
        yield { length: dirty.length, flags: 1 };
        at = dirty.offset + dirty.length;
      }
      if (at < offset + length) yield { length: offset + length - at, flags: 0 };
    },
  };
}

/** The contexts that a query names. A list may be asked for by the beginning of names; no queries list all. */
export function matchContexts(contexts: readonly ServedContext[], queries: readonly string[], isList: boolean): readonly ServedContext[] {
  if (isList && queries.length === 0) return contexts;
  return contexts.filter(({ name }) =>
    queries.some((query) => query === name || (isList && [BASE, QEMU, BITMAP].includes(query) && name.startsWith(query))),
  );
}
