/** Makes the disk smaller: what lies behind its new end is given up first, then the header says so, then the file is cut. */

import { assert } from "@coblock/core";
import { EMPTY } from "../format/entries.ts";
import { l1EntriesFor } from "../format/geometry.ts";
import { L1Table } from "../metadata/l1-table.ts";
import type { Metadata, WritableMetadata } from "../metadata/metadata.ts";
import { TableTree } from "../snapshots/table-tree.ts";
import { dropTree } from "../snapshots/tree-references.ts";
import { unmapClusters } from "./clear.ts";
import { GuestAccess } from "./guest-access.ts";
import type { ResizeParts } from "./resize.ts";

/**
 * In exclusive mode, under the driver lock. The order of steps, with a flush between any two: whole L2 tables out of the L1 table and clusters
 * out of the last L2 table, lowered refcounts, the size. A crash leaves the old size, with what was to be lost there in part, or
 * the new one; and leaks at the most. Tables that cannot be counted are refused before anything is changed.
 */
export async function shrinkDisk(parts: ResizeParts, metadata: Metadata, writable: WritableMetadata, size: number): Promise<void> {
  const { geometry, data } = parts;
  const { file } = metadata;
  const tree = new TableTree(metadata, tablesBehind(metadata, l1EntriesFor(geometry, size)));
  await tree.expectCounted(writable.refcounts, 0);
  await unmapRest(parts, metadata, writable, size);
  cutTables(metadata, writable, tree.l1);
  const flush = async (): Promise<void> => {
    await writable.writeOut.all();
    for (const child of new Set([data, file.child])) await child.flush();
  };
  await flush();
  await dropTree(metadata, writable, tree, "shrink");
  await flush();
  if (geometry.externalData && data.size > size) await data.resize(size);
  await file.setSize(size);
}

/** The L1 table without its first `kept` entries. */
function tablesBehind({ file, geometry, l1 }: Metadata, kept: number): L1Table {
  const bytes = new Uint8Array(l1.table.bytes);
  bytes.fill(0, 0, Math.min(kept, l1.entries) * 8);
  return new L1Table(file, geometry, bytes, l1.offset);
}

/** In the table that maps the new end, all whole clusters behind it. */
async function unmapRest(parts: ResizeParts, metadata: Metadata, writable: WritableMetadata, size: number): Promise<void> {
  const { geometry, lookup, backing, clear } = parts;
  const guest = new GuestAccess({ metadata, writable, lookup, backing, clear: clear(metadata) });
  const end = Math.min(l1EntriesFor(geometry, size), metadata.l1.entries) * geometry.l2Coverage;
  // A raw data file is cut itself, whatever the tables say.
  const clearing = { ...clear(metadata), rawDataFile: false, freedBy: "shrink" as const };
  for (let at = Math.ceil(size / geometry.clusterSize) * geometry.clusterSize; at < end;) {
    await guest.load(at);
    const unmapped = await unmapClusters(clearing, at, end - at, true);
    assert(typeof unmapped === "number" && unmapped > 0, "the table is loaded, and can say that there is nothing");
    at += unmapped;
  }
}

function cutTables({ l1 }: Metadata, { map }: WritableMetadata, behind: L1Table): void {
  for (let index = 0; index < l1.entries; index++) {
    const offset = behind.l2Offset(index);
    if (offset === 0) continue;
    l1.table.set(index, EMPTY);
    map.removeL2Table(offset);
  }
}
