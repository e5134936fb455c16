/** Maps a new, empty image in advance. */

import { assert, type BlockChild, InlineOffload, type Transform } from "@coblock/core";
import type { CreateChoices } from "./create-options.ts";
import type { Geometry } from "./format/geometry.ts";
import type { Header } from "./format/header.ts";
import { ClusterCodec } from "./image/cluster-codec.ts";
import { GuestAccess } from "./image/guest-access.ts";
import { preallocate } from "./image/preallocate.ts";
import { behaviourOf } from "./metadata/behaviour.ts";
import { cacheSizesOf } from "./metadata/cache-sizes.ts";
import { openMetadata } from "./metadata/open-metadata.ts";

export interface NewImage {
  readonly file: BlockChild;
  readonly data: BlockChild;
  readonly header: Header;
  readonly geometry: Geometry;
  readonly choices: CreateChoices;
  /** The image is encrypted. */
  readonly transform: Transform | undefined;
  /** Stops it between two allocations; the image is then incomplete. */
  readonly signal: AbortSignal | undefined;
}

/** Does nothing without preallocation. A raw data file is always mapped, so that it reads like the disk. */
export async function preallocateNew({ file, data, header, geometry, choices, transform, signal }: NewImage): Promise<void> {
  const { preallocation, rawDataFile, size } = choices;
  const mode = preallocation === "off" && rawDataFile ? "metadata" : preallocation;
  if (mode === "off" || size === 0) return;
  const outgrown: { readonly childOffset: number; readonly length: number }[] = [];
  const context = {
    nodeName: file.node.name,
    fileName: file.fileName,
    readOnly: false,
    offload: new InlineOffload(),
    // An image that is being made frees nothing until its refcount table grows; what that leaves is found by the next search.
    retire: ({ childOffset, length }: { readonly childOffset: number; readonly length: number }): void =>
      void outgrown.push({ childOffset, length }),
    empty: (): void => {},
    dataBarrier: async () => data.flush(),
    fail: (): void => {},
  };
  const places = { header, extensions: {}, snapshots: [], snapshotTableLength: 0, bitmaps: [] };
  const state = await openMetadata({
    file,
    geometry,
    places,
    context,
    cacheSizes: cacheSizesOf({}, geometry, size),
    behaviour: behaviourOf({ lazyRefcounts: false }, header),
  });
  using guard = await state.lock();
  const { writable } = guard.value;
  assert(writable !== undefined, "a new image is writable");
  const lookup = { geometry, data, codec: new ClusterCodec(context, header.compressionType), unreadable: undefined, transform };
  const clear = { metadata: guard.value, writable, data, hasBacking: false, rawDataFile };
  const guest = new GuestAccess({ metadata: guard.value, writable, lookup, backing: undefined, clear });
  await preallocate(guest, data, { from: 0, to: size, mode, unit: geometry.clusterSize, signal });
  await writable.writeOut.all();
  await file.flush();
  for (const { childOffset, length } of outgrown)
    await writable.references.release(childOffset / geometry.clusterSize, length / geometry.clusterSize);
  await writable.writeOut.all();
  await file.flush();
}
