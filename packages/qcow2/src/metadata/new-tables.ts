/** Tables that go to new space before the header points to them; until then they can be given back. */

import { clustersFor } from "../format/geometry.ts";
import type { ClusterRun } from "./free-runs.ts";
import type { Metadata, WritableMetadata } from "./metadata.ts";

export class NewTables {
  readonly #metadata: Metadata;
  readonly #writable: WritableMetadata;
  readonly #runs: ClusterRun[] = [];

  constructor(metadata: Metadata, writable: WritableMetadata) {
    this.#metadata = metadata;
    this.#writable = writable;
  }

  /** Offset of space for `length` bytes, at least 1. */
  async allocate(length: number): Promise<number> {
    const { geometry } = this.#metadata;
    const { clusters } = this.#writable;
    const count = clustersFor(geometry, length);
    const first = count === 1 ? (await clusters.allocate(1)).first : await clusters.allocateContiguous(count);
    this.#runs.push({ first, count });
    return first * geometry.clusterSize;
  }

  /** Whole clusters: what is behind the table in its last one is zeros, not what was there before. */
  async write(offset: number, bytes: Uint8Array): Promise<void> {
    const { file, geometry } = this.#metadata;
    const whole = new Uint8Array(clustersFor(geometry, bytes.length) * geometry.clusterSize);
    whole.set(bytes);
    await file.write(offset, whole);
  }

  async giveBack(): Promise<void> {
    for (const { first, count } of this.#runs.splice(0)) await this.#writable.clusters.giveBack(first, count);
  }
}
