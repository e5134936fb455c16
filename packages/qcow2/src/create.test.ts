import { existsSync, readFileSync, statSync } from "node:fs";
import type { CreateValue } from "@coblock/core";
import { describe, expect, it } from "vitest";
import {
  contentOf,
  expectClean,
  hostGraph,
  qemuContent,
  qemuCreate,
  qemuImg,
  qemuImgRefusal,
  qemuIo,
  TemporaryDirectory,
} from "./test/images.ts";

type Values = Readonly<Record<string, CreateValue>>;

function optionsOf(values: Values): string {
  return Object.entries(values)
    .map(([name, value]) => `${name}=${value === true ? "on" : value === false ? "off" : value}`)
    .join(",");
}

const MIB = 2 ** 20;
const SAME: readonly [values: Values, size: number][] = [
  ...[512, 4096, 8192, 65_536, 2 * MIB].flatMap((cluster_size): [Values, number][] => [
    [{ cluster_size }, 0],
    [{ cluster_size }, 512],
    [{ cluster_size }, 2 ** 30],
    [{ cluster_size, compat: "0.10" }, 100 * MIB],
  ]),
  ...[1, 2, 4, 8, 16, 32, 64].flatMap((refcount_bits): [Values, number][] => [
    [{ refcount_bits }, 2 ** 34],
    [{ refcount_bits, cluster_size: 512, lazy_refcounts: true }, 2 ** 28],
  ]),
  [{ extended_l2: true }, 2 ** 30],
  [{ extended_l2: true, cluster_size: 16_384 }, 2 ** 36],
  [{ compat: "v2" }, MIB],
  [{ compat: "v3" }, MIB],
  [{ preallocation: "metadata" }, 16 * MIB],
  [{ preallocation: "metadata", compat: "0.10" }, 16 * MIB],
  [{ preallocation: "metadata", extended_l2: true }, 16 * MIB],
  [{ preallocation: "metadata", extended_l2: true, cluster_size: 16_384 }, 5 * MIB],
];

describe("a new image is the one that qemu-img makes, byte for byte", () => {
  it.each(SAME)("%o, %i bytes", async (values, size) => {
    using folder = new TemporaryDirectory();
    await using graph = hostGraph();
    const theirs = qemuCreate(folder.file("theirs"), size, optionsOf(values));
    const ours = folder.file("ours");
    await graph.create({ driver: "qcow2", filename: ours, size, values });
    expect(readFileSync(ours).equals(readFileSync(theirs))).toBe(true);
  });

  it.each<Values>([{}, { compat: "0.10" }, { cluster_size: 512 }, { extended_l2: true, preallocation: "metadata" }])(
    "%o over a backing file",
    async (values) => {
      using folder = new TemporaryDirectory();
      await using graph = hostGraph();
      const base = qemuCreate(folder.file("a base"), MIB);
      const theirs = folder.file("theirs");
      qemuImg("create", "-q", "-f", "qcow2", "-o", optionsOf({ ...values, size: MIB }), "-b", base, "-F", "qcow2", theirs);
      const ours = folder.file("ours");
      await graph.create({ driver: "qcow2", filename: ours, size: MIB, values, backing: { filename: base, format: "qcow2" } });
      expect(readFileSync(ours).equals(readFileSync(theirs))).toBe(true);
      const named = folder.file("named");
      await graph.create({ driver: "qcow2", filename: named, size: MIB, values: { ...values, backing_file: base, backing_fmt: "qcow2" } });
      expect(readFileSync(named).equals(readFileSync(theirs))).toBe(true);
    },
  );
});

describe("preallocation", () => {
  const shapes = ["metadata", "falloc", "full"].flatMap((preallocation) =>
    [{}, { cluster_size: 512 }, { refcount_bits: 64, cluster_size: 4096 }, { extended_l2: true }].map((values) => ({
      preallocation,
      ...values,
    })),
  );
  it.each(shapes)("%o maps all clusters, which read as zeros", async (values) => {
    using folder = new TemporaryDirectory();
    await using graph = hostGraph();
    const file = folder.file("image");
    await graph.create({ driver: "qcow2", filename: file, size: 8 * MIB, values });
    expectClean(file);
    expect(qemuContent(file).equals(Buffer.alloc(8 * MIB))).toBe(true);
    const info = JSON.parse(qemuImg("check", "--output=json", file)) as Record<string, number>;
    expect(info["allocated-clusters"]).toBe(info["total-clusters"]);
    const blocks = statSync(file).blocks * 512;
    if (values.preallocation === "metadata") expect(blocks).toBeLessThan(2 * MIB);
    else expect(blocks).toBeGreaterThanOrEqual(8 * MIB);
  });
});

describe("preallocation with extended L2 entries over a backing file", () => {
  it.each(["metadata", "falloc", "full"])("%s maps all clusters, and the backing file shows", async (preallocation) => {
    using folder = new TemporaryDirectory();
    await using graph = hostGraph();
    const base = qemuCreate(folder.file("base"), 4 * MIB);
    qemuIo(base, "write -P 7 0 4M");
    const file = folder.file("image");
    const backing = { filename: base, format: "qcow2" };
    await graph.create({ driver: "qcow2", filename: file, size: 5 * MIB, values: { extended_l2: true, preallocation }, backing });
    const check = JSON.parse(qemuImg("check", "--output=json", file)) as Record<string, number>;
    expect(check["allocated-clusters"]).toBe(check["total-clusters"]);
    expect(statSync(file).blocks * 512 >= 5 * MIB).toBe(preallocation !== "metadata");
    const { length } = readFileSync(file);
    await using disk = await graph.open(file);
    await disk.write(4 * MIB - 1000, Buffer.alloc(3000, 1));
    await disk.flush();
    expect(readFileSync(file).length).toBe(length);
    await graph[Symbol.asyncDispose]();
    const parts = [Buffer.alloc(4 * MIB - 1000, 7), Buffer.alloc(3000, 1), Buffer.alloc(MIB - 2000)];
    expect(qemuContent(file).equals(Buffer.concat(parts))).toBe(true);
    expectClean(file);
  });

  it.each(["metadata", "falloc", "full"])("%s without them is refused, as qemu-img does", async (preallocation) => {
    using folder = new TemporaryDirectory();
    await using graph = hostGraph();
    const base = qemuCreate(folder.file("base"), MIB);
    const theirs = qemuImgRefusal(
      "create",
      "-q",
      "-f",
      "qcow2",
      "-o",
      `preallocation=${preallocation}`,
      "-b",
      base,
      "-F",
      "qcow2",
      folder.file("theirs"),
    );
    const backing = { filename: base, format: "qcow2" };
    await expect(
      graph.create({ driver: "qcow2", filename: folder.file("ours"), size: MIB, values: { preallocation }, backing }),
    ).rejects.toThrow(theirs.trim().replace(/^.*?theirs: /, ""));
  });
});

describe("an external data file", () => {
  it.each(["metadata", "falloc", "full"])("mapped in advance, %s, is the one that qemu-img makes", async (preallocation) => {
    using folder = new TemporaryDirectory();
    await using graph = hostGraph();
    const [there, theirs, ours] = [folder.file("there"), folder.file("theirs"), folder.file("ours")];
    for (const extended_l2 of [false, true]) {
      const values = { data_file: there, preallocation, extended_l2 };
      qemuCreate(theirs, 4 * MIB, optionsOf(values));
      const blocks = statSync(there).blocks;
      await graph.create({ driver: "qcow2", filename: ours, size: 4 * MIB, values });
      expect(readFileSync(ours).equals(readFileSync(theirs))).toBe(true);
      expect(Math.abs(statSync(there).blocks - blocks)).toBeLessThanOrEqual(8);
    }
  });

  it.each([false, true])("is made along, raw: %s", async (raw) => {
    using folder = new TemporaryDirectory();
    await using graph = hostGraph();
    const [ours, theirs] = [folder.file("ours"), folder.file("theirs")];
    const values = (name: string) => ({ data_file: `${name}.data`, data_file_raw: raw });
    await graph.create({ driver: "qcow2", filename: ours, size: 4 * MIB, values: values(ours) });
    qemuCreate(theirs, 4 * MIB, optionsOf(values(theirs)));
    expect(statSync(`${ours}.data`).size).toBe(statSync(`${theirs}.data`).size);
    const infoOf = (file: string) =>
      qemuImg("info", "--output=json", file)
        .replaceAll(file, "file")
        .replace(/"actual-size": \d+/, "");
    expect(infoOf(ours)).toBe(infoOf(theirs));
    {
      await using disk = await graph.open(ours);
      await disk.write(MIB, Buffer.alloc(100_000, 5));
      await disk.writeZeroes(MIB, 65_536, { mayUnmap: true });
      await disk.discard(MIB + 65_536, 65_536);
    }
    expectClean(ours);
    if (raw) expect(readFileSync(`${ours}.data`).equals(qemuContent(ours))).toBe(true);
    await using disk = await graph.open(ours, { readOnly: true });
    expect((await contentOf(disk)).equals(qemuContent(ours))).toBe(true);
  });
});

describe("options that do not go together are refused, as qemu-img refuses them", () => {
  const refused: Values[] = [
    { cluster_size: 1000 },
    { cluster_size: 256 },
    { cluster_size: 4 * MIB },
    { refcount_bits: 3 },
    { refcount_bits: 128 },
    { compat: "0.10", refcount_bits: 8 },
    { compat: "0.10", lazy_refcounts: true },
    { compat: "0.10", extended_l2: true },
    { compat: "0.10", compression_type: "zstd" },
    { extended_l2: true, cluster_size: 8192 },
    { data_file_raw: true },
    // Of two reasons the one that qemu-img names.
    { compat: "0.10", lazy_refcounts: true, refcount_bits: 8, compression_type: "zstd" },
    { compat: "0.10", extended_l2: true, cluster_size: 1000 },
    { compat: "0.10", compression_type: "zstd", data_file_raw: true },
  ];
  it.each(refused)("%o", async (values) => {
    using folder = new TemporaryDirectory();
    await using graph = hostGraph();
    const theirs = qemuImgRefusal("create", "-q", "-f", "qcow2", "-o", optionsOf(values), folder.file("theirs"), "1M");
    const ours = folder.file("ours");
    const reason = theirs.trim().replace(/^.*?theirs: /, "");
    await expect(graph.create({ driver: "qcow2", filename: ours, size: MIB, values })).rejects.toThrow(reason);
    expect(existsSync(ours)).toBe(false);
  });

  it.each<[what: string, size: number, values: Values, message: string]>([
    ["a disk beyond what the L1 table can map", 2 ** 40, { cluster_size: 512 }, "too large"],
    ["an unknown level", MIB, { compat: "4" }, "Unknown compatibility level '4'"],
    ["a second size", MIB, { size: 2 * MIB }, "given twice"],
    ["a name that is too long", MIB, { backing_file: "b".repeat(1024) }, "longer than 1023 bytes"],
    [
      "a name that the first cluster has no room for",
      MIB,
      { cluster_size: 512, backing_file: "b".repeat(400) },
      "do not fit into the header",
    ],
    ["preallocation over a backing file", MIB, { backing_file: "b", preallocation: "full" }, "if extended_l2 is on"],
  ])("%s", async (_what, size, values, message) => {
    using folder = new TemporaryDirectory();
    await using graph = hostGraph();
    await expect(graph.create({ driver: "qcow2", filename: folder.file("ours"), size, values })).rejects.toThrow(message);
  });
});
