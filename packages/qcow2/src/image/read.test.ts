import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { contentOf, hostGraph, patch, places, qemuContent, qemuCreate, qemuImg, qemuIo, TemporaryDirectory } from "../test/images.ts";
import { deflateRawSync } from "node:zlib";

let folder: TemporaryDirectory;
beforeAll(() => {
  folder = new TemporaryDirectory();
});
afterAll(() => folder[Symbol.dispose]());

const SHAPES: readonly [name: string, options: string][] = [
  ["version 3", ""],
  ["version 2", "compat=0.10"],
  ["clusters of 512 bytes", "cluster_size=512"],
  ["clusters of 2 MiB", "cluster_size=2M"],
  ["extended L2 entries", "extended_l2=on,cluster_size=16k"],
];

function fill(file: string, version2: boolean): void {
  qemuIo(file, "write -P 1 0 200k", "write -P 2 1000k 100k", "write -P 3 5M 1M", "write -P 4 100 1000", "write -P 5 2M 4M");
  qemuIo(file, "write -c -P 6 8M 2M");
  if (!version2) qemuIo(file, "write -z 64k 64k", "write -z -u 3M 512k", "discard 4M 64k", "write -z 1030k 20k");
  qemuIo(file, "write -P 7 10M 64k");
}

describe.each(SHAPES)("an image of %s", (name, options) => {
  it("reads as qemu-img reads it, whole and in pieces", async () => {
    const file = qemuCreate(folder.file(name), "12M", options);
    fill(file, options.includes("0.10"));
    const expected = qemuContent(file);
    await using graph = hostGraph();
    await using disk = await graph.open(file, { readOnly: true });
    expect((await contentOf(disk)).equals(expected)).toBe(true);
    for (const length of [1, 511, 4096, 100_000]) {
      for (const start of [0, 99, 200 * 1024 - 7, 5 * 2 ** 20 - 3, 8 * 2 ** 20 + 17, 12 * 2 ** 20 - length]) {
        const bytes = Buffer.alloc(length);
        await disk.read(start, bytes);
        expect(bytes.equals(expected.subarray(start, start + length))).toBe(true);
      }
    }
  });

  it("is mapped as qemu-img maps it", async () => {
    const file = folder.file(name);
    const runs: { start: number; length: number; zero: boolean; offset?: number }[] = [];
    for (const { start, length, zero, data, offset } of JSON.parse(qemuImg("map", "--output=json", file)) as {
      start: number;
      length: number;
      zero: boolean;
      data: boolean;
      offset?: number;
    }[]) {
      runs.push({ start, length, zero: zero || !data, ...(offset === undefined || zero ? {} : { offset }) });
    }
    await using graph = hostGraph();
    await using disk = await graph.open(file, { readOnly: true });
    const ours: typeof runs = [];
    for await (const { offset: start, length, kind, location } of disk.extents()) {
      const run = {
        start,
        length,
        zero: kind !== "data" && kind !== "compressed",
        ...(kind === "data" && location !== undefined ? { offset: location.offset } : {}),
      };
      const last = ours[ours.length - 1];
      const joins =
        last !== undefined &&
        last.zero === run.zero &&
        (last.offset === undefined) === (run.offset === undefined) &&
        (run.offset === undefined || run.offset === (last.offset ?? 0) + last.length);
      if (joins) last.length += length;
      else ours.push(run);
    }
    const joined: typeof runs = [];
    for (const run of runs) {
      const last = joined[joined.length - 1];
      if (last !== undefined && last.zero === run.zero && last.offset === undefined && run.offset === undefined) last.length += run.length;
      else joined.push({ ...run });
    }
    expect(ours).toEqual(joined);
  });
});

describe("snapshots, backing files, data files", () => {
  it("reads the active state beside snapshots", async () => {
    const file = qemuCreate(folder.file("snapshots"), "4M");
    qemuIo(file, "write -P 1 0 1M");
    qemuImg("snapshot", "-c", "one", file);
    qemuIo(file, "write -P 2 512k 1M");
    await using graph = hostGraph();
    await using disk = await graph.open(file, { readOnly: true });
    expect((await contentOf(disk)).equals(qemuContent(file))).toBe(true);
    expect((await disk.info()).snapshots).toMatchObject([{ id: "1", name: "one", vmStateSize: 0 }]);
  });

  it.each(["2M", "6M"])("shows a backing file of %s through, and zeros past its end", async (size) => {
    const base = qemuCreate(folder.file(`base-${size}`), size);
    qemuIo(base, "write -P 9 0 2M");
    const file = folder.file(`overlay-${size}`);
    qemuImg("create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", file, "4M");
    qemuIo(file, "write -P 1 64k 64k", "write -z 256k 64k");
    await using graph = hostGraph();
    await using disk = await graph.open(file, { readOnly: true });
    expect((await contentOf(disk)).equals(qemuContent(file))).toBe(true);
    await using alone = await graph.open(file, { readOnly: true, backing: null });
    expect((await contentOf(alone)).subarray(0, 65_536).every((byte) => byte === 0)).toBe(true);
  });

  it("reads an external data file, and tells of itself without it", async () => {
    const file = folder.file("external");
    qemuCreate(file, "4M", `data_file=${folder.file("external.data")}`);
    qemuIo(file, "write -P 1 0 64k", "write -P 2 1M 64k");
    {
      await using graph = hostGraph();
      await using disk = await graph.open(file, { readOnly: true });
      expect((await contentOf(disk)).equals(qemuContent(file))).toBe(true);
      await using alone = await graph.open({ driver: "qcow2", file, dataFile: null, readOnly: true });
      expect((await alone.info()).formatSpecific?.data).toMatchObject({ "data-file-raw": false });
      await expect(alone.read(0, new Uint8Array(512))).rejects.toThrow("without its data file");
    }
    await using graph = hostGraph();
    await expect(graph.open({ driver: "qcow2", file, dataFile: null })).rejects.toThrow("without its data file");
  });
});

describe("compressed clusters", () => {
  const CLUSTER = 65_536;
  const data = Buffer.alloc(CLUSTER, "compressed bytes that repeat. ");

  /** An image whose first cluster is the given stream. */
  function imageWith(name: string, stream: Uint8Array): string {
    const file = qemuCreate(folder.file(name), "1M");
    qemuIo(file, "write -P 1 0 64k", "write -P 1 64k 128k");
    patch(file, (bytes) => {
      const { l2 } = places(bytes);
      const host = Number(bytes.readBigUInt64BE(l2) % 2n ** 56n);
      const offset = host + 100;
      bytes.set(stream, offset);
      const sectors = Math.floor((offset + stream.length - 1) / 512) - Math.floor(offset / 512);
      bytes.writeBigUInt64BE(2n ** 62n + BigInt(sectors) * 2n ** 54n + BigInt(offset), l2);
      return undefined;
    });
    return file;
  }

  const streams: [what: string, stream: Uint8Array][] = [
    ["a small window, as QEMU writes it", deflateRawSync(data, { windowBits: 12 })],
    ["a window of 32 KiB", deflateRawSync(data, { windowBits: 15 })],
    ["junk behind the stream", Buffer.concat([deflateRawSync(data), Buffer.alloc(700, 0xa5)])],
    ["a stream that goes on past the cluster", deflateRawSync(Buffer.concat([data, Buffer.alloc(CLUSTER * 3, 7)]))],
    ["a stream that goes on a little past the cluster", deflateRawSync(Buffer.concat([data, Buffer.alloc(10, 7)]))],
    ["a stream whose end is missing", deflateRawSync(Buffer.concat([data, Buffer.alloc(5000)])).subarray(0, -4)],
    [
      "a stream that is damaged behind the cluster",
      Buffer.concat([deflateRawSync(Buffer.concat([data, Buffer.alloc(9)]), { finishFlush: 2 }), Buffer.alloc(600, 0xff)]),
    ],
  ];
  it.each(streams)("are read with %s", async (what, stream) => {
    const file = imageWith(what, stream);
    await using graph = hostGraph();
    await using disk = await graph.open(file, { readOnly: true });
    const bytes = Buffer.alloc(CLUSTER);
    await disk.read(0, bytes);
    expect(bytes.equals(data)).toBe(true);
    await disk.read(1000, bytes.subarray(0, 5));
    expect(bytes.subarray(0, 5).equals(data.subarray(1000, 1005))).toBe(true);
  });

  it.each([
    ["one that ends early", deflateRawSync(data.subarray(0, 5000)), "decompresses to 5000 bytes instead of 65536"],
    ["one that is no stream", Buffer.alloc(3000, 0xff), "decompresses to 0 bytes"],
  ])("are refused: %s", async (what, stream, message) => {
    const file = imageWith(what, stream);
    await using graph = hostGraph();
    await using disk = await graph.open(file, { readOnly: true });
    await expect(disk.read(0, new Uint8Array(10))).rejects.toThrow(message);
    await expect(disk.read(0, new Uint8Array(CLUSTER))).rejects.toMatchObject({ code: "CORRUPT_IMAGE" });
    await disk.read(CLUSTER, new Uint8Array(10));
  });
});

it("walks a sparse tebibyte by its L1 table", async () => {
  const file = qemuCreate(folder.file("sparse"), "1T");
  qemuIo(file, "write 900G 64k");
  await using graph = hostGraph();
  await using disk = await graph.open(file, { readOnly: true });
  const extents = [];
  for await (const extent of disk.extents()) extents.push([extent.kind, extent.offset, extent.length]);
  expect(extents).toEqual([
    ["unallocated", 0, 900 * 2 ** 30],
    ["data", 900 * 2 ** 30, 65_536],
    ["unallocated", 900 * 2 ** 30 + 65_536, 124 * 2 ** 30 - 65_536],
  ]);
});
