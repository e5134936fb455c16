/** The table of snapshots as a check finds it, and as a repair writes it anew: whole, to new space, then switched to in one write of the header. */

import { BlockError, type BlockChild, type CheckOptions, type Clock, hex, type HostSpan } from "@coblock/core";
import { clusterOf, clustersFor, geometryOf } from "../format/geometry.ts";
import type { Header } from "../format/header.ts";
import { MAX_SNAPSHOT_EXTRA_BYTES, MAX_SNAPSHOT_TABLE_BYTES, MAX_SNAPSHOTS } from "../format/limits.ts";
import { decodeSnapshotEntries, encodeSnapshotTable, type SnapshotEntries, type SnapshotTable } from "../format/snapshot-table.ts";
import { readBitmaps, readHeader } from "../image/read-header.ts";
import { behaviourOf } from "../metadata/behaviour.ts";
import { cacheSizesOf } from "../metadata/cache-sizes.ts";
import { openMetadata } from "../metadata/open-metadata.ts";
import { NewTables } from "../metadata/new-tables.ts";
import type { CheckLog } from "./check-log.ts";

export interface FoundSnapshots {
  /** What can be kept. */
  readonly table: SnapshotTable;
  /** What has to go, or to be written anew. */
  readonly problems: number;
}

/**
 * Reads the table as far as the format's limits go. Tells what is wrong with it, and counts nothing. Throws CORRUPT_IMAGE for a table that
 * cannot be read, and without `-r all` for one that must lose something first, as nothing can be checked with it.
 */
export async function findSnapshots(child: BlockChild, header: Header, { repair }: CheckOptions, log: CheckLog): Promise<FoundSnapshots> {
  const { snapshotCount, snapshotsOffset } = header;
  if (snapshotCount === 0) return { table: { snapshots: [], length: 0 }, problems: 0 };
  const entries = await readEntries(child, header);
  const { snapshots, overlong, length } = entries;
  const lost = snapshotCount - snapshots.length;
  if (lost > 0 && snapshotCount <= MAX_SNAPSHOTS && snapshotsOffset + MAX_SNAPSHOT_TABLE_BYTES > child.size)
    throw corrupt(
      child,
      `the table of ${snapshotCount} snapshots at offset ${hex(snapshotsOffset)} ends past the end of the file`,
      snapshotsOffset,
    );
  if (repair !== "all") refuse(child, entries, header);
  if (lost > 0) log.told(`Discarding ${lost} overhanging snapshots: the table is too long`, snapshotsOffset, "snapshotsLost");
  for (const { index } of overlong)
    log.told(`Discarding unknown extra data in snapshot table entry ${index}`, snapshotsOffset, "snapshotExtra");
  const incomplete = header.version === 2 ? [] : snapshots.flatMap(({ diskSize }, index) => (diskSize === undefined ? [index] : []));
  for (const index of incomplete) log.told(`ERROR snapshot table entry ${index} is incomplete`, snapshotsOffset, "snapshotEntry");
  return { table: { snapshots, length }, problems: lost + overlong.length + incomplete.length };
}

/** For an image that is sound but for this table. On stable storage when it returns; until the header is switched the old table is in force. */
export async function rewriteSnapshots(
  { file: child, clock }: { readonly file: BlockChild; readonly clock: Clock },
  { snapshots, length }: SnapshotTable,
): Promise<void> {
  const image = await readHeader(child, { forCheck: true });
  const { header } = image;
  const geometry = geometryOf(header);
  const places = { ...image, snapshots, snapshotTableLength: length, bitmaps: await readBitmaps(child, image) };
  const retired: HostSpan[] = [
    { child, childOffset: header.snapshotsOffset, length: clustersFor(geometry, length) * geometry.clusterSize },
  ];
  const state = await openMetadata({
    file: child,
    geometry,
    places,
    context: contextOf(child, clock, retired),
    cacheSizes: cacheSizesOf({}, geometry, header.size),
    behaviour: behaviourOf({ lazyRefcounts: false }, header),
  });
  using guard = await state.lock();
  const { file, writable } = guard.value;
  if (writable === undefined) throw corrupt(child, "the snapshot table cannot be written", header.snapshotsOffset);
  const tables = new NewTables(guard.value, writable);
  const bytes = encodeSnapshotTable(snapshots, header.size);
  const offset = bytes.length === 0 ? 0 : await tables.allocate(bytes.length);
  if (bytes.length > 0) await tables.write(offset, bytes);
  await writable.writeOut.all();
  await file.flush();
  await file.switchSnapshots(snapshots.length, offset);
  for (const span of retired) await writable.references.release(clusterOf(geometry, span.childOffset), clustersFor(geometry, span.length));
  await writable.writeOut.all();
  await file.flush();
}

async function readEntries(child: BlockChild, { snapshotCount, snapshotsOffset }: Header): Promise<SnapshotEntries> {
  const count = Math.min(snapshotCount, MAX_SNAPSHOTS);
  for (let length = 64 * 1024; ; length *= 8) {
    const wanted = Math.min(length, MAX_SNAPSHOT_TABLE_BYTES);
    const bytes = new Uint8Array(Math.max(0, Math.min(wanted, child.size - snapshotsOffset)));
    if (bytes.length > 0) await child.read(snapshotsOffset, bytes);
    const entries = decodeSnapshotEntries(bytes, count);
    if (entries.snapshots.length === count || bytes.length < length) return entries;
  }
}

function refuse(child: BlockChild, { snapshots, overlong }: SnapshotEntries, { snapshotCount, snapshotsOffset }: Header): void {
  const [first] = overlong;
  if (first !== undefined)
    throw corrupt(
      child,
      `snapshot ${first.index} at offset ${hex(snapshotsOffset + first.at)} has ${first.extraLength} bytes of extra data, more than ${MAX_SNAPSHOT_EXTRA_BYTES}; check -r all drops what is not understood of it`,
      snapshotsOffset + first.at,
    );
  if (snapshots.length < snapshotCount)
    throw corrupt(
      child,
      `the header counts ${snapshotCount} snapshots, of which ${snapshots.length} can be; check -r all drops the others`,
      snapshotsOffset,
    );
}

/** Nothing else uses the image, and nothing was linked in it. What is given up is noted, to be released at the end. */
function contextOf(child: BlockChild, clock: Clock, retired: HostSpan[]) {
  return {
    nodeName: child.node.name,
    fileName: child.fileName,
    readOnly: false,
    clock,
    fail: () => {},
    retire: (span: HostSpan) => void retired.push(span),
    empty: () => {},
    dataBarrier: () => Promise.resolve(),
  };
}

function corrupt(child: BlockChild, message: string, offset: number): BlockError {
  return new BlockError("CORRUPT_IMAGE", `${child.fileName}: ${message}`, { node: child.node.name, offset });
}
