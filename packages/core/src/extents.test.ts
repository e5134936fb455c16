import { describe, expect, test } from "vitest";
import type { BlockImage, RunStatus } from "./driver.ts";
import type { BlockStatus } from "./extents.ts";
import { LabDisk } from "./fixture/lab-disk.ts";
import { labDriver, labOptions, openDisk, openLab } from "./fixture/lab.ts";
import { CLUSTER } from "./fixture/lab-format.ts";
import { BlockGraph } from "./graph.ts";
import type { BlockNode } from "./node.ts";

async function all(node: BlockNode, range?: Parameters<BlockNode["extents"]>[0]): Promise<BlockStatus[]> {
  const found: BlockStatus[] = [];
  for await (const extent of node.extents(range)) found.push(extent);
  return found;
}

/** An image whose status is `kinds`, 100 bytes each. */
function striped(kinds: readonly RunStatus["kind"][], later = false): BlockImage {
  return {
    size: kinds.length * 100,
    limits: { requestAlignment: 1 },
    read() {},
    async [Symbol.asyncDispose]() {},
    status(offset, length) {
      const run: RunStatus = { kind: kinds[Math.floor(offset / 100)] ?? "data", length: Math.min(length, 100 - (offset % 100)) };
      return later ? Promise.resolve(run) : run;
    },
  };
}

/** Layers from the top down; each is the backing file of the one before. */
async function openLayers(layers: readonly BlockImage[]): Promise<BlockNode> {
  const drivers = layers.map((image, index) =>
    labDriver(`layer${index}`, "format", async (_options, context) => {
      if (index + 1 < layers.length) await context.child("backing", "backing", labOptions({ driver: `layer${index + 1}` }));
      return image;
    }),
  );
  return new BlockGraph({ drivers }).open(labOptions({ driver: "layer0" }), { readOnly: true });
}

test.each([false, true])("equal neighbours are joined, and all is covered (status comes later: %s)", async (later) => {
  const node = await openDisk(striped(["data", "data", "zero", "unallocated", "unallocated", "compressed", "compressed", "data"], later), {
    readOnly: true,
  });
  expect((await all(node)).map(({ offset, length, kind }) => `${kind} ${offset}+${length}`)).toEqual([
    "data 0+200",
    "zero 200+100",
    "unallocated 300+200",
    "compressed 500+200",
    "data 700+100",
  ]);
});

test("a range is cut where it was asked to be", async () => {
  const node = await openDisk(striped(["data", "zero", "data"]), { readOnly: true });
  expect((await all(node, { offset: 50, length: 100 })).map(({ offset, length, kind }) => `${kind} ${offset}+${length}`)).toEqual([
    "data 50+50",
    "zero 100+50",
  ]);
  expect(await all(node, { offset: 300 })).toEqual([]);
  expect(await all(node, { offset: 7, length: 0 })).toEqual([]);
  const none = [{ offset: Number.NaN }, { length: Number.NaN }, { offset: 0.5 }, { offset: 1, length: 0.5 }];
  for (const range of [
    { offset: -1 },
    { offset: 301 },
    { length: 301 },
    { offset: 200, length: 101 },
    { offset: 10, length: -1 },
    ...none,
  ]) {
    await expect(all(node, range)).rejects.toMatchObject({ code: "OUT_OF_RANGE" });
    expect(() => node.readable(range)).toThrow(expect.objectContaining({ code: "OUT_OF_RANGE" }));
    await expect(node.readsAsZero(range.offset ?? 0, range.length ?? 300)).rejects.toMatchObject({ code: "OUT_OF_RANGE" });
  }
});

describe("through a chain", () => {
  const top = striped(["data", "unallocated", "unallocated", "zero", "unallocated", "unallocated"]);

  test("each run is told with the layer that answers; what no layer reaches is unallocated in the last one that does", async () => {
    const node = await openLayers([
      top,
      striped(["data", "data", "unallocated", "data", "unallocated"]),
      striped(["data", "data", "zero", "data"]),
    ]);
    expect((await all(node)).map(({ offset, length, kind, depth }) => `${kind} ${depth} ${offset}+${length}`)).toEqual([
      "data 0 0+100",
      "data 1 100+100",
      "zero 2 200+100",
      "zero 0 300+100",
      "unallocated 1 400+100",
      "unallocated 0 500+100",
    ]);
  });

  test("of one layer alone", async () => {
    const node = await openLayers([top, striped(["data", "data", "data"])]);
    expect((await all(node, { throughBacking: false })).map(({ kind, depth, length }) => `${kind} ${depth} ${length}`)).toEqual([
      "data 0 100",
      "unallocated 0 200",
      "zero 0 100",
      "unallocated 0 200",
    ]);
  });

  test("a run is no longer than any layer above says", async () => {
    const node = await openLayers([
      striped(["unallocated", "data", "unallocated"]),
      { ...striped(Array(10).fill("data")), status: (_offset, length) => ({ kind: "data", length }) },
    ]);
    expect((await all(node)).map(({ kind, depth, offset, length }) => `${kind} ${depth} ${offset}+${length}`)).toEqual([
      "data 1 0+100",
      "data 0 100+100",
      "data 1 200+100",
    ]);
  });

  test("what no layer has is unallocated", async () => {
    const node = await openLayers([striped(["unallocated"]), striped(["unallocated", "unallocated"])]);
    expect((await all(node)).map(({ kind, depth, length }) => `${kind} ${depth} ${length}`)).toEqual(["unallocated 1 100"]);
  });

  test("readsAsZero asks the whole chain, and never the data", async () => {
    const node = await openLayers([
      striped(["unallocated", "unallocated", "zero", "unallocated", "data"]),
      striped(["zero", "data", "data"]),
    ]);
    const zero = (offset: number, length: number): Promise<boolean> => node.readsAsZero(offset, length);
    expect(await Promise.all([zero(0, 100), zero(50, 51), zero(100, 1), zero(200, 200), zero(399, 2), zero(0, 0)])).toEqual([
      true,
      false,
      false,
      true,
      false,
      true,
    ]);
  });
});

test("places: where data is, and where space is kept for zeros; neighbours are joined only if their places are", async () => {
  const { node, format } = await openLab({ sizeInClusters: 5 });
  format.map(0, { kind: "data", host: 10, writable: true });
  format.map(1, { kind: "data", host: 11, writable: true });
  format.map(2, { kind: "data", host: 40, writable: true });
  format.map(3, { kind: "encoded", host: 12, storedLength: 5 });
  const file = node.children.get("file");
  const place = (host: number): object => ({ node: file?.node.name, fileName: file?.fileName, offset: host * CLUSTER });
  expect(await all(node)).toEqual([
    { offset: 0, length: 2 * CLUSTER, depth: 0, kind: "data", location: place(10) },
    { offset: 2 * CLUSTER, length: CLUSTER, depth: 0, kind: "data", location: place(40) },
    { offset: 3 * CLUSTER, length: CLUSTER, depth: 0, kind: "compressed" },
    { offset: 4 * CLUSTER, length: CLUSTER, depth: 0, kind: "unallocated" },
  ]);
});

test("a protocol's data is where it is; without status all is data", async () => {
  const node = await openDisk(new LabDisk(1000));
  expect(await all(node)).toEqual([
    { offset: 0, length: 1000, depth: 0, kind: "data", location: { node: node.name, fileName: node.fileName, offset: 0 } },
  ]);
});
