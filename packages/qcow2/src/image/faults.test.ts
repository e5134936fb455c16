/** One failed write or flush at every moment: what the image then is may be old or leak, and nothing else. */

import { readFileSync } from "node:fs";
import { BlockError, BlockGraph, type BlockNode, memoryDriver, rawDriver } from "@coblock/core";
import { describe, expect, it } from "vitest";
import { qcow2Driver } from "../index.ts";
import { hostGraph, qemuCreate, qemuImg, qemuIo, Seeded, TemporaryDirectory } from "../test/images.ts";
import { RecordedFile } from "../test/recorded-file.ts";

interface Scenario {
  readonly name: string;
  readonly options: string;
  readonly size: string;
  readonly prepare: (file: string) => Promise<void> | void;
  readonly run: (disk: BlockNode) => Promise<void>;
}

const SCENARIOS: readonly Scenario[] = [
  {
    name: "the refcount table grows",
    options: "cluster_size=512,refcount_bits=64",
    size: "8M",
    // The first table counts 2 MiB of the file.
    prepare: (file) => qemuIo(file, "write 0 1960k"),
    run: async (disk) => {
      await disk.write(4 * 2 ** 20, Buffer.alloc(60_000, 1));
      await disk.flush();
      await disk.write(5 * 2 ** 20, Buffer.alloc(5000, 2));
    },
  },
  {
    name: "the L1 table grows over several refcount blocks",
    options: "cluster_size=512,refcount_bits=64",
    size: "1M",
    prepare: (file) => qemuIo(file, "write 0 200k"),
    run: async (disk) => {
      await disk.resize(200 * 2 ** 20);
      await disk.write(199 * 2 ** 20, Buffer.alloc(5000, 2));
    },
  },
  {
    name: "tables and clusters are copied away from a snapshot",
    options: "cluster_size=512",
    size: "1M",
    prepare: (file) => {
      qemuIo(file, "write 0 40k");
      qemuImg("snapshot", "-c", "before", file);
    },
    run: async (disk) => {
      await disk.write(1000, Buffer.alloc(3000, 3));
      await disk.writeZeroes(20_000, 9000, { mayUnmap: true });
      await disk.flush();
      await disk.write(2000, Buffer.alloc(3000, 4));
    },
  },
  {
    name: "compressed clusters come and go",
    options: "cluster_size=4k",
    size: "1M",
    prepare: async (file) => {
      await using graph = hostGraph();
      await using disk = await graph.open(file);
      for (let at = 0; at < 2 ** 16; at += 4096) await disk.writeCompressed(at, Buffer.alloc(4096, at / 4096));
    },
    run: async (disk) => {
      await disk.writeCompressed(2 ** 17, Buffer.from(new Seeded(1).bytes(3000).toString("hex").slice(0, 4096)));
      await disk.write(100, Buffer.alloc(9000, 5));
      await disk.discard(2 ** 15, 2 ** 14);
      await disk.flush();
      await disk.writeCompressed(0, Buffer.alloc(4096, 7));
    },
  },
];

describe.each(SCENARIOS)("$name", ({ options, size, prepare, run }) => {
  it("never corrupts the image", async () => {
    using folder = new TemporaryDirectory();
    const image = qemuCreate(folder.file("image"), size, options);
    await prepare(image);
    const original = readFileSync(image);
    const whole = await attempt(original, Number.POSITIVE_INFINITY, run);
    expect(whole.failure).toBeUndefined();
    let failures = 0;
    const step = Math.max(1, Math.floor(whole.operations / 60));
    for (let until = 0; until < whole.operations; until += step) {
      const { failure, bytes } = await attempt(original, until, run);
      if (failure !== undefined) failures++;
      expect({ until, findings: await findingsIn(bytes, ["error"]) }).toEqual({ until, findings: [] });
    }
    expect(failures).toBeGreaterThan(5);
  });
});

it("a longer L1 table that cannot be written is given back", async () => {
  using folder = new TemporaryDirectory();
  const original = readFileSync(qemuCreate(folder.file("image"), "1M", "cluster_size=512,refcount_bits=64"));
  let refused = 0;
  for (let until = 0; until < 6; until++) {
    const file = new RecordedFile(original);
    file.operationsUntilFailure = until;
    await using graph = new BlockGraph({ drivers: [file.driver, rawDriver, qcow2Driver] });
    const disk = await graph.open({ driver: "qcow2", file: { driver: "memory" } });
    const failure = await failureOf(() => disk.resize(64 * 2 ** 20));
    const closing = await failureOf(async () => disk[Symbol.asyncDispose]());
    if (failure === undefined || closing !== undefined) continue;
    refused++;
    expect({ until, findings: await findingsIn(file.bytes, ["error", "leak"]) }).toEqual({ until, findings: [] });
  }
  expect(refused).toBeGreaterThan(0);
});

async function attempt(
  original: Uint8Array,
  until: number,
  run: Scenario["run"],
): Promise<{ readonly failure: unknown; readonly bytes: Buffer; readonly operations: number }> {
  const file = new RecordedFile(original);
  file.operationsUntilFailure = until;
  await using graph = new BlockGraph({ drivers: [file.driver, rawDriver, qcow2Driver] });
  const disk = await graph.open({ driver: "qcow2", file: { driver: "memory" } });
  const failure = (await failureOf(() => run(disk))) ?? (await failureOf(async () => disk[Symbol.asyncDispose]()));
  await failureOf(async () => disk[Symbol.asyncDispose]());
  return { failure, bytes: file.bytes, operations: file.log.length };
}

async function failureOf(work: () => Promise<void>): Promise<unknown> {
  try {
    await work();
    return undefined;
  } catch (error) {
    expect(error).toBeInstanceOf(BlockError);
    return error;
  }
}

async function findingsIn(bytes: Uint8Array, severities: readonly string[]): Promise<readonly string[]> {
  await using graph = new BlockGraph({ drivers: [memoryDriver, rawDriver, qcow2Driver] });
  await using disk = await graph.open({ driver: "qcow2", file: { driver: "memory", bytes }, readOnly: true });
  const findings: string[] = [];
  await disk.check({ repair: "none" }, ({ severity, what }) => {
    if (severities.includes(severity)) findings.push(what);
  });
  return findings;
}
