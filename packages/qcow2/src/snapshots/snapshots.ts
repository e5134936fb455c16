/** The internal snapshots of an open image: what core asks for, each change as one section under the driver lock. */

import {
  assert,
  BlockError,
  findSnapshot,
  type ImageSnapshots,
  type MachineState,
  type OpenContext,
  type SnapshotInfo,
  type SnapshotSelector,
} from "@coblock/core";
import type { Snapshot } from "../format/snapshot-table.ts";
import type { ImageOwner } from "../image/image-owner.ts";
import { describeSnapshot } from "../image/info.ts";
import type { Metadata, WritableMetadata } from "../metadata/metadata.ts";
import { applySnapshot } from "./apply-snapshot.ts";
import { createSnapshot } from "./create-snapshot.ts";
import { deleteSnapshot } from "./delete-snapshot.ts";

/** What a change of the snapshots works on. */
export interface SnapshotChange {
  readonly owner: ImageOwner;
  readonly metadata: Metadata;
  readonly writable: WritableMetadata;
}

/** Reached through `BlockNode.snapshots`. */
export class Qcow2Snapshots implements ImageSnapshots {
  readonly #owner: ImageOwner;

  constructor(owner: ImageOwner) {
    this.#owner = owner;
  }

  list(): readonly SnapshotInfo[] {
    return this.#owner.description.snapshots.map(describeSnapshot);
  }

  async create(name: string, machine: MachineState): Promise<SnapshotInfo> {
    return describeSnapshot(await this.#change((change) => createSnapshot(change, name, machine)));
  }

  async apply(selector: SnapshotSelector): Promise<void> {
    await this.#change((change) => applySnapshot(change, selectedSnapshot(this.#owner, selector)));
  }

  async delete(selector: SnapshotSelector): Promise<SnapshotInfo> {
    const snapshot = await this.#change(async (change) => {
      const selected = selectedSnapshot(this.#owner, selector);
      await deleteSnapshot(change, selected);
      return selected;
    });
    return describeSnapshot(snapshot);
  }

  async #change<T>(work: (change: SnapshotChange) => Promise<T>): Promise<T> {
    const { state, geometry, context } = this.#owner;
    if (geometry.externalData)
      throw new BlockError("UNSUPPORTED_FEATURE", `${context.fileName}: an image with a data file has no snapshots`, {
        node: context.nodeName,
      });
    using guard = await state.lock({ who: "snapshots" });
    const { writable } = guard.value;
    assert(writable !== undefined, "an image whose snapshots change was opened for writing");
    // The tables are then on disk as they are in memory, and nothing is left to be given up.
    await writable.writeOut.all();
    return await work({ owner: this.#owner, metadata: guard.value, writable });
  }
}

/** Throws NOT_FOUND. */
export function selectedSnapshot(
  { description, context }: Pick<ImageOwner, "description"> & { readonly context: Pick<OpenContext, "fileName" | "nodeName"> },
  selector: SnapshotSelector,
): Snapshot {
  const found = findSnapshot(description.snapshots, selector);
  if (found !== undefined) return found;
  const words = typeof selector === "string" ? `'${selector}'` : JSON.stringify(selector);
  throw new BlockError("NOT_FOUND", `${context.fileName}: there is no snapshot ${words}`, { node: context.nodeName });
}
