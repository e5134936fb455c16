/** The disk that qemu-nbd serves, and what clients may do with it, as the words say. */

import { BlockError, type BlockGraph, type BlockNode } from "@coblock/core";
import { findServedBitmap, type NbdExport } from "@coblock/nbd";
import { CommandFailure } from "../failure.ts";
import { openFlagged } from "../flagged-image.ts";
import { openWords } from "../qemu-words.ts";
import type { Session } from "../session.ts";
import { parseSnapshotWords } from "../snapshot-words.ts";
import type { Invocation } from "./words.ts";

/** The export that the words ask for. */
export function exportOf(invocation: Invocation, node: () => Promise<BlockNode>): NbdExport {
  const { flags, shared, detectZeroes } = invocation;
  return {
    name: invocation.value("x") ?? "",
    description: invocation.value("D") ?? "",
    node,
    writable: !flags.readOnly,
    bitmaps: [...new Set(invocation.values("B"))],
    allocationDepth: invocation.has("A"),
    writeThrough: flags.writeThrough,
    detectZeroes,
    multiConnection: shared !== 1,
  };
}

/** Throws CommandFailure, and what opening the image throws. */
export async function openDisk(graph: BlockGraph, name: string, invocation: Invocation, session: Session): Promise<BlockNode> {
  const image = await openImage(graph, name, invocation, session);
  const { offset, flags } = invocation;
  if (!flags.readOnly && image.readOnly) throw new CommandFailure(`'${name}' can only be read; -r serves it so`);
  if (offset !== undefined && offset > image.size)
    throw new CommandFailure(`Offset (${offset}) cannot be greater than size of the containing file (${image.size})`);
  const node = offset === undefined ? image : await offsetBy(graph, image, offset);
  for (const bitmap of invocation.values("B")) await findServedBitmap(node, bitmap);
  return node;
}

async function offsetBy(graph: BlockGraph, image: BlockNode, offset: number): Promise<BlockNode> {
  await using file = image;
  return await graph.open({ driver: "raw", offset, file }, { readOnly: image.readOnly });
}

async function openImage(graph: BlockGraph, name: string, invocation: Invocation, session: Session): Promise<BlockNode> {
  const { flags, lacksDirect } = invocation;
  const prefix = `Failed to blk_new_open '${name}'`;
  if (lacksDirect)
    throw new CommandFailure(`${prefix}: aio=native was specified, but it requires cache.direct=on, which was not specified.`);
  const words = invocation.has("image-opts") ? { filename: undefined, options: name } : { filename: name, format: invocation.value("f") };
  const savedState = parseSnapshotWords(invocation.value("l"), "`");
  try {
    return await openFlagged(graph, session, { ...words, savedState, flags });
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    const reason = openWords(error, !flags.readOnly);
    throw new CommandFailure(savedState === undefined ? `${prefix}: ${reason}` : reason, 1, { cause: error });
  }
}
