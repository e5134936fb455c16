/** One damaged qcow2 image through everything that can be done with it, its bytes held against the reference. */

import { type BlockNode, BlockError, BlockGraph, type CheckResult, type NodeOptions, rawDriver, SimulatedClock } from "@coblock/core";
import { qcow2Driver } from "@coblock/qcow2";
import { SeededRandom } from "@coblock/testing";
import { type FuzzCase, mutate } from "./fuzz-case.ts";
import { FuzzStorage } from "./fuzz-storage.ts";
import { blockErrorOf, fail, isReadAs, orBrokenRule, type Window } from "./judgement.ts";
import { qcow2Backing, qcow2Base, QCOW2_BASES, QCOW2_SECRETS } from "./qcow2-bases.ts";
import { qcow2Mutations } from "./qcow2-mutations.ts";
import { Qcow2Reference } from "./qcow2-reference.ts";
import type { SparseBytes } from "./sparse-bytes.ts";

const PIECE = 64 * 1024;
/** Of a larger disk the beginning, the end and places between are read. */
const READ_IN_FULL = 4 * 1024 * 1024;
const MOST_RUNS = 20_000;
const UNWRITABLE = 3n;

/** The case of a seed. */
export function makeQcow2Case(seed: number): FuzzCase {
  const random = new SeededRandom(seed);
  const base = random.pick(QCOW2_BASES);
  return { base, mutations: qcow2Mutations(qcow2Base(base), random), seed };
}

/** The damaged file of a case. */
export function qcow2Bytes({ base, mutations }: FuzzCase): SparseBytes {
  const { bytes } = qcow2Base(base);
  mutate(bytes, mutations);
  return bytes;
}

/** Throws where a byte is wrong, an error is not a plain `BlockError`, or a limit is passed. */
export async function runQcow2Case(fuzzCase: FuzzCase): Promise<"opened" | "refused"> {
  const bytes = qcow2Bytes(fuzzCase);
  const backing = qcow2Backing(fuzzCase.base);
  const reference = orBrokenRule(() => new Qcow2Reference(bytes, backing));
  const random = new SeededRandom(fuzzCase.seed);
  const found = await readEverything(bytes, backing, reference, random);
  await writeAndReopen(bytes.copy(), backing, found, random);
  if (random.chance(0.25)) await repairAndRead(bytes.copy(), backing, found);
  return found === undefined ? "refused" : "opened";
}

function windowsOf({ size, clusterSize }: Qcow2Reference, random: SeededRandom): Window[] {
  const spots =
    size <= READ_IN_FULL ? [] : [size - 2 * clusterSize, Math.floor(random.next() * size), (clusterSize * clusterSize) / 8 - clusterSize];
  return [{ offset: 0, length: Math.min(size, READ_IN_FULL) }, ...spots.map((offset) => ({ offset, length: 2 * clusterSize }))]
    .filter(({ offset }) => offset >= 0 && offset < size)
    .map(({ offset, length }) => ({ offset: offset - (offset % 512), length: Math.min(length, size - offset) }));
}

/** Opens the image, uses it, closes all, and looks whether the limits were kept. */
async function withImage<T>(
  bytes: SparseBytes,
  backing: SparseBytes | undefined,
  how: { readonly readOnly: boolean; readonly forCheck?: boolean },
  use: (disk: BlockNode) => Promise<T>,
): Promise<T> {
  const storage = new FuzzStorage(backing === undefined ? { image: bytes } : { image: bytes, backing });
  try {
    await using graph = new BlockGraph({
      drivers: [storage.entry, rawDriver, qcow2Driver],
      clock: new SimulatedClock(),
      secrets: QCOW2_SECRETS,
    });
    const below: NodeOptions | null = backing === undefined ? null : { driver: "raw", file: { driver: "fuzz", filename: "backing" } };
    const options = {
      driver: "qcow2",
      file: { driver: "fuzz", filename: "image" },
      backing: below,
      cacheCleanInterval: 0,
      encrypt: { keySecret: "sec0" },
    } as const;
    return await use(await graph.open(options, how));
  } finally {
    if (storage.broken !== undefined) fail(`the code needs ${storage.broken}`);
    if (how.readOnly && storage.writes > 0) fail("it was opened read-only and written");
  }
}

/** An image that could be opened. */
interface Found {
  readonly reference: Qcow2Reference;
  readonly check: CheckResult | undefined;
  readonly windows: readonly Window[];
}

/** Reads, status, check and info: the bytes that the reference has, and errors exactly where it has none. `undefined`: it was refused. */
async function readEverything(
  bytes: SparseBytes,
  backing: SparseBytes | undefined,
  reference: Qcow2Reference | RangeError,
  random: SeededRandom,
): Promise<Found | undefined> {
  let found: Found | undefined;
  const refusal = await blockErrorOf(() =>
    withImage(bytes, backing, { readOnly: true }, async (disk) => {
      if (!(reference instanceof Qcow2Reference)) return fail(`it was opened, although it breaks the rule of ${reference.message}`);
      if (disk.size !== reference.size) fail(`its size is ${disk.size}, not ${reference.size}`);
      await disk.info();
      const windows = windowsOf(reference, random);
      for (const window of windows) {
        if (!reference.isOpaque) await readWindow(disk, reference, window);
        else await blockErrorOf(() => disk.read(window.offset, new Uint8Array(window.length)));
      }
      await blockErrorOf(() => walkStatus(disk));
      let check: CheckResult | undefined;
      await blockErrorOf(async () => (check = await disk.check({ repair: "none" })));
      found = { reference, check, windows };
    }),
  );
  if (refusal === undefined || found !== undefined) return found;
  if (reference instanceof Qcow2Reference && !reference.hasMore)
    fail(`it breaks no rule of the header, and is refused: ${refusal.message}`);
  return undefined;
}

async function readWindow(disk: BlockNode, reference: Qcow2Reference, { offset, length }: Window): Promise<void> {
  for (let at = offset; at < offset + length; at += PIECE) await readPiece(disk, reference, at, Math.min(PIECE, offset + length - at));
}

/** A piece with a bad cluster in it fails whole, and then is read in halves, by whole sectors. */
async function readPiece(disk: BlockNode, reference: Qcow2Reference, offset: number, length: number): Promise<void> {
  if (await isReadAs(disk, { offset, length }, reference.read(offset, length))) return;
  if (length <= Math.max(512, reference.clusterSize / 32)) return;
  const half = Math.ceil(length / 1024) * 512;
  await readPiece(disk, reference, offset, half);
  if (half < length) await readPiece(disk, reference, offset + half, length - half);
}

async function walkStatus(disk: BlockNode): Promise<void> {
  let runs = 0;
  let end = 0;
  for await (const { offset, length } of disk.extents({ throughBacking: false })) {
    if (offset !== end || length <= 0) fail(`status: a run of ${length} bytes at ${offset} follows the end of another at ${end}`);
    end = offset + length;
    if (++runs > MOST_RUNS) return;
  }
}

interface Change {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

function changesOf({ size, clusterSize }: Qcow2Reference, random: SeededRandom): Change[] {
  if (size === 0) return [];
  return Array.from({ length: random.between(1, 4) }, () => {
    const near = random.pick([0, 5 * clusterSize, 12 * clusterSize, 20 * clusterSize, size - 1, Math.floor(random.next() * size)]);
    const offset = Math.min(Math.max(0, near - random.below(600)), size - 1);
    const bytes = random.chance(0.3)
      ? new Uint8Array(random.between(1, 3 * clusterSize))
      : random.bytes(random.between(1, 3 * clusterSize));
    return { offset, bytes: bytes.subarray(0, size - offset) };
  });
}

/**
 * Repairs a copy, after a dry run. What could be read is what it was; what is called sound is sound, and the dry run told all of it. What stays
 * damaged may hide what a later check would need.
 */
async function repairAndRead(bytes: SparseBytes, backing: SparseBytes | undefined, found: Found | undefined): Promise<void> {
  const before = bytes.copy();
  const how = { readOnly: false, forCheck: true } as const;
  const checks: CheckResult[] = [];
  const refusal = await blockErrorOf(async () => {
    for (const dryRun of [true, false]) {
      const options = { repair: "all", dryRun } as const;
      checks.push(
        (await withImage(bytes, backing, { ...how, readOnly: dryRun }, (disk) => disk.check(options))) ?? fail("there is no check"),
      );
    }
    checks.push((await withImage(bytes, backing, how, (disk) => disk.check({ repair: "all" }))) ?? fail("there is no check"));
  });
  const [planned, done, again] = checks;
  const isMended = planned !== undefined && planned.errors + planned.corruptions + planned.leaks === 0;
  if (refusal !== undefined && isMended && refusal.code !== "OUT_OF_RANGE") fail(`what a dry run repairs fails: ${refusal.message}`);
  if (done !== undefined && again !== undefined) expectRepaired(planned, done, again);
  if (found === undefined || found.reference.isOpaque) return;
  const [old, now] = [new Qcow2Reference(before, backing), orBrokenRule(() => new Qcow2Reference(bytes, backing))];
  if (!(now instanceof Qcow2Reference)) return fail(`after a repair its header breaks the rule of ${now.message}`);
  for (const { offset, length } of found.windows) {
    for (let at = offset; at < offset + length; at += 512) {
      const [was, is] = [old.read(at, 512), now.read(at, 512)];
      if (was !== undefined && (is === undefined || Buffer.compare(was, is) !== 0)) fail(`bytes ${at} to ${at + 512} changed in a repair`);
    }
  }
}

/** Of structures that lie over each other, of which some stay damaged, nobody can tell what a change of one is for the other. */
function expectRepaired(planned: CheckResult | undefined, done: CheckResult, again: CheckResult): void {
  const totals = ({ errors, corruptions, leaks, corruptionsFixed, leaksFixed }: CheckResult): string =>
    JSON.stringify({ errors, corruptions, leaks, corruptionsFixed, leaksFixed });
  if (done.errors + done.corruptions + done.leaks > 0) return;
  if (planned === undefined || totals(planned) !== totals(done))
    fail(`a dry run says ${JSON.stringify(planned)}, the repair ${totals(done)}`);
  const left = { errors: 0, corruptions: 0, leaks: 0, corruptionsFixed: 0, leaksFixed: 0 };
  if (totals(again) !== totals({ ...again, ...left })) fail(`a repair leaves nothing, and another one finds ${totals(again)}`);
}

/** Writes into a copy. Where the check found nothing wrong before, it finds nothing after, and every byte is the old one or the new. */
async function writeAndReopen(
  bytes: SparseBytes,
  backing: SparseBytes | undefined,
  found: Found | undefined,
  random: SeededRandom,
): Promise<void> {
  const sound =
    found?.check !== undefined && found.check.errors + found.check.corruptions === 0 && (found.reference.incompatible & UNWRITABLE) === 0n;
  const before = bytes.copy();
  const changes = found === undefined ? [] : changesOf(found.reference, random);
  const error = await blockErrorOf(() =>
    withImage(bytes, backing, { readOnly: false }, async (disk) => {
      for (const { offset, bytes: written } of changes) {
        const failure = await blockErrorOf(() => disk.write(offset, written));
        if (failure !== undefined && sound && isReadable(found.reference, offset, written.length))
          fail(`bytes ${offset} of a sound image cannot be written: ${failure.message}`);
      }
      await disk.discard(0, Math.min(disk.size, PIECE) - (Math.min(disk.size, PIECE) % 512)).catch(onlyBlockErrors);
      await disk.flush().catch(onlyBlockErrors);
    }),
  );
  if (!sound || found.reference.isOpaque) return;
  if (error !== undefined) {
    if (found.reference.hasMore || error.code === "UNSUPPORTED_FEATURE") return;
    fail(`a sound image cannot be written: ${error.message}`);
  }
  const after = orBrokenRule(() => new Qcow2Reference(bytes, backing));
  if (!(after instanceof Qcow2Reference)) return fail(`its header now breaks the rule of ${after.message}`);
  expectChanged(new Qcow2Reference(before, backing), after, changes);
  await withImage(bytes, backing, { readOnly: true }, async (disk) => {
    const check = await disk.check({ repair: "none" });
    if (check === undefined || check.errors + check.corruptions > 0)
      fail(`a sound image was written, and check counts ${JSON.stringify(check)}`);
  });
}

/** Whether all clusters can be read of which a write changes a part: what it does not change is copied. */
function isReadable(reference: Qcow2Reference, offset: number, length: number): boolean {
  const start = offset - (offset % reference.clusterSize);
  const end = Math.min(Math.ceil((offset + length) / reference.clusterSize) * reference.clusterSize, reference.size);
  return reference.read(start, end - start) !== undefined;
}

function onlyBlockErrors(error: unknown): void {
  if (!(error instanceof BlockError)) throw error;
}

/** Behind what was discarded, up to 64 KiB, zeros are all right. */
function expectChanged(old: Qcow2Reference, after: Qcow2Reference, changes: readonly Change[]): void {
  for (const { offset, bytes } of changes) {
    const expected = old.read(offset, bytes.length);
    if (expected === undefined) continue;
    for (const change of changes) {
      const start = Math.max(offset, change.offset);
      const end = Math.min(offset + bytes.length, change.offset + change.bytes.length);
      if (start < end) expected.set(change.bytes.subarray(start - change.offset, end - change.offset), start - offset);
    }
    const found = after.read(offset, bytes.length);
    const wrong =
      found === undefined ? 0 : found.findIndex((byte, index) => byte !== expected[index] && (byte !== 0 || offset + index >= PIECE));
    if (wrong !== -1) fail(`the byte at ${offset + wrong} is wrong after writing`);
  }
}
