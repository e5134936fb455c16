import { readFileSync, writeFileSync } from "node:fs";
import { type BlockNode, type BlockGraph, type CreateValue } from "@coblock/core";
import { describe, expect, it } from "vitest";
import { contentOf, expectClean, hostGraph, patch, qemuContent, qemuCreate, qemuImg, Seeded, TemporaryDirectory } from "../test/images.ts";

interface Shape {
  readonly name: string;
  readonly values: Readonly<Record<string, CreateValue>>;
  readonly clusters: number;
  readonly backing?: boolean;
  readonly snapshots?: boolean;
  readonly smallCaches?: boolean;
}

const SHAPES: readonly Shape[] = [
  { name: "512 B", values: { cluster_size: 512 }, clusters: 300, smallCaches: true },
  { name: "512 B over a backing file", values: { cluster_size: 512 }, clusters: 300, backing: true },
  { name: "1 KiB with snapshots", values: { cluster_size: 1024 }, clusters: 300, snapshots: true },
  { name: "4 KiB, version 2", values: { cluster_size: 4096, compat: "0.10" }, clusters: 100 },
  {
    name: "4 KiB, version 2, over a backing file, with snapshots",
    values: { cluster_size: 4096, compat: "0.10" },
    clusters: 100,
    backing: true,
    snapshots: true,
  },
  { name: "64 KiB", values: {}, clusters: 20, backing: true, snapshots: true },
  { name: "2 MiB", values: { cluster_size: 2 ** 21 }, clusters: 3 },
  {
    name: "16 KiB with extended L2 entries",
    values: { cluster_size: 16_384, extended_l2: true },
    clusters: 40,
    backing: true,
    snapshots: true,
  },
  { name: "128 KiB with extended L2 entries", values: { cluster_size: 131_072, extended_l2: true }, clusters: 12 },
  ...[1, 2, 4, 8, 32, 64].map((bits) => ({
    name: `${bits}-bit refcounts`,
    values: { cluster_size: 2048, refcount_bits: bits },
    clusters: 200,
    snapshots: bits > 4,
    smallCaches: true,
  })),
];

describe.each(SHAPES)("clusters of $name", (shape) => {
  it.each([1, 2])("random requests of seed %i leave what a model says, for us and for qemu-img, and no leak", async (seed) => {
    using folder = new TemporaryDirectory();
    const random = new Seeded(seed * 31 + shape.clusters);
    const clusterSize = Number(shape.values["cluster_size"] ?? 65_536);
    const size = clusterSize * shape.clusters - 512 * random.below(clusterSize / 512);
    const file = folder.file("image");
    const model = Buffer.alloc(size);
    await using graph = hostGraph();
    const base = folder.file("base");
    if (shape.backing === true) {
      const content = random.bytes(Math.floor(size / 2) + 300);
      writeFileSync(base, content);
      content.copy(model);
    }
    await graph.create({
      driver: "qcow2",
      filename: file,
      size,
      values: shape.values,
      ...(shape.backing === true ? { backing: { filename: base, format: "raw" } } : {}),
    });
    const snapshots = new Map<string, Buffer>();
    for (let session = 0; session < 3; session++) {
      if (shape.snapshots === true && session > 0) {
        qemuImg("snapshot", "-c", `s${session}`, file);
        snapshots.set(`s${session}`, Buffer.from(model));
      }
      await runSession({ graph, file, model, random, clusterSize, smallCaches: shape.smallCaches === true });
      expectClean(file);
      expect(qemuContent(file).equals(model)).toBe(true);
      for (const [name, content] of snapshots) expect(qemuContent(file, "-l", `snapshot.name=${name}`).equals(content)).toBe(true);
    }
  });
});

interface Session {
  readonly graph: BlockGraph;
  readonly file: string;
  readonly model: Buffer;
  readonly random: Seeded;
  readonly clusterSize: number;
  readonly smallCaches: boolean;
}

/** Up to eight requests at a time, which do not overlap unless they are alone. */
async function runSession({ graph, file, model, random, clusterSize, smallCaches }: Session): Promise<void> {
  await using disk = await graph.open({ driver: "qcow2", file, ...(smallCaches ? { l2CacheSize: 1, refcountCacheSize: 1 } : {}) });
  let running: { readonly start: number; readonly end: number; readonly done: Promise<void> }[] = [];
  for (let step = 0; step < 30; step++) {
    const { start, end } = randomRange(random, model.length, clusterSize);
    if (running.length === 8 || running.some((other) => start < other.end && other.start < end)) {
      for (const other of running) await other.done;
      running = [];
    }
    running.push({ start, end, done: request(disk, model, random, { start, end }, clusterSize) });
  }
  for (const other of running) await other.done;
  expect((await contentOf(disk)).equals(model)).toBe(true);
}

function randomRange(random: Seeded, size: number, clusterSize: number): { readonly start: number; readonly end: number } {
  const longest = random.once(4) ? size : clusterSize * 3;
  const start = random.below(size);
  const end = Math.min(size, start + 1 + random.below(longest));
  if (random.once(2)) return { start, end };
  const aligned = start - (start % clusterSize);
  return { start: aligned, end: Math.min(size, Math.max(aligned + clusterSize, end - (end % clusterSize))) };
}

async function request(
  disk: BlockNode,
  model: Buffer,
  random: Seeded,
  { start, end }: { readonly start: number; readonly end: number },
  clusterSize: number,
): Promise<void> {
  const kind = random.below(10);
  if (kind < 5) {
    const bytes = random.bytes(end - start);
    bytes.copy(model, start);
    return disk.write(start, bytes);
  }
  if (kind === 9) {
    const bytes = random.once(5) ? random.bytes(clusterSize) : Buffer.alloc(clusterSize, random.below(256));
    if (start % clusterSize !== 0 || end < start + clusterSize) return disk.flush();
    bytes.copy(model, start);
    return disk.writeCompressed(start, bytes);
  }
  model.fill(0, start, end);
  if (kind === 8 && start % clusterSize === 0) {
    await disk.discard(start, end - start);
    // What discard leaves is its own affair: the rest is zeroed.
    return disk.writeZeroes(start, end - start);
  }
  return disk.writeZeroes(start, end - start, { mayUnmap: random.once(2) });
}

describe("where space comes from and goes to", () => {
  it("grows the refcount table while it allocates", async () => {
    using folder = new TemporaryDirectory();
    const file = folder.file("image");
    await using graph = hostGraph();
    // One table of one cluster counts 64 * 64 clusters, which are 2 MiB.
    await graph.create({ driver: "qcow2", filename: file, size: 16 * 2 ** 20, values: { cluster_size: 512, refcount_bits: 64 } });
    const random = new Seeded(5);
    const content = random.bytes(9 * 2 ** 20);
    {
      await using disk = await graph.open(file);
      for (let at = 0; at < content.length; at += 123_456) await disk.write(at, content.subarray(at, at + 123_456));
    }
    expectClean(file);
    expect(qemuContent(file).subarray(0, content.length).equals(content)).toBe(true);
    expect(readFileSync(file).readUInt32BE(56)).toBeGreaterThan(1);
  });

  it("uses again what was discarded, so that the file does not grow", async () => {
    using folder = new TemporaryDirectory();
    const file = folder.file("image");
    await using graph = hostGraph();
    await graph.create({ driver: "qcow2", filename: file, size: 64 * 2 ** 20 });
    await using disk = await graph.open(file);
    await disk.write(0, Buffer.alloc(8 * 2 ** 20, 1));
    await disk.flush();
    const length = readFileSync(file).length;
    for (let round = 0; round < 5; round++) {
      await disk.discard(round * 8 * 2 ** 20, 8 * 2 ** 20);
      await disk.flush();
      await disk.write((round + 1) * 8 * 2 ** 20, Buffer.alloc(8 * 2 ** 20, round));
      await disk.flush();
    }
    expect(readFileSync(file).length).toBeLessThan(length + 2 ** 20);
  });

  it("packs compressed clusters, and never counts a cluster above the width of refcounts", async () => {
    using folder = new TemporaryDirectory();
    await using graph = hostGraph();
    const lengths: number[] = [];
    for (const bits of [1, 2, 16]) {
      const file = folder.file(`width ${bits}`);
      await graph.create({ driver: "qcow2", filename: file, size: 2 ** 20, values: { refcount_bits: bits } });
      {
        await using disk = await graph.open(file);
        for (let at = 0; at < 2 ** 20; at += 65_536) await disk.writeCompressed(at, Buffer.alloc(65_536, at / 65_536));
        for (let at = 0; at < 2 ** 19; at += 65_536) await disk.write(at, Buffer.alloc(65_536, 99));
      }
      expectClean(file);
      lengths.push(readFileSync(file).length);
    }
    expect(lengths[0]).toBeGreaterThan(lengths[1] ?? 0);
    expect(lengths[1]).toBeGreaterThan(lengths[2] ?? 0);
  });

  it("keeps space that a zero write may not give back, and uses it for the next write", async () => {
    using folder = new TemporaryDirectory();
    const file = folder.file("image");
    await using graph = hostGraph();
    await graph.create({ driver: "qcow2", filename: file, size: 2 ** 20 });
    await using disk = await graph.open(file);
    await disk.write(0, Buffer.alloc(2 ** 18, 1));
    const status = await disk.status(0, 2 ** 18);
    await disk.writeZeroes(0, 2 ** 18);
    expect(await disk.status(0, 2 ** 18)).toMatchObject({ kind: "zero", location: { childOffset: status.location?.childOffset } });
    await disk.write(65_536, Buffer.alloc(65_536, 2));
    expect(await disk.status(65_536, 65_536)).toMatchObject({
      kind: "data",
      location: { childOffset: (status.location?.childOffset ?? 0) + 65_536 },
    });
  });
});

describe("before the first change", () => {
  it("clears unknown autoclear features, and nothing when it only reads", async () => {
    using folder = new TemporaryDirectory();
    const file = qemuCreate(folder.file("image"), "1M");
    patch(file, (bytes) => {
      bytes.writeBigUInt64BE(2n ** 40n, 88);
      return undefined;
    });
    const untouched = readFileSync(file);
    await using graph = hostGraph();
    {
      await using disk = await graph.open(file);
      await disk.read(0, new Uint8Array(1000));
    }
    expect(readFileSync(file).equals(untouched)).toBe(true);
    {
      await using disk = await graph.open(file);
      await disk.write(0, new Uint8Array(10));
    }
    expect(readFileSync(file).readBigUInt64BE(88)).toBe(0n);
  });
});
