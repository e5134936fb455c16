/** A set of clusters of a file, in memory that grows with the set and not with the length of the file. */

/** So many neighbours share a chunk. */
const CHUNK_CLUSTERS = 32 * 1024;
/** A chunk with more clusters than this has one bit for each of its places. */
const MOST_LISTED = 32;

export class ClusterMap {
  /** Places in a chunk: a list while they are few, then bits. */
  readonly #chunks: Map<number, number[] | Uint8Array> = new Map();

  /** Answers whether the cluster is new. */
  add(cluster: number): boolean {
    const key = Math.floor(cluster / CHUNK_CLUSTERS);
    const place = cluster % CHUNK_CLUSTERS;
    const chunk = this.#chunks.get(key) ?? [];
    if (!Array.isArray(chunk)) return setBit(chunk, place);
    if (chunk.includes(place)) return false;
    chunk.push(place);
    this.#chunks.set(key, chunk.length > MOST_LISTED ? asBits(chunk) : chunk);
    return true;
  }

  /** What is missing in [start, end), as runs in order. */
  *gaps(start: number, end: number): Generator<{ readonly start: number; readonly end: number }> {
    let gap = start;
    for (const cluster of this.#inOrder()) {
      if (cluster >= end) break;
      if (cluster > gap) yield { start: gap, end: cluster };
      gap = Math.max(gap, cluster + 1);
    }
    if (end > gap) yield { start: gap, end };
  }

  *#inOrder(): Generator<number> {
    for (const [key, chunk] of [...this.#chunks].sort(([a], [b]) => a - b)) {
      const places = Array.isArray(chunk) ? [...chunk].sort((a, b) => a - b) : placesIn(chunk);
      for (const place of places) yield key * CHUNK_CLUSTERS + place;
    }
  }
}

function asBits(places: readonly number[]): Uint8Array {
  const bits = new Uint8Array(CHUNK_CLUSTERS / 8);
  for (const place of places) setBit(bits, place);
  return bits;
}

/** Answers whether it was clear. */
function setBit(bits: Uint8Array, place: number): boolean {
  const index = Math.floor(place / 8);
  const before = bits[index] ?? 0;
  bits[index] = before | (1 << (place % 8));
  return bits[index] !== before;
}

function* placesIn(bits: Uint8Array): Generator<number> {
  for (const [index, byte] of bits.entries()) {
    for (let bit = 0; byte >= 1 << bit; bit++) if ((byte & (1 << bit)) !== 0) yield index * 8 + bit;
  }
}
