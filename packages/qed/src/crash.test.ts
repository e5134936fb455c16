/** Power cuts and failing disks at every step: what was flushed is there, the rest is old or new, and the metadata is sound. */

import { BlockGraph, type BlockNode, isZero, memoryDriver, rawDriver } from "@coblock/core";
import { describe, expect, test } from "vitest";

import { qedDriver } from "./index.ts";
import { filled, inMemory, scriptedImage, seeded } from "./test/images.ts";
import { type Operation, ScriptedFile, written } from "./test/scripted-file.ts";

const SECTOR = 512;
/** Clusters of 4 KiB in tables of two: each L2 table maps 4 MiB. */
const SIZE = 12 * 1024 * 1024;
const BACKING_VALUE = 255;
/** Guest bytes that a session writes to, at the start of what each L2 table maps. */
const REGION = 16 * 4096;
const REGIONS = [0, SIZE / 3, (SIZE / 3) * 2];

interface Write {
  readonly offset: number;
  readonly length: number;
  readonly value: number;
  /** How long the log was when it began. */
  readonly step: number;
  /** Then it may have got there or not, whatever is flushed. */
  failed?: boolean;
}

/** What each sector held when it was flushed last, and what was written to it since. A sector holds one value throughout. */
class Expectation {
  readonly #flushed: Uint8Array;
  readonly #since: Write[];

  constructor(flushed: Uint8Array, since: Write[] = []) {
    this.#flushed = flushed;
    this.#since = since;
  }

  write(write: Write): void {
    this.#since.push(write);
  }

  flushed(): Expectation {
    const values = this.#flushed.slice();
    for (const { offset, length, value, failed } of this.#since)
      if (failed !== true) values.fill(value, offset / SECTOR, (offset + length) / SECTOR);
    return new Expectation(
      values,
      this.#since.filter(({ failed }) => failed === true),
    );
  }

  /** Reads what was written to; throws where a sector holds what it never held, or no longer what was flushed. */
  async check(disk: BlockNode, steps: number): Promise<void> {
    const allowed = new Map<number, Set<number>>();
    for (const { offset, length, value, step } of this.#since) {
      if (step > steps) continue;
      for (let sector = offset / SECTOR; sector < (offset + length) / SECTOR; sector++) {
        const values = allowed.get(sector) ?? new Set([this.#flushed[sector] ?? 0]);
        allowed.set(sector, values.add(value));
      }
    }
    for (const start of REGIONS) {
      const bytes = new Uint8Array(REGION);
      await disk.read(start, bytes);
      for (let done = 0; done < REGION; done += SECTOR) {
        const sector = (start + done) / SECTOR;
        const value = bytes[done] ?? 0;
        const whole = bytes.subarray(done, done + SECTOR).every((byte) => byte === value);
        const fits = whole && (allowed.get(sector)?.has(value) ?? this.#flushed[sector] === value);
        if (!fits) throw new Error(`sector ${sector} holds ${value}${whole ? "" : " and more"}, which it must not`);
      }
    }
  }
}

interface Session {
  readonly start: Uint8Array;
  readonly log: readonly Operation[];
  /** In order: from the given length of the log on, this is expected. */
  readonly expectations: readonly { readonly steps: number; readonly expected: Expectation }[];
}

async function backingNode(): Promise<{ node: BlockNode; graph: BlockGraph }> {
  const graph = new BlockGraph({ drivers: [memoryDriver, rawDriver] });
  const node = await graph.open({ driver: "raw", file: { driver: "memory", bytes: filled(SIZE, BACKING_VALUE) } }, { readOnly: true });
  return { node, graph };
}

/** Writes, zero writes and flushes, up to four at a time. `failed` is told of each that rejects. */
async function work(
  disk: BlockNode,
  seed: number,
  log: readonly Operation[],
  expectations: { steps: number; expected: Expectation }[],
  failed?: (error: unknown) => void,
): Promise<void> {
  const random = seeded(seed);
  for (let round = 0; round < 12; round++) {
    const expected = expectations[expectations.length - 1]?.expected;
    const pending: Promise<void>[] = [];
    const places = new Set<number>();
    for (let count = 1 + random(4); count > 0; count--) {
      const cluster = random(3) * 1024 + random(12);
      if (places.has(cluster) || places.has(cluster - 1) || places.has(cluster + 1)) continue;
      places.add(cluster);
      const zero = random(4) === 0;
      const whole = random(3) === 0;
      const offset = cluster * 4096 + (whole ? 0 : random(4) * SECTOR);
      const length = whole ? 4096 : SECTOR * (1 + random(8));
      const value = zero ? 0 : 1 + random(250);
      const write: Write = { offset, length, value, step: log.length };
      expected?.write(write);
      const writing = zero ? disk.writeZeroes(offset, length) : disk.write(offset, filled(length, value));
      pending.push(
        writing.catch((error: unknown) => {
          write.failed = true;
          failed?.(error);
        }),
      );
    }
    await Promise.all(pending);
    // Draining clears NEED_CHECK, so that it is set anew over tables that are there.
    if (random(3) === 0) await drainOnce(disk).catch((error: unknown) => failed?.(error));
    if (random(4) !== 0) continue;
    try {
      await disk.flush();
      const last = expectations[expectations.length - 1];
      if (last !== undefined) expectations.push({ steps: log.length, expected: last.expected.flushed() });
    } catch (error) {
      failed?.(error);
    }
  }
}

async function drainOnce(disk: BlockNode): Promise<void> {
  await using _drained = await disk.drain();
}

async function session(seed: number, backing: BlockNode | undefined): Promise<Session> {
  const { file, graph } = await scriptedImage({ size: SIZE });
  const start = file.content.slice();
  const disk = await graph.open(backing === undefined ? inMemory : { ...inMemory, backing });
  const expectations = [{ steps: 0, expected: new Expectation(filled(SIZE / SECTOR, backing === undefined ? 0 : BACKING_VALUE)) }];
  await work(disk, seed, file.log, expectations);
  await disk[Symbol.asyncDispose]();
  await graph[Symbol.asyncDispose]();
  return { start, log: file.log, expectations };
}

/** The file after the power went off when `steps` operations were done: since the last flush any sectors may have got there. */
function afterCut({ start, log }: Session, steps: number, random: (below: number) => number): Uint8Array {
  let content: Uint8Array = start.slice();
  const lastFlush = log.slice(0, steps).findLastIndex(({ kind }) => kind === "flush");
  const keep = random(4);
  log.slice(0, steps).forEach(({ kind, offset, bytes }, index) => {
    if (kind !== "write" || bytes === undefined) return;
    if (index < lastFlush) content = written(content, offset, bytes);
    else if (keep === 0) return;
    else if (random(3) > 0) content = written(content, offset, bytes);
    else
      for (let done = 0; done < bytes.length; done += SECTOR) {
        if (random(2) === 0) content = written(content, offset + done, bytes.subarray(done, done + SECTOR));
      }
  });
  return content;
}

/** Opens what is left as the next user would. */
async function inspect(content: Uint8Array, backing: BlockNode | undefined, expected: Expectation, steps: number): Promise<void> {
  const file = new ScriptedFile(content);
  const graph = new BlockGraph({ drivers: [file.entry, qedDriver] });
  const options = backing === undefined ? inMemory : { ...inMemory, backing };
  const isMarked = ((content[16] ?? 0) & 2) !== 0;
  const before = await graph.open(options, { readOnly: true });
  const found = await before.check({ repair: "none" });
  if (!isMarked) expect(found).toMatchObject({ errors: 0, corruptions: 0 });
  await before[Symbol.asyncDispose]();
  const disk = await graph.open(options);
  expect(await disk.check({ repair: "none" })).toMatchObject({ errors: 0, corruptions: 0 });
  await expected.check(disk, steps);
  await disk[Symbol.asyncDispose]();
  await graph[Symbol.asyncDispose]();
}

describe("power cuts", () => {
  const cases = [1, 2, 3].flatMap((seed) => [
    { seed, over: "nothing" },
    { seed, over: "a backing file" },
  ]);

  test.each(cases)("at each step of a session over $over (seed $seed)", async ({ seed, over }) => {
    const below = over === "nothing" ? undefined : await backingNode();
    const done = await session(seed, below?.node);
    const random = seeded(seed * 1000);
    for (let steps = 0; steps <= done.log.length; steps++) {
      const now = done.expectations.findLast((expectation) => expectation.steps <= steps) ?? done.expectations[0];
      if (now === undefined) throw new Error("a session begins with an expectation");
      for (let tries = 0; tries < 4; tries++) await inspect(afterCut(done, steps, random), below?.node, now.expected, steps);
    }
    await below?.node[Symbol.asyncDispose]();
  });
});

describe("a disk that fails", () => {
  const cases = ["once", "from then on"].flatMap((lasting) => [
    { lasting, over: "nothing", seed: 7 },
    { lasting, over: "a backing file", seed: 8 },
  ]);

  test.each(cases)("$lasting, at each step, over $over", async ({ lasting, over, seed }) => {
    const below = over === "nothing" ? undefined : await backingNode();
    const sound = await session(seed, below?.node);
    const changes = sound.log.filter(({ kind }) => kind !== "read").length;
    for (let failing = 0; failing < changes; failing += 3) {
      const { file, graph } = await scriptedImage({ size: SIZE });
      const disk = await graph.open(below === undefined ? inMemory : { ...inMemory, backing: below.node });
      let count = 0;
      file.script = ({ kind }) => {
        if (kind === "read") return;
        const fails = lasting === "once" ? count === failing : count >= failing;
        count++;
        if (fails) throw new Error("the disk is away");
      };
      const expectations = [{ steps: 0, expected: new Expectation(filled(SIZE / SECTOR, below === undefined ? 0 : BACKING_VALUE)) }];
      const errors: unknown[] = [];
      await work(disk, seed, file.log, expectations, (error) => errors.push(error));
      const now = expectations[expectations.length - 1]?.expected ?? new Expectation(new Uint8Array(0));
      await now.check(disk, Number.POSITIVE_INFINITY);
      const closed = await disk[Symbol.asyncDispose]().catch((error: unknown) => errors.push(error));
      expect(errors.length > 0 || closed === undefined).toBe(true);
      if (count > failing) expect(errors.map(String).join()).toContain("the disk is away");
      await graph[Symbol.asyncDispose]();
      await inspect(file.content, below?.node, now, Number.POSITIVE_INFINITY);
    }
    await below?.node[Symbol.asyncDispose]();
  });
});

test("what stood behind the last whole cluster never shows, not even after a power cut", async () => {
  const { file, graph } = await scriptedImage({ size: SIZE });
  file.content = Uint8Array.from([...file.content, ...filled(1000, 9)]);
  const disk = await graph.open(inMemory);
  const start = file.content.slice();
  await disk.write(0, filled(SECTOR, 1));
  const log = [...file.log];
  for (let skipped = 0; skipped < log.length; skipped++) {
    // All but one of the writes that no flush made sure of got there.
    const lastFlush = log.findLastIndex(({ kind }) => kind === "flush");
    if (log[skipped]?.kind !== "write" || skipped < lastFlush) continue;
    let content: Uint8Array = start.slice();
    log.forEach(({ kind, offset, bytes }, index) => {
      if (kind === "write" && bytes !== undefined && index !== skipped) content = written(content, offset, bytes);
    });
    await inspect(content, undefined, expectationOf(SECTOR, 1), 1);
  }
  const bytes = new Uint8Array(SIZE - SECTOR);
  await disk.read(SECTOR, bytes);
  expect(isZero(bytes)).toBe(true);
  await disk[Symbol.asyncDispose]();
  await graph[Symbol.asyncDispose]();
});

function expectationOf(length: number, value: number): Expectation {
  const expected = new Expectation(new Uint8Array(SIZE / SECTOR));
  expected.write({ offset: 0, length, value, step: 0 });
  return expected;
}
