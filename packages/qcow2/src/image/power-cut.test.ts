/** Power cuts at every kind of moment: any sectors of the writes since the last flush may be on disk, in any combination. */

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BlockGraph, type BlockNode, memoryDriver, type NodeOptions, rawDriver } from "@coblock/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { qcow2Driver } from "../index.ts";
import { RecordedFile } from "../test/recorded-file.ts";

const SECTOR = 512;

/** The same numbers for the same seed. */
function seeded(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

/** What each sector of the disk may read as after a cut: what it was when a flush last succeeded, or anything asked for since. */
class Expectation {
  readonly #values: number[][];
  /** Expectations by length of the log. */
  readonly #history: { readonly at: number; readonly values: readonly (readonly number[])[] }[] = [];

  constructor(sectors: readonly number[]) {
    this.#values = sectors.map((value) => [value]);
    this.remember(0);
  }

  asked(sector: number, value: number): void {
    this.#values[sector]?.push(value);
  }

  flushed(sector: number, value: number): void {
    this.#values[sector] = [value];
  }

  remember(at: number): void {
    this.#history.push({ at, values: this.#values.map((values) => [...values]) });
  }

  /** Allowed values when the cut came after `at` entries of the log: those known at the last moment before, and what was asked in between. */
  allowed(at: number, sector: number): readonly number[] {
    const before = this.#history.findLastIndex((entry) => entry.at <= at);
    const after = this.#history[before + 1] ?? this.#history[before];
    if (sector >= this.#values.length) return [0];
    return [...(this.#history[before]?.values[sector] ?? []), ...(after?.values[sector] ?? [])];
  }
}

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "qcow2-cut-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

interface Scenario {
  readonly name: string;
  readonly options: string;
  readonly sectors: number;
  readonly snapshot?: boolean;
}

const SCENARIOS: readonly Scenario[] = [
  { name: "small clusters", options: "cluster_size=512", sectors: 300 },
  { name: "small clusters and a snapshot", options: "cluster_size=512", sectors: 300, snapshot: true },
  { name: "wide refcounts", options: "cluster_size=512,refcount_bits=64", sectors: 300 },
  { name: "narrow refcounts, version 3", options: "cluster_size=1024,refcount_bits=1", sectors: 400 },
  { name: "version 2 and a snapshot", options: "cluster_size=1024,compat=0.10", sectors: 400, snapshot: true },
  { name: "lazy refcounts", options: "cluster_size=512,lazy_refcounts=on", sectors: 300 },
  { name: "lazy refcounts and a snapshot", options: "cluster_size=1024,lazy_refcounts=on,refcount_bits=64", sectors: 400, snapshot: true },
  { name: "extended L2 entries and a snapshot", options: "cluster_size=16k,extended_l2=on", sectors: 600, snapshot: true },
];

describe.each(SCENARIOS)("$name", ({ name, options, sectors, snapshot }) => {
  it.each([1, 2])("seed %i: no cut corrupts metadata, and what was flushed is there", async (seed) => {
    const random = seeded(seed * 7919);
    const original = makeImage(join(folder, `${name}-${seed}`), options, sectors, snapshot === true);
    const file = new RecordedFile(original);
    const expectation = new Expectation(Array.from({ length: sectors }, (_, sector) => (sector < 40 ? 0x5555_5555 : 0)));
    await using graph = new BlockGraph({ drivers: [file.driver, rawDriver, qcow2Driver] });
    {
      await using disk = await graph.open({ driver: "qcow2", file: { driver: "memory" }, l2CacheSize: 1, refcountCacheSize: 1 });
      await runRequests(disk, file, expectation, sectors, random);
      const grows = !options.includes("compat=0.10");
      if (grows) await disk.resize((sectors + random(sectors)) * SECTOR, { preallocation: random(2) === 0 ? "metadata" : "off" });
    }
    for (let round = 0; round < 40; round++) {
      const length = random(file.log.length + 1);
      const bytes = repaired(file.cut(original, length, () => random(2) === 0));
      await expectSound(bytes, (sector) => expectation.allowed(length, sector), `cut after ${length} of ${file.log.length} entries`);
    }
  });
});

/** As QEMU leaves an image that says that it is dirty, which only one with lazy refcounts may; others are taken as they are. */
function repaired(bytes: Buffer): Buffer {
  const isDirty = bytes.readUInt8(79) % 2 === 1;
  const isLazy = bytes.readUInt32BE(4) === 3 && bytes.readUInt8(87) % 2 === 1;
  expect(isDirty && !isLazy).toBe(false);
  if (!isDirty) return bytes;
  const path = join(folder, "dirty");
  writeFileSync(path, bytes);
  execFileSync("qemu-img", ["check", "-q", "-f", "qcow2", "-r", "all", path], { stdio: "pipe" });
  return readFileSync(path);
}

function makeImage(path: string, options: string, sectors: number, snapshot: boolean): Buffer {
  execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", "-o", options, path, String(sectors * SECTOR)]);
  execFileSync("qemu-io", ["-f", "qcow2", "-c", `write -P 0x55 0 ${40 * SECTOR}`, path]);
  if (snapshot) execFileSync("qemu-img", ["snapshot", "-c", "before", path]);
  return readFileSync(path);
}

async function runRequests(
  disk: BlockNode,
  file: RecordedFile,
  expectation: Expectation,
  sectors: number,
  random: (limit: number) => number,
): Promise<void> {
  const current = new Map<number, number>();
  for (let stamp = 1; stamp <= 40; stamp++) {
    const first = random(sectors);
    const count = Math.min(1 + random(random(4) === 0 ? sectors : 12), sectors - first);
    const value = random(3) === 0 ? 0 : stamp;
    for (let sector = first; sector < first + count; sector++) {
      expectation.asked(sector, value);
      current.set(sector, value);
    }
    expectation.remember(file.log.length);
    if (value === 0) await disk.writeZeroes(first * SECTOR, count * SECTOR, { mayUnmap: random(2) === 0 });
    else await disk.write(first * SECTOR, stamped(value, count));
    if (random(4) !== 0) continue;
    await disk.flush();
    for (const [sector, flushed] of current) expectation.flushed(sector, flushed);
    expectation.remember(file.log.length);
  }
}

function stamped(value: number, count: number): Uint8Array {
  const bytes = Buffer.alloc(count * SECTOR);
  for (let at = 0; at < bytes.length; at += 4) bytes.writeUInt32LE(value, at);
  return bytes;
}

async function expectSound(bytes: Uint8Array, allowed: (sector: number) => readonly number[], moment: string): Promise<void> {
  await using graph = new BlockGraph({ drivers: [memoryDriver, rawDriver, qcow2Driver] });
  const file: NodeOptions = { driver: "memory", bytes };
  await using disk = await graph.open({ driver: "qcow2", file });
  const findings: string[] = [];
  const result = await disk.check({ repair: "none" }, ({ severity, what }) => {
    if (severity === "error") findings.push(what);
  });
  expect({ moment, findings }).toEqual({ moment, findings: [] });
  expect(result).toMatchObject({ errors: 0, corruptions: 0 });
  const content = Buffer.alloc(disk.size);
  await disk.read(0, content);
  for (let sector = 0; sector * SECTOR < content.length; sector++) {
    const value = content.readUInt32LE(sector * SECTOR);
    if (!allowed(sector).includes(value))
      throw new Error(`${moment}: sector ${sector} reads ${value}, not one of ${allowed(sector).join(", ")}`);
    if (!content.subarray(sector * SECTOR, (sector + 1) * SECTOR).equals(stamped(value, 1)))
      throw new Error(`${moment}: sector ${sector} is torn`);
  }
}
