/** One damaged QED image through everything that can be done with it, each answer held against the reference. */

import { type BlockNode, BlockGraph, type NodeOptions, rawDriver, SimulatedClock } from "@coblock/core";
import { qedDriver } from "@coblock/qed";
import { SeededRandom } from "@coblock/testing";
import { type FuzzCase, mutate } from "./fuzz-case.ts";
import { FuzzStorage } from "./fuzz-storage.ts";
import { blockErrorOf, fail, isReadAs, orBrokenRule, type Window } from "./judgement.ts";
import { backingBytes, BASES, CLUSTER, qedBase } from "./qed-bases.ts";
import { qedMutations } from "./qed-mutations.ts";
import { type Change, changedBytes, makeChanges } from "./qed-changes.ts";
import { QedReference } from "./qed-reference.ts";
import type { SparseBytes } from "./sparse-bytes.ts";

const PIECE = 64 * 1024;
/** Of a larger disk the beginning, the end and places between are read. */
const READ_IN_FULL = 5 * 1024 * 1024;
const MOST_RUNS = 50_000;
/** A bad L1 entry is one for every cluster that it should lead to: more of them tell nothing new. */
const MOST_BAD_CLUSTERS = 20_000;
const NEED_CHECK = 2;

/** The case of a seed. */
export function makeQedCase(seed: number): FuzzCase {
  const random = new SeededRandom(seed);
  const base = random.pick(BASES);
  return { base, mutations: qedMutations(qedBase(base), random), seed };
}

/** The damaged file of a case. */
export function qedBytes({ base, mutations }: FuzzCase): SparseBytes {
  const { bytes } = qedBase(base);
  mutate(bytes, mutations);
  return bytes;
}

/** Throws where an answer is wrong, an error is not a plain `BlockError`, or a limit is passed. */
export async function runQedCase(fuzzCase: FuzzCase): Promise<"opened" | "refused"> {
  const bytes = qedBytes(fuzzCase);
  const backing = backingBytes(fuzzCase.base);
  const reference = orBrokenRule(() => new QedReference(bytes, backing));
  const random = new SeededRandom(fuzzCase.seed);
  await readEverything(bytes, backing, reference, windowsOf(reference, random));
  if (reference instanceof QedReference) await writeAndReopen(bytes.copy(), backing, reference, random);
  else await expectRefusal(bytes, backing, reference, false);
  return reference instanceof QedReference ? "opened" : "refused";
}

function windowsOf(reference: QedReference | RangeError, random: SeededRandom): Window[] {
  if (!(reference instanceof QedReference)) return [];
  const { imageSize, span, clusterSize } = reference;
  const spots =
    imageSize <= READ_IN_FULL
      ? []
      : [imageSize - CLUSTER, span - CLUSTER, span * 2 - 512, Math.floor(random.next() * imageSize), clusterSize];
  const windows = [{ offset: 0, length: Math.min(imageSize, READ_IN_FULL) }, ...spots.map((offset) => ({ offset, length: 2 * CLUSTER }))];
  return windows
    .filter(({ offset }) => offset >= 0 && offset < imageSize)
    .map(({ offset, length }) => ({ offset, length: Math.min(length, imageSize - offset) }));
}

/** Opens the image, uses it, closes all, and looks whether the limits were kept. */
async function withImage<T>(
  bytes: SparseBytes,
  backing: SparseBytes | undefined,
  readOnly: boolean,
  use: (disk: BlockNode, graph: BlockGraph) => Promise<T>,
): Promise<T> {
  const storage = new FuzzStorage(backing === undefined ? { image: bytes } : { image: bytes, backing });
  try {
    await using graph = new BlockGraph({ drivers: [storage.entry, rawDriver, qedDriver], clock: new SimulatedClock() });
    const below: NodeOptions | null = backing === undefined ? null : { driver: "raw", file: { driver: "fuzz", filename: "backing" } };
    const disk = await graph.open({ driver: "qed", file: { driver: "fuzz", filename: "image" }, backing: below }, { readOnly });
    return await use(disk, graph);
  } finally {
    if (storage.broken !== undefined) fail(`the code needs ${storage.broken}`);
    if (readOnly && storage.writes > 0) fail("it was opened read-only and written");
  }
}

async function expectRefusal(bytes: SparseBytes, backing: SparseBytes | undefined, rule: RangeError, readOnly: boolean): Promise<void> {
  const error = await blockErrorOf(() => withImage(bytes, backing, readOnly, () => Promise.resolve()));
  if (error === undefined) fail(`it was opened, although it breaks the rule of ${rule.message}`);
}

/** Reads, status, check and info: exactly what the reference says, and errors exactly where it has some. */
async function readEverything(
  bytes: SparseBytes,
  backing: SparseBytes | undefined,
  reference: QedReference | RangeError,
  windows: readonly Window[],
): Promise<void> {
  if (!(reference instanceof QedReference)) return expectRefusal(bytes, backing, reference, true);
  await withImage(bytes, backing, true, async (disk) => {
    if (disk.size !== reference.imageSize) fail(`its size is ${disk.size}`);
    const info = await disk.info();
    const name =
      reference.backingName === undefined ? undefined : new TextDecoder("utf-8", { ignoreBOM: true }).decode(reference.backingName);
    if (info.backing?.filename !== name || info.dirty !== (reference.features & NEED_CHECK) > 0) fail(`info tells ${JSON.stringify(info)}`);
    for (const { offset, length } of windows) {
      for (let at = offset; at < offset + length; at += PIECE) await readPiece(disk, reference, at, Math.min(PIECE, offset + length - at));
    }
    await walkStatus(disk, reference);
    const counted = await disk.check({ repair: "none" });
    const { corruptions, leaks } = reference.check();
    if (counted?.corruptions !== corruptions || counted.leaks !== leaks || counted.errors !== 0) {
      fail(`check counts ${JSON.stringify(counted)}, not ${corruptions} corruptions and ${leaks} leaks`);
    }
  });
}

/** A piece with a bad cluster in it fails whole, and then is read cluster by cluster. */
async function readPiece(disk: BlockNode, reference: QedReference, offset: number, length: number): Promise<void> {
  if (await isReadAs(disk, { offset, length }, reference.read(offset, length))) return;
  const { clusterSize } = reference;
  const split = clusterSize - (offset % clusterSize);
  if (split >= length) return;
  let previous: unknown;
  for (let at = offset; at < offset + length;) {
    const part = Math.min(clusterSize - (at % clusterSize), offset + length - at);
    const place = reference.placeOf(Math.floor(at / clusterSize));
    // Of bad clusters in a row, as behind a bad L1 entry, one is enough.
    if (place !== "corrupt" || previous !== "corrupt") await readPiece(disk, reference, at, part);
    previous = place;
    at += part;
  }
}

/** Every run from the beginning to the end of the disk; what cannot be told is passed over by the cluster. */
async function walkStatus(disk: BlockNode, reference: QedReference): Promise<void> {
  const { clusterSize, imageSize } = reference;
  for (let offset = 0, runs = 0, bad = 0; offset < imageSize && bad < MOST_BAD_CLUSTERS;) {
    if (runs === MOST_RUNS) fail(`status does not come to an end: ${offset} after ${runs} runs`);
    const place = reference.placeOf(Math.floor(offset / clusterSize));
    let length = clusterSize;
    const error = await blockErrorOf(async () => {
      const run = await disk.status(offset, imageSize - offset);
      const kind = typeof place === "number" ? "data" : place;
      if (run.kind !== kind || (kind === "data" && run.location?.childOffset !== place))
        fail(`status of ${offset} is ${run.kind}, not ${place}`);
      const last = reference.placeOf(Math.floor((offset + run.length - 1) / clusterSize));
      const lastKind = typeof last === "number" ? "data" : last;
      if (run.length <= 0 || lastKind !== kind) fail(`the ${kind} from ${offset} on is said to have ${run.length} bytes`);
      length = run.length;
    });
    if (error === undefined) runs++;
    else bad++;
    if ((error === undefined) === (place === "corrupt")) fail(`status of ${offset}, which is ${place}: ${String(error)}`);
    offset += length;
  }
}

/** Writes into a copy, and reads it anew with the reference. */
async function writeAndReopen(
  bytes: SparseBytes,
  backing: SparseBytes | undefined,
  before: QedReference,
  random: SeededRandom,
): Promise<void> {
  const old = new QedReference(bytes.copy(), backing);
  const { twice, soon, mappings } = old.check();
  const unclean = (before.features & NEED_CHECK) > 0;
  const changes = makeChanges(old, random);
  const error = await blockErrorOf(() =>
    withImage(bytes, backing, false, async (disk) => {
      // Repaired by now, where it was not closed cleanly.
      const opened = new QedReference(bytes.copy(), backing);
      expectKept(mappings, opened);
      for (const change of changes) await apply(disk, change, opened, twice + soon === 0);
      await disk.flush();
      await disk.check({ repair: twice + soon === 0 ? "all" : "none" });
    }),
  );
  if (error !== undefined) {
    if (twice === 0 && soon === 0) fail(`a sound image cannot be written: ${error.message}`);
    if (unclean && twice > 0) return expectKept(mappings, new QedReference(bytes, backing));
    return;
  }
  if (unclean && twice > 0) fail("it was not closed cleanly, its clusters are used twice, and it was opened for writing");
  const after = orBrokenRule(() => new QedReference(bytes, backing));
  if (!(after instanceof QedReference)) fail(`its header now breaks the rule of ${after.message}`);
  const windows = windowsOf(after, random);
  if (twice + soon === 0) expectChanged(old, after, changes, windows, unclean);
  await readEverything(bytes, backing, after, [...changes, ...windows.slice(1)]);
}

function expectKept(mappings: ReadonlyMap<number, number>, after: QedReference): void {
  const kept = after.check().mappings;
  for (const [cluster, offset] of mappings) {
    if (kept.get(cluster) !== offset) fail(`cluster ${cluster} was at ${offset}, and is at ${String(kept.get(cluster))} after the repair`);
  }
}

/** A change that fails must have met a bad entry; what it did until then is not known. */
async function apply(disk: BlockNode, change: Change, reference: QedReference, sound: boolean): Promise<void> {
  const error = await blockErrorOf(() =>
    change.bytes === undefined ? disk.writeZeroes(change.offset, change.length) : disk.write(change.offset, change.bytes),
  );
  if (error === undefined) return;
  change.failed = true;
  if (sound && reference.read(change.offset, change.length) !== undefined)
    fail(`bytes ${change.offset} cannot be written: ${error.message}`);
}

function expectChanged(
  old: QedReference,
  after: QedReference,
  changes: readonly Change[],
  windows: readonly Window[],
  unclean: boolean,
): void {
  if ((after.features & NEED_CHECK) > 0 && !changes.some(({ failed }) => failed)) fail("it was closed, and has NEED_CHECK");
  if (after.check().corruptions > 0) fail("it was repaired, and has corruptions");
  for (const { offset, length } of [...windows, ...changes]) {
    for (let at = offset; at < offset + length; at += CLUSTER) {
      const part = Math.min(CLUSTER, offset + length - at);
      const expected = changedBytes(old, changes, at, part);
      const found = after.read(at, part);
      if (expected !== undefined && (found === undefined || Buffer.compare(expected, found) !== 0)) {
        fail(`bytes ${at} to ${at + part} are wrong after writing${unclean ? " and repair" : ""}`);
      }
    }
  }
}
