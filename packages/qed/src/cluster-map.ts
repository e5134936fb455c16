/** Which clusters of a file are in use: one bit each, in memory that grows with the used ones and not with the length of the file. */

const CHUNK_BYTES = 4096;
const CHUNK_CLUSTERS = CHUNK_BYTES * 8;

export class ClusterMap {
  readonly #chunks: Map<number, Uint8Array> = new Map();

  /** Answers whether the cluster was free until now. */
  use(cluster: number): boolean {
    const key = Math.floor(cluster / CHUNK_CLUSTERS);
    const chunk = this.#chunks.get(key) ?? new Uint8Array(CHUNK_BYTES);
    this.#chunks.set(key, chunk);
    const index = Math.floor((cluster % CHUNK_CLUSTERS) / 8);
    const before = chunk[index] ?? 0;
    chunk[index] = before | (1 << (cluster % 8));
    return chunk[index] !== before;
  }

  /** Runs of free clusters in [start, end), in order. */
  *freeRuns(start: number, end: number): Generator<{ readonly start: number; readonly end: number }> {
    let runStart = start;
    for (let cluster = start; cluster < end; cluster++) {
      const chunk = this.#chunks.get(Math.floor(cluster / CHUNK_CLUSTERS));
      if (chunk === undefined) {
        cluster += CHUNK_CLUSTERS - 1 - (cluster % CHUNK_CLUSTERS);
      } else if (((chunk[Math.floor((cluster % CHUNK_CLUSTERS) / 8)] ?? 0) & (1 << (cluster % 8))) !== 0) {
        if (cluster > runStart) yield { start: runStart, end: cluster };
        runStart = cluster + 1;
      }
    }
    if (end > runStart) yield { start: runStart, end };
  }
}
