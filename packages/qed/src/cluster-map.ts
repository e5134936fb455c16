/** A set of clusters of a file: one bit each, in memory that grows with the set and not with the length of the file. */

const CHUNK_CLUSTERS = 32 * 1024;

export class ClusterMap {
  readonly #chunks: Map<number, Uint8Array> = new Map();

  /** Answers whether the cluster is new. */
  add(cluster: number): boolean {
    const key = Math.floor(cluster / CHUNK_CLUSTERS);
    const chunk = this.#chunks.get(key) ?? new Uint8Array(CHUNK_CLUSTERS / 8);
    this.#chunks.set(key, chunk);
    const index = Math.floor((cluster % CHUNK_CLUSTERS) / 8);
    const before = chunk[index] ?? 0;
    chunk[index] = before | (1 << (cluster % 8));
    return chunk[index] !== before;
  }

  /** What is missing in [start, end), as runs in order. */
  *gaps(start: number, end: number): Generator<{ readonly start: number; readonly end: number }> {
    let gap = start;
    for (let cluster = start; cluster < end; cluster++) {
      const chunk = this.#chunks.get(Math.floor(cluster / CHUNK_CLUSTERS));
      if (chunk === undefined) {
        cluster += CHUNK_CLUSTERS - 1 - (cluster % CHUNK_CLUSTERS);
      } else if (((chunk[Math.floor((cluster % CHUNK_CLUSTERS) / 8)] ?? 0) & (1 << (cluster % 8))) !== 0) {
        if (cluster > gap) yield { start: gap, end: cluster };
        gap = cluster + 1;
      }
    }
    if (end > gap) yield { start: gap, end };
  }
}
