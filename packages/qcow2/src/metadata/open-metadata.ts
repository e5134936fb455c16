/** Loads the tables of an image: L1 for every use, the refcount table and the map of all metadata for one that may be changed. */

import {
  type BlockChild,
  type BlockEvent,
  type Clock,
  CoMutex,
  Guarded,
  type MaybePromise,
  type OpenContext,
  TableCache,
} from "@coblock/core";
import { offsetOf } from "../format/entries.ts";
import type { Geometry } from "../format/geometry.ts";
import { MAX_L1_BYTES } from "../format/limits.ts";
import type { Header } from "../format/header.ts";
import type { HeaderExtensions } from "../format/header-extensions.ts";
import type { Snapshot } from "../format/snapshot-table.ts";
import { behave, type Behaviour } from "./behaviour.ts";
import type { CacheSizes } from "./cache-sizes.ts";
import { ClusterAllocator } from "./cluster-allocator.ts";
import { FreedSpace } from "./freed-space.ts";
import { ImageFile, type ImageFileContext } from "./image-file.ts";
import { L1Table } from "./l1-table.ts";
import { L2Tables, type SliceCacheMaker } from "./l2-tables.ts";
import type { Metadata, WritableMetadata } from "./metadata.ts";
import { MetadataMap } from "./metadata-map.ts";
import { RefcountStore } from "./refcount-store.ts";
import { References } from "./references.ts";
import { TableBytes } from "./table-bytes.ts";
import { WriteOut } from "./write-out.ts";

export interface MetadataParts {
  readonly file: BlockChild;
  readonly geometry: Geometry;
  readonly places: MetadataPlaces;
  readonly context: MetadataContext;
  readonly cacheSizes: CacheSizes;
  readonly behaviour: Behaviour;
}

type MetadataContext = ImageFileContext &
  Pick<OpenContext, "retire" | "empty" | "dataBarrier"> & { readonly clock?: Clock; readonly forCheck?: boolean };

/** Where the header says that metadata lies. */
interface MetadataPlaces {
  readonly header: Header;
  readonly extensions: Pick<HeaderExtensions, "bitmaps" | "encryption">;
  readonly snapshots: readonly Snapshot[];
  readonly snapshotTableLength: number;
  readonly bitmaps: readonly unknown[];
}

/** The state behind a new driver lock. Throws as `loadMetadata`. */
export async function openMetadata(parts: MetadataParts): Promise<Guarded<Metadata>> {
  const lock = new CoMutex(`${parts.context.nodeName} metadata`, parts.context.clock);
  return new Guarded(lock, await loadMetadata(parts, lock));
}

/** What that lock guards, from the disk. Throws CORRUPT_IMAGE where the file ends before a table does. */
export async function loadMetadata(parts: MetadataParts, lock: CoMutex): Promise<Metadata> {
  const { geometry, places, context, cacheSizes } = parts;
  const { header } = places;
  const file = new ImageFile(parts.file, header, context);
  const l1Bytes = await readL1(file, header, context);
  const l1 = new L1Table(file, geometry, l1Bytes, header.l1Offset);
  const makeCache: SliceCacheMaker = ({ sliceSize, sliceCount }) =>
    new TableCache({
      name: `${context.nodeName} L2 tables`,
      lock,
      capacity: sliceCount,
      load: loader(file, "an L2 table", "l2_load", sliceSize),
      writeBack: async () => metadata.writable?.writeOut.l2Tables(),
    });
  const l2 = new L2Tables(geometry, makeCache, cacheSizes);
  const common = { file, geometry, l1, l2 };
  const isWritable = !context.readOnly && context.forCheck !== true;
  const metadata: Metadata = { ...common, writable: isWritable ? await loadWritable(parts, { ...common, lock }) : undefined };
  return metadata;
}

/** A check tells of a table that the file does not hold; all that is missing is empty. */
async function readL1(file: ImageFile, { l1Offset, l1Entries }: Header, { forCheck }: MetadataContext): Promise<Uint8Array> {
  const bytes = new Uint8Array(l1Entries * 8);
  const present = forCheck === true ? Math.max(0, Math.min(bytes.length, file.size - l1Offset)) : bytes.length;
  if (present > 0) bytes.set(await file.readTable("the L1 table", l1Offset, present));
  return bytes;
}

interface Loaded extends Pick<Metadata, "file" | "geometry" | "l1" | "l2"> {
  readonly lock: CoMutex;
}

async function loadWritable(parts: MetadataParts, { file, geometry, l1, l2, lock }: Loaded): Promise<WritableMetadata> {
  const { places, context, cacheSizes, behaviour } = parts;
  const tableOffset = places.header.refcountTableOffset;
  const table = new TableBytes(
    await file.loadTable("the refcount table", "reftable_load", tableOffset, places.header.refcountTableClusters * geometry.clusterSize),
  );
  const map = mapMetadata(geometry, l1, places, behaviour.checked);
  const blocks = new TableCache({
    name: `${context.nodeName} refcount blocks`,
    lock,
    capacity: cacheSizes.blockCount,
    load: loader(file, "a refcount block", "refblock_load", geometry.clusterSize),
    writeBack: () => refcounts.writeBlocks(),
  });
  const refcounts: RefcountStore = new RefcountStore({ file, geometry, map, blocks, table, tableOffset });
  const freed = new FreedSpace(file.child, context);
  const clusters = new ClusterAllocator({ file, geometry, map, refcounts, freed });
  const references = new References({ file, geometry, refcounts, clusters, freed });
  const writeOut = new WriteOut({ file, map, l1, l2, refcounts, references, dataBarrier: () => context.dataBarrier() });
  const writable = { map, freed, refcounts, clusters, references, writeOut };
  behave(writable, behaviour);
  return writable;
}

function loader(file: ImageFile, what: string, event: BlockEvent, length: number): (offset: number) => MaybePromise<TableBytes> {
  return (offset) => {
    const bytes = file.loadTable(what, event, offset, length);
    return bytes instanceof Promise ? bytes.then((read) => new TableBytes(read)) : new TableBytes(bytes);
  };
}

function mapMetadata(
  geometry: Geometry,
  l1: L1Table,
  { header, extensions, snapshots, snapshotTableLength, bitmaps }: MetadataPlaces,
  checked: Behaviour["checked"],
): MetadataMap {
  const map = new MetadataMap(geometry, checked);
  map.place("header", 0, geometry.clusterSize);
  map.place("active L1 table", l1.offset, l1.table.bytes.length);
  map.place("refcount table", header.refcountTableOffset, header.refcountTableClusters * geometry.clusterSize);
  map.place("snapshot table", header.snapshotsOffset, snapshotTableLength);
  if (extensions.bitmaps !== undefined && bitmaps.length > 0)
    map.place("bitmap directory", extensions.bitmaps.directoryOffset, extensions.bitmaps.directoryLength);
  if (extensions.encryption !== undefined) map.place("LUKS header", extensions.encryption.offset, extensions.encryption.length);
  map.placeInactiveL1(inactiveL1Tables(snapshots));
  for (let index = 0; index < l1.entries; index++) {
    const offset = offsetOf(l1.table.high(index), l1.table.low(index));
    if (offset !== 0) map.addL2Table(offset);
  }
  return map;
}

/** Where the L1 tables of snapshots lie, for the map of metadata; a damaged entry claims no more than a table may be long. */
export function inactiveL1Tables(
  snapshots: readonly Pick<Snapshot, "l1Offset" | "l1Entries">[],
): { readonly offset: number; readonly length: number }[] {
  return snapshots.map(({ l1Offset, l1Entries }) => ({ offset: l1Offset, length: Math.min(l1Entries * 8, MAX_L1_BYTES) }));
}
