/** Chains made by the real tools read the same through Coblock, and chains made by Coblock are sound and equal for the real tools. */

import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { BlockGraph, fileDriver, rawDriver, type BlockNode } from "@coblock/core";
import { qcow2Driver } from "@coblock/qcow2";
import { qedDriver } from "@coblock/qed";
import { SeededRandom } from "@coblock/testing";
import { describe, expect, test } from "vitest";
import { Workbench } from "../tools/workbench.ts";
import { allShapes, changesFor, expectedBytes, type Change, type ChainShape } from "./chain.ts";

const DRIVERS = [fileDriver, rawDriver, qcow2Driver, qedDriver];

function makeGraph(): BlockGraph {
  return new BlockGraph({ drivers: DRIVERS, implicitOpen: "allow" });
}

/** A real file system, cut or filled up with zeros to the size of the base. */
function makeBase(bench: Workbench, shape: ChainShape): Buffer {
  const folder = bench.path("content");
  mkdirSync(`${folder}/etc`, { recursive: true });
  for (let index = 0; index < 20; index++) writeFileSync(`${folder}/etc/file-${index}`, `content ${index}\n`.repeat(50 * index));
  execFileSync("mkfs.ext4", ["-q", "-F", "-d", folder, bench.path("filesystem"), "4M"], { stdio: ["ignore", "ignore", "pipe"] });
  const base = Buffer.alloc(shape.baseSize);
  readFileSync(bench.path("filesystem")).copy(base);
  writeFileSync(bench.path("base.raw"), base);
  return base;
}

function ioCommand({ kind, offset, length, pattern }: Change): string {
  if (kind === "zero") return `write -q -z ${offset} ${length}`;
  return `write -q ${kind === "compressed" ? "-c " : ""}-P ${pattern} ${offset} ${length}`;
}

function makeTheirs(bench: Workbench, shape: ChainShape, middle: readonly Change[], top: readonly Change[]): void {
  const { qed, qcow2 } = shape;
  const qedOptions = `cluster_size=${qed.clusterSize},table_size=${qed.tableSize}`;
  bench.qemuImg("create", "-q", "-f", "qed", "-o", qedOptions, "-b", "base.raw", "-F", "raw", "@middle.qed", String(shape.middleSize));
  bench.qemuIo("middle.qed", "qed", ...middle.map(ioCommand));
  const qcow2Options = `cluster_size=${qcow2.clusterSize},compat=${qcow2.compat}`;
  bench.qemuImg("create", "-q", "-f", "qcow2", "-o", qcow2Options, "-b", "middle.qed", "-F", "qed", "@top.qcow2", String(shape.topSize));
  bench.qemuIo("top.qcow2", "qcow2", ...top.map(ioCommand));
}

async function makeOurs(bench: Workbench, shape: ChainShape, middle: readonly Change[], top: readonly Change[]): Promise<void> {
  await using graph = makeGraph();
  const { qed, qcow2 } = shape;
  const middleFile = bench.path("middle.qed");
  const qedValues = { cluster_size: qed.clusterSize, table_size: qed.tableSize };
  await graph.create({
    driver: "qed",
    filename: middleFile,
    size: shape.middleSize,
    values: qedValues,
    backing: { filename: "base.raw", format: "raw" },
  });
  await applyChanges(await graph.open(middleFile, { driver: "qed" }), middle);
  const topFile = bench.path("top.qcow2");
  const qcow2Values = { cluster_size: qcow2.clusterSize, compat: qcow2.compat };
  await graph.create({
    driver: "qcow2",
    filename: topFile,
    size: shape.topSize,
    values: qcow2Values,
    backing: { filename: "middle.qed", format: "qed" },
  });
  await applyChanges(await graph.open(topFile, { driver: "qcow2" }), top);
}

async function applyChanges(disk: BlockNode, changes: readonly Change[]): Promise<void> {
  await using _disk = disk;
  for (const { kind, offset, length, pattern } of changes) {
    if (kind === "zero") await disk.writeZeroes(offset, length, { mayUnmap: offset % 1024 === 0 });
    else await disk.write(offset, Buffer.alloc(length, pattern));
  }
}

/** In pieces of odd lengths, so that requests begin and end anywhere. */
async function readAll(disk: BlockNode, seed: number): Promise<Buffer> {
  const random = new SeededRandom(seed);
  const bytes = Buffer.alloc(disk.size);
  for (let offset = 0; offset < bytes.length;) {
    const length = Math.min(1 + random.below(700_000), bytes.length - offset);
    await disk.read(offset, bytes.subarray(offset, offset + length));
    offset += length;
  }
  return bytes;
}

function expectSame(ours: Buffer, theirs: Buffer): void {
  let at = 0;
  while (at < ours.length && ours[at] === theirs[at]) at++;
  expect({ length: ours.length, firstDifference: at }).toEqual({ length: theirs.length, firstDifference: theirs.length });
}

describe.each(allShapes())("$name", (shape) => {
  test("what the real tools wrote reads the same", async () => {
    using bench = new Workbench();
    makeBase(bench, shape);
    makeTheirs(bench, shape, changesFor(shape, "middle", { compressed: true }), changesFor(shape, "top", { compressed: true }));
    bench.qemuImg("convert", "-f", "qcow2", "-O", "raw", "@top.qcow2", "@theirs.raw");
    const before = readFileSync(bench.path("top.qcow2"));
    await using graph = makeGraph();
    await using disk = await graph.open(bench.path("top.qcow2"), { readOnly: true });
    expectSame(await readAll(disk, shape.seed), readFileSync(bench.path("theirs.raw")));
    expectSame(readFileSync(bench.path("top.qcow2")), before);
  });

  test("what Coblock wrote is sound and the same for the real tools", async () => {
    using bench = new Workbench();
    const base = makeBase(bench, shape);
    const middle = changesFor(shape, "middle", { compressed: false });
    const top = changesFor(shape, "top", { compressed: false });
    await makeOurs(bench, shape, middle, top);
    writeFileSync(bench.path("model.raw"), expectedBytes(shape, base, middle, top));
    for (const [format, name] of [
      ["qed", "@middle.qed"],
      ["qcow2", "@top.qcow2"],
    ] as const) {
      const { exitCode, stdout, stderr } = bench.theirs(["check", "-f", format, name]);
      expect({ exitCode, said: stdout + stderr }).toMatchObject({ exitCode: 0 });
      expect(stdout).toContain("No errors were found on the image.");
    }
    const compared = bench.theirs(["compare", "-f", "qcow2", "-F", "raw", "@top.qcow2", "@model.raw"]);
    expect({ exitCode: compared.exitCode, said: compared.stdout }).toEqual({ exitCode: 0, said: "Images are identical.\n" });
  });
});

test("a file system survives the way through a converted chain", async () => {
  using bench = new Workbench();
  const [shape] = allShapes().filter(({ qcow2 }) => qcow2.clusterSize === 65_536);
  if (shape === undefined) throw new Error("64 KiB is a cluster size");
  const whole = { ...shape, baseSize: 4 * 1024 * 1024, middleSize: 4 * 1024 * 1024, topSize: 4 * 1024 * 1024 };
  makeBase(bench, whole);
  makeTheirs(bench, whole, [], []);
  for (const [format, name] of [
    ["raw", "@out.raw"],
    ["qcow2", "@out.qcow2"],
    ["qed", "@out.qed"],
  ] as const) {
    const { exitCode, stderr } = await bench.ours(["convert", "-O", format, "@top.qcow2", name]);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    expect(bench.theirs(["compare", "-F", format, "@top.qcow2", name]).exitCode).toBe(0);
  }
  execFileSync("e2fsck", ["-f", "-n", bench.path("out.raw")], { stdio: ["ignore", "ignore", "pipe"] });
  expect(statSync(bench.path("out.raw")).size).toBe(whole.topSize);
});
