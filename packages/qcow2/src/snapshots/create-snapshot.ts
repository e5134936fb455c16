/** Makes a snapshot: a copy of the L1 table that shares all that the active one leads to. */

import { BlockError, type MachineState } from "@coblock/core";
import { MAX_SNAPSHOT_NAME_BYTES, MAX_SNAPSHOTS } from "../format/limits.ts";
import type { Snapshot } from "../format/snapshot-table.ts";
import { isStorableName } from "../format/stored-name.ts";
import type { ImageOwner } from "../image/image-owner.ts";
import { expectRoomForState } from "../image/vm-state.ts";
import { NewTables } from "../metadata/new-tables.ts";
import { switchList, writeList } from "./snapshot-list.ts";
import type { SnapshotChange } from "./snapshots.ts";
import { TableTree } from "./table-tree.ts";
import { clearCopied, restoreCopied, TreeReferences } from "./tree-references.ts";
import { orUndo } from "../metadata/undo.ts";

/**
 * First COPIED goes from the active tables, then the refcounts rise, then the header points to the new list: at no moment does the flag
 * on disk promise more than is true, and a crash leaves clusters that are copied without need, or leaks. Refused before anything is
 * changed where a refcount has no room.
 */
export async function createSnapshot(change: SnapshotChange, name: string, machine: MachineState): Promise<Snapshot> {
  const { owner, metadata, writable } = change;
  const { file, l1 } = metadata;
  const named = nameSnapshot(owner, name, machine);
  const tree = new TableTree(metadata, l1);
  await tree.expectCounted(writable.refcounts, 1);
  const tables = new NewTables(metadata, writable);
  const references = new TreeReferences(metadata, writable, tree);
  // A disk of no bytes has no L1 table; its snapshot has one without a use.
  const l1Entries = Math.max(l1.entries, 1);
  const prepare = async () => {
    const l1Offset = await tables.allocate(l1Entries * 8);
    const snapshot: Snapshot = { ...named, l1Offset, l1Entries };
    const list = await writeList(change, tables, [...owner.description.snapshots, snapshot]);
    await clearCopied(metadata, tree);
    await writable.writeOut.all();
    await file.flush();
    await references.raise();
    const bytes = new Uint8Array(l1Entries * 8);
    bytes.set(l1.table.bytes);
    await tables.write(l1Offset, bytes);
    await writable.writeOut.all();
    await file.flush();
    return { snapshot, list };
  };
  const undo = [() => references.undo(), () => restoreCopied(metadata, writable), () => tables.giveBack()];
  const { snapshot, list } = await orUndo(prepare, undo);
  await switchList(change, list);
  return snapshot;
}

function nameSnapshot(owner: ImageOwner, name: string, machine: MachineState): Omit<Snapshot, "l1Offset" | "l1Entries"> {
  const { description, context, size } = owner;
  const { vmStateSize = 0, vmClockNanoseconds = 0n, icount = 0n } = machine;
  if (vmStateSize > 0) expectRoomForState(owner, vmStateSize);
  const fail = (reason: string): never => {
    throw new BlockError("INVALID_OPTION", `${context.fileName}: ${reason}`, { node: context.nodeName });
  };
  const { snapshots } = description;
  if (!isStorableName(name)) fail("the name of a snapshot is text without NUL");
  const nameBytes = new TextEncoder().encode(name);
  if (nameBytes.length > MAX_SNAPSHOT_NAME_BYTES)
    fail(`the name of a snapshot has at most ${MAX_SNAPSHOT_NAME_BYTES} bytes, not ${nameBytes.length}`);
  if (snapshots.length >= MAX_SNAPSHOTS) fail(`the image has ${snapshots.length} snapshots, and can have no more`);
  const id = nextId(snapshots);
  const nowMs = Math.max(0, Math.floor(context.clock.wallTime()));
  return {
    id,
    name,
    dateSeconds: Math.floor(nowMs / 1000) % 2 ** 32,
    dateNanoseconds: (nowMs % 1000) * 1_000_000,
    vmClockNanoseconds,
    vmStateSize,
    diskSize: size,
    icount,
    raw: { id: new TextEncoder().encode(id), name: nameBytes, unknownExtra: new Uint8Array(0) },
  };
}

/** One more than the largest number that an ID begins with, as in QEMU. */
function nextId(snapshots: readonly Snapshot[]): string {
  let largest = 0n;
  for (const { id } of snapshots) {
    const number = BigInt(/^\d+/.exec(id)?.[0] ?? "0");
    if (number > largest) largest = number;
  }
  return String(largest + 1n);
}
