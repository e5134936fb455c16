/** Another directory of bitmaps: written whole to new space with all that is new in it, then switched to in the header. */

import { BlockError } from "@coblock/core";
import { type Bitmap, encodeBitmapDirectory } from "../format/bitmap-directory.ts";
import { bitmapsSteps, type HeaderChange } from "../format/bitmaps-extension.ts";
import { decodeHeader } from "../format/header.ts";
import type { BitmapsExtension } from "../format/header-extensions.ts";
import type { ImageOwner } from "../image/image-owner.ts";
import type { Metadata, WritableMetadata } from "../metadata/metadata.ts";
import { NewTables } from "../metadata/new-tables.ts";
import { orUndo } from "../metadata/undo.ts";
import { unusedClusters } from "./unused-clusters.ts";

/** What a change of the bitmaps works on, the driver lock being held. */
export interface BitmapsChange {
  readonly owner: ImageOwner;
  readonly metadata: Metadata;
  readonly writable: WritableMetadata;
}

/**
 * Makes `list` write what is new of the bitmaps, and the image keep what it answers. The header leads to the new directory when all of
 * that is on stable storage, and the clusters of `dropped`, entries of the old one, are given up afterwards: a crash or a failure leaves
 * the old bitmaps or the new ones, and leaks at most.
 */
export async function changeDirectory(
  change: BitmapsChange,
  dropped: readonly Bitmap[],
  list: (tables: NewTables) => Promise<readonly Bitmap[]>,
): Promise<void> {
  const { owner, metadata, writable } = change;
  const { file, geometry } = metadata;
  await writable.writeOut.all();
  const unused = await unusedClusters(change, dropped);
  const tables = new NewTables(metadata, writable);
  const prepare = async () => {
    const bitmaps = await list(tables);
    const extension = await writeDirectory(tables, bitmaps);
    const header = await planHeader(change, extension);
    await writable.writeOut.all();
    await file.flush();
    return { bitmaps, extension, header };
  };
  const { bitmaps, extension, header } = await orUndo(prepare, [() => tables.giveBack()]);
  await file.changeHeader(header.steps, header.autoclear);
  writable.map.place("bitmap directory", extension?.directoryOffset ?? 0, extension?.directoryLength ?? 0);
  for (const { first, count } of unused) writable.freed.retire(first * geometry.clusterSize, count * geometry.clusterSize, "other");
  const { bitmaps: _old, ...others } = owner.description.extensions;
  const { autoclear, backingOffset } = header;
  owner.changed(
    {
      ...owner.description,
      header: { ...owner.description.header, autoclear, backingOffset },
      extensions: extension === undefined ? others : { ...others, bitmaps: extension },
      bitmaps,
    },
    owner.size,
  );
}

/** How the header comes to lead to that directory. Throws NO_SPACE where it has no room to. */
export async function planHeader(
  { owner, metadata }: Omit<BitmapsChange, "writable">,
  extension: BitmapsExtension | undefined,
): Promise<HeaderChange> {
  const { file, geometry } = metadata;
  const cluster = await file.readTable("the header", 0, Math.min(geometry.clusterSize, file.size));
  const whole = new Uint8Array(geometry.clusterSize);
  whole.set(cluster);
  try {
    return bitmapsSteps(whole, decodeHeader(whole), extension);
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    throw new BlockError(error.code, `${owner.context.fileName}: ${error.message}`, { node: owner.context.nodeName, cause: error });
  }
}

async function writeDirectory(tables: NewTables, bitmaps: readonly Bitmap[]): Promise<BitmapsExtension | undefined> {
  if (bitmaps.length === 0) return undefined;
  const { bytes } = encodeBitmapDirectory(bitmaps);
  const directoryOffset = await tables.allocate(bytes.length);
  await tables.write(directoryOffset, bytes);
  return { count: bitmaps.length, directoryLength: bytes.length, directoryOffset };
}
