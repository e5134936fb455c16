/** Writers of QED images that are killed while they write, QEMU's and ours: what is left is repaired, and is the same to both. */

import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { BlockGraph, fileDriver, rawDriver } from "@coblock/core";
import { qedDriver } from "@coblock/qed";
import { SeededRandom } from "@coblock/testing";
import { afterAll, describe, expect, it } from "vitest";
import { DISK_SIZE, type KillWrite, killWrites, SLOT } from "./qed-kill-writes.ts";
import { Workbench } from "./workbench.ts";

const WRITER = fileURLToPath(new URL("./qed-writer.ts", import.meta.url));
const BELOW = 0xb5;
/** Of a file: bit 1 of its first byte of features. */
const NEED_CHECK = 2;

const bench = new Workbench();
afterAll(() => bench[Symbol.dispose]());

/** An empty image, over a backing file that is shorter if there is one. */
function makeImage(options: string, backed: boolean): void {
  writeFileSync(bench.path("below"), Buffer.alloc(DISK_SIZE - 5 * SLOT, BELOW));
  const backing = backed ? ["-b", "below", "-F", "raw"] : [];
  bench.qemuImg("create", "-q", "-f", "qed", "-o", options, ...backing, "@image.qed", String(DISK_SIZE));
}

/** Kills `child` when it has told of `enough` writes; answers the offsets of all that it told of. */
async function killAfter(child: ChildProcessWithoutNullStreams, enough: number): Promise<ReadonlySet<number>> {
  let told = "";
  const count = (): number => told.split("wrote ").length - 1;
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    told += text;
    if (count() >= enough) child.kill("SIGKILL");
  });
  child.stderr.resume();
  // What was not read of its input when it was killed.
  child.stdin.on("error", () => {});
  const [, signal] = (await once(child, "close")) as [number | null, string | null];
  expect(signal, told).toBe("SIGKILL");
  return new Set([...told.matchAll(/at offset (\d+)\n/gu)].map(([, offset]) => Number(offset)));
}

function startQemu(writes: readonly KillWrite[], cache: string): ChildProcessWithoutNullStreams {
  const child = spawn("qemu-io", ["-f", "qed", "-t", cache, bench.path("image.qed")]);
  child.stdin.write(writes.map(({ offset, length, pattern }) => `aio_write -P ${pattern} ${offset} ${length}\n`).join(""));
  return child;
}

function startOurs(seed: number): ChildProcessWithoutNullStreams {
  return spawn(process.execPath, ["--conditions=@coblock/source", "--import", "tsx", WRITER, bench.path("image.qed"), String(seed)]);
}

/** Opens for writing, which repairs, and reads all. */
async function readRepaired(): Promise<Buffer> {
  await using graph = new BlockGraph({ drivers: [fileDriver, rawDriver, qedDriver], implicitOpen: "allow" });
  await using disk = await graph.open({ driver: "qed", file: bench.path("image.qed") });
  const bytes = Buffer.alloc(disk.size);
  await disk.read(0, bytes);
  return bytes;
}

function readByQemu(image: string): Buffer {
  bench.qemuImg("convert", "-f", "qed", "-O", "raw", `@${image}`, "@image.raw");
  return readFileSync(bench.path("image.raw"));
}

/** Corruptions and errors; clusters of writes that were under way may be leaked. */
function damageSeenByQemu(image: string): number {
  const { stdout } = bench.theirs(["check", "-f", "qed", "--output=json", `@${image}`]);
  const found = JSON.parse(stdout) as { readonly corruptions?: number; readonly "check-errors": number };
  return (found.corruptions ?? 0) + found["check-errors"];
}

/** Each byte is of the write that had its place, if it was told of; else of that or of what was there. */
function expectWritten(bytes: Buffer, writes: readonly KillWrite[], done: ReadonlySet<number>, backed: boolean): void {
  const before = Buffer.alloc(DISK_SIZE);
  if (backed) before.fill(BELOW, 0, DISK_SIZE - 5 * SLOT);
  for (const { offset, length, pattern } of writes) {
    const found = bytes.subarray(offset, offset + length);
    const after = Buffer.alloc(length, pattern);
    if (done.has(offset)) expect(found.equals(after), `the write of ${length} bytes at ${offset}`).toBe(true);
    else expect(isMixOf(found, after, before.subarray(offset, offset + length)), `the write at ${offset}`).toBe(true);
    found.copy(before, offset);
  }
  expect(bytes.equals(before), "what nobody wrote").toBe(true);
}

function isMixOf(found: Buffer, one: Buffer, other: Buffer): boolean {
  return found.equals(one) || found.equals(other) || found.every((byte, index) => byte === one[index] || byte === other[index]);
}

async function expectRepairable(writes: readonly KillWrite[], done: ReadonlySet<number>, backed: boolean): Promise<void> {
  copyFileSync(bench.path("image.qed"), bench.path("theirs.qed"));
  const ours = await readRepaired();
  expect((readFileSync(bench.path("image.qed"))[16] ?? 0) & NEED_CHECK).toBe(0);
  expect(damageSeenByQemu("image.qed")).toBe(0);
  expect(readByQemu("image.qed").equals(ours)).toBe(true);
  bench.theirs(["check", "-q", "-f", "qed", "-r", "all", "@theirs.qed"]);
  expect(readByQemu("theirs.qed").equals(ours)).toBe(true);
  expectWritten(ours, writes, done, backed);
}

const CASES = [
  { seed: 1, options: "cluster_size=4k,table_size=2", backed: false, cache: "unsafe" },
  { seed: 2, options: "cluster_size=4k,table_size=2", backed: true, cache: "unsafe" },
  { seed: 3, options: "cluster_size=4k,table_size=2", backed: false, cache: "writeback" },
  { seed: 4, options: "cluster_size=4k,table_size=2", backed: true, cache: "writeback" },
  { seed: 5, options: "cluster_size=64k,table_size=4", backed: false, cache: "unsafe" },
] as const;

describe("killed while it writes", () => {
  it.each(CASES)("QEMU: $options, backing $backed, -t $cache (seed $seed)", async ({ seed, options, backed, cache }) => {
    for (const round of [0, 1]) {
      makeImage(options, backed);
      const writes = killWrites(seed * 10 + round);
      const enough = 1 + Math.floor(new SeededRandom(seed * 10 + round).next() * 100);
      const done = await killAfter(startQemu(writes, cache), enough);
      await expectRepairable(writes, done, backed);
    }
  });

  it.each(CASES.slice(0, 2))("Coblock: $options, backing $backed (seed $seed)", async ({ seed, options, backed }) => {
    makeImage(options, backed);
    const done = await killAfter(startOurs(seed), 1 + Math.floor(new SeededRandom(seed).next() * 100));
    await expectRepairable(killWrites(seed), done, backed);
  });
});
