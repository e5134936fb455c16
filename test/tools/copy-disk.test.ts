/** The copy engine against storage that is slow, fails, or must not be touched. */

import {
  BlockError,
  BlockGraph,
  copyDisk,
  JobControl,
  rawDriver,
  SimulatedClock,
  type BlockDriver,
  type BlockNode,
  type CopyDiskOptions,
  type DescribedNode,
  type DriverEntry,
} from "@coblock/core";
import { qcow2Driver } from "@coblock/qcow2";
import { SeededRandom, TestStorage, type TestStorageOptions } from "@coblock/testing";
import { describe, expect, it } from "vitest";

const KIB = 1024;
const MIB = 1024 * KIB;
const SIZE = 5 * MIB + 300;

/** Random data, zeros and single bytes in runs of many lengths. */
function content(seed: number, size: number = SIZE): Buffer {
  const random = new SeededRandom(seed);
  const bytes = Buffer.alloc(size);
  const noise = Buffer.from(Uint8Array.from({ length: 64 * KIB }, (_, index) => 1 + ((index * index * seed) % 250)));
  for (let at = 0; at < size;) {
    const length = Math.min(size - at, 1 + random.below(400 * KIB));
    const kind = random.below(3);
    if (kind === 0) bytes.fill(noise, at, at + length);
    else if (kind === 1) bytes[at] = 1;
    at += length;
  }
  return bytes;
}

interface Rig {
  readonly storage: TestStorage;
  readonly graph: BlockGraph;
  readonly source: BlockNode;
  readonly target: BlockNode;
}

async function withRig(
  bytes: { readonly source: Uint8Array; readonly target: Uint8Array },
  options: TestStorageOptions,
  work: (rig: Rig) => Promise<void>,
): Promise<void> {
  const storage = new TestStorage(options);
  storage.put("test:source", bytes.source);
  storage.put("test:target", bytes.target);
  await using graph = new BlockGraph({ drivers: [storage.driver, rawDriver] });
  const source = await graph.open("test:source", { driver: "raw", readOnly: true });
  const target = await graph.open("test:target", { driver: "raw" });
  await work({ storage, graph, source, target });
}

function copied(rig: Rig, options: Partial<CopyDiskOptions> = {}): Promise<void> {
  return copyDisk({ source: rig.source, target: rig.target, ...options });
}

/** Storage that knows nothing of holes: all of it is data. */
function plainDriver(
  bytes: Buffer,
  { optimalTransfer, onRead }: { optimalTransfer?: number; onRead?: (length: number) => void } = {},
): DriverEntry {
  const driver: BlockDriver = {
    name: "plain",
    kind: "protocol",
    optionNames: [],
    open: async () => ({
      size: bytes.length,
      limits: { requestAlignment: 1, ...(optimalTransfer === undefined ? {} : { optimalTransfer }) },
      read: (offset, into) => {
        onRead?.(into.length);
        into.set(bytes.subarray(offset, offset + into.length));
      },
      [Symbol.asyncDispose]: async () => {},
    }),
  };
  return { name: "plain", kind: "protocol", load: () => Promise.resolve(driver) };
}

const writesTo = (file: string) => (operation: { readonly kind: string; readonly file: string }) =>
  operation.file === file && (operation.kind === "write" || operation.kind === "write zeroes");

describe("copyDisk", () => {
  it.each(["at once", "later"] as const)("copies all bytes, completions %s", async (completions) => {
    for (let seed = 1; seed <= 4; seed++) {
      const source = content(seed);
      await withRig({ source, target: content(seed + 100) }, { completions, seed }, async (rig) => {
        await copied(rig, { parallel: seed });
        expect(Buffer.from(rig.storage.contentOf("test:target")).equals(source)).toBe(true);
      });
    }
  });

  it.each([0, 512, 4096, 64 * KIB, 16 * MIB])("copies all bytes with a sparse size of %i", async (sparseSize) => {
    const source = content(7);
    await withRig({ source, target: Buffer.alloc(SIZE) }, {}, async (rig) => {
      await copied(rig, { sparseSize, targetIsZero: true });
      expect(Buffer.from(rig.storage.contentOf("test:target")).equals(source)).toBe(true);
    });
  });

  it.each([512, 4096])("finds zeros within data, %i bytes at least", async (sparseSize) => {
    const bytes = content(21);
    const storage = new TestStorage();
    storage.put("test:target", Buffer.alloc(SIZE));
    await using graph = new BlockGraph({ drivers: [storage.driver, rawDriver, plainDriver(bytes)] });
    const source = await graph.open({ driver: "plain" } as unknown as DescribedNode, { readOnly: true });
    const target = await graph.open("test:target", { driver: "raw" });
    await copyDisk({ source, target, targetIsZero: true, sparseSize });
    expect(Buffer.from(storage.contentOf("test:target")).equals(bytes)).toBe(true);
    for (const { offset, length } of storage.log.filter(writesTo("test:target"))) {
      expect(bytes.subarray(offset, offset + Math.min(sparseSize, length)).some((byte) => byte !== 0)).toBe(true);
    }
    const written = storage.log.filter(writesTo("test:target")).reduce((sum, { length }) => sum + length, 0);
    expect(written).toBeLessThan(SIZE * 0.75);
  });

  it("reads in the lengths that what lies below likes best, within reason, and writes in its own", async () => {
    const bytes = Buffer.alloc(9 * MIB, 7);
    for (const [optimalTransfer, expected] of [
      [2 * MIB, [2, 2, 2, 2, 1]],
      [64 * MIB, [4, 4, 1]],
    ] as const) {
      const lengths: number[] = [];
      const storage = new TestStorage({});
      storage.put("test:target", Buffer.alloc(bytes.length));
      const plain = plainDriver(bytes, { optimalTransfer, onRead: (length) => lengths.push(length) });
      await using graph = new BlockGraph({ drivers: [storage.driver, rawDriver, plain] });
      const source = await graph.open({ driver: "raw", file: { driver: "plain" } } as unknown as DescribedNode, { readOnly: true });
      const target = await graph.open("test:target", { driver: "raw" });
      await copyDisk({ source, target });
      expect(lengths).toEqual(expected.map((count) => count * MIB));
      expect(storage.log.filter(writesTo("test:target")).map(({ length }) => length)).toEqual(Array.from({ length: 9 }, () => MIB));
      expect(Buffer.from(storage.contentOf("test:target")).equals(bytes)).toBe(true);
    }
  });

  it("writes no zeros to a target that is zero, and all of them with sparse size 0", async () => {
    const source = Buffer.alloc(MIB);
    source.fill(1, 256 * KIB, 260 * KIB);
    await withRig({ source, target: Buffer.alloc(MIB) }, {}, async (rig) => {
      await copied(rig, { targetIsZero: true });
      expect(rig.storage.log.filter(writesTo("test:target"))).toMatchObject([{ kind: "write", offset: 256 * KIB, length: 4 * KIB }]);
      rig.storage.clearLog();
      await copied(rig, { targetIsZero: true, sparseSize: 0 });
      const written = rig.storage.log.filter(writesTo("test:target")).reduce((sum, { length }) => sum + length, 0);
      expect(written).toBe(MIB);
    });
  });

  it("puts a source at its place and leaves the rest alone", async () => {
    const target = Buffer.alloc(3000, 9);
    await withRig({ source: Buffer.alloc(1000), target }, {}, async (rig) => {
      await copied(rig, { targetOffset: 1000 });
      target.fill(0, 1000, 2000);
      expect(Buffer.from(rig.storage.contentOf("test:target")).equals(target)).toBe(true);
    });
  });

  it("refuses a target that is too small before it reads", async () => {
    await withRig({ source: Buffer.alloc(1000), target: Buffer.alloc(1500) }, {}, async (rig) => {
      rig.storage.clearLog();
      await expect(copied(rig, { targetOffset: 600 })).rejects.toMatchObject({ code: "OUT_OF_RANGE" });
      expect(rig.storage.log).toEqual([]);
    });
  });

  it("flushes the target after the last write, before it returns", async () => {
    await withRig({ source: content(3), target: Buffer.alloc(SIZE) }, { completions: "later" }, async (rig) => {
      await copied(rig, { targetIsZero: true });
      const ends = rig.storage.log.filter(writesTo("test:target")).map(({ ended = Infinity }) => ended);
      const flush = rig.storage.log.find(({ kind, file }) => kind === "flush" && file === "test:target");
      expect(flush?.began).toBeGreaterThan(Math.max(...ends));
      expect(flush?.ended).toBeDefined();
    });
  });

  it("tells its progress by the source's data", async () => {
    await withRig({ source: content(5), target: Buffer.alloc(SIZE) }, {}, async (rig) => {
      const calls: Array<readonly [number, number]> = [];
      await copied(rig, { onProgress: (done, total) => calls.push([done, total]) });
      const [allDone, allBytes] = calls.at(-1) ?? [0, 1];
      expect(allDone).toBe(allBytes);
      expect(allBytes).toBeLessThan(SIZE);
      const steps = calls.map(([done]) => done);
      expect(steps).toEqual(steps.toSorted((one, other) => one - other));
    });
  });
});

describe("copyDisk, when something fails", () => {
  /** Every operation of a copy fails once: k counts through all of them. */
  it.each([
    ["read", "test:source"],
    ["write", "test:target"],
    ["flush", "test:target"],
  ] as const)("reports the k-th %s of %s, ends all I/O, leaves the source alone", async (kind, file) => {
    const source = content(11);
    let failures = 0;
    for (let after = 0; after < 100; after++) {
      let failed = false;
      await withRig({ source, target: Buffer.alloc(SIZE) }, { completions: "later", seed: after + 1 }, async (rig) => {
        const fault = rig.storage.fail((operation) => operation.kind === kind && operation.file === file, { after, times: 1 });
        const error = await copied(rig, { targetIsZero: true }).then(
          () => undefined,
          (thrown: unknown) => thrown,
        );
        failed = fault.hits > 0;
        expect(error instanceof BlockError).toBe(failed);
        expect(rig.storage.inFlight).toBe(0);
        expect(Buffer.from(rig.storage.contentOf("test:source")).equals(source)).toBe(true);
        fault[Symbol.dispose]();
      }).catch((error: unknown) => {
        // A flush that failed stays failed: closing says so again.
        if (kind !== "flush" || !(error instanceof BlockError)) throw error;
      });
      if (!failed) break;
      failures++;
    }
    expect(failures).toBeGreaterThan(0);
    expect(failures).toBeLessThan(100);
  });

  it("stops at an abort with all I/O ended", async () => {
    await withRig({ source: content(13), target: Buffer.alloc(SIZE) }, { completions: "later" }, async (rig) => {
      const abort = new AbortController();
      let calls = 0;
      const onProgress = (): void => {
        if (++calls === 2) abort.abort(new Error("enough"));
      };
      await expect(copied(rig, { signal: abort.signal, onProgress })).rejects.toThrow("enough");
      expect(rig.storage.inFlight).toBe(0);
      expect(rig.storage.log.some(({ kind }) => kind === "flush")).toBe(false);
    });
  });

  it("salvages what can be read, sector by sector", async () => {
    const source = Buffer.alloc(MIB, 7);
    const [start, end] = [600 * KIB + 1024, 600 * KIB + 3072];
    await withRig({ source, target: Buffer.alloc(MIB) }, {}, async (rig) => {
      using _fault = rig.storage.fail(
        ({ kind, file, offset, length }) => kind === "read" && file === "test:source" && offset < end && offset + length > start,
      );
      const lost: Array<readonly [number, number]> = [];
      // One worker: its buffer holds what it read before.
      await copied(rig, { parallel: 1, targetIsZero: true, onReadError: (offset, length) => lost.push([offset, length]) });
      expect(lost).toEqual([[start, end - start]]);
      source.fill(0, start, end);
      expect(Buffer.from(rig.storage.contentOf("test:target")).equals(source)).toBe(true);
    });
  });
});

describe("copyDisk to a target with a backing file", () => {
  it("copies only the layers above the shared one, zeros of them too", async () => {
    const storage = new TestStorage();
    await using graph = new BlockGraph({ drivers: [storage.driver, rawDriver, qcow2Driver], implicitOpen: "allow" });
    const base = Buffer.alloc(2 * MIB, 5);
    storage.put("test:base", base);
    for (const name of ["test:top", "test:target"]) {
      storage.put(name, new Uint8Array());
      const file = { driver: "test", filename: name } as const;
      await graph.create({ driver: "qcow2", filename: name, size: 3 * MIB, backing: { filename: "test:base", format: "raw" }, file });
    }
    const source = await graph.open("test:top", { driver: "qcow2" });
    await source.write(70 * KIB, Buffer.alloc(100, 8));
    await source.writeZeroes(MIB, 64 * KIB);
    const target = await graph.open("test:target", { driver: "qcow2" });
    storage.clearLog();
    await copyDisk({ source, target, targetIsZero: true, sharedDepth: 1 });

    const [one, other] = [Buffer.alloc(3 * MIB), Buffer.alloc(3 * MIB)];
    await source.read(0, one);
    await target.read(0, other);
    expect(other.equals(one)).toBe(true);
    const own: string[] = [];
    for await (const { offset, length, kind } of target.extents({ throughBacking: false })) {
      if (kind !== "unallocated") own.push(`${kind} ${offset}+${length}`);
    }
    expect(own).toEqual([`data ${64 * KIB}+${64 * KIB}`, `zero ${MIB}+${64 * KIB}`]);
  });
});

describe("a copy that is steered", () => {
  it("reads and writes no data while it is paused, and is whole when it went on", async () => {
    const bytes = content(9);
    await withRig({ source: bytes, target: Buffer.alloc(SIZE) }, {}, async (rig) => {
      const control = new JobControl(new SimulatedClock());
      control.pause();
      const copying = copied(rig, { control, targetIsZero: true });
      await new Promise((resolve) => setTimeout(resolve, 20));
      expect(rig.storage.log.filter(({ kind }) => kind === "read" || kind === "write")).toEqual([]);
      control.resume();
      await copying;
      expect(bytes.equals(rig.storage.contentOf("test:target"))).toBe(true);
    });
  });
});

describe("a compressed copy", () => {
  const UNIT = 64 * KIB;
  const CELL = 4 * KIB;
  const CELLS = 6 * (UNIT / CELL) - 3;

  /** A source of small clusters, each with data, zeros or nothing, in runs that end anywhere in the target's units. */
  async function sourceOf(graph: BlockGraph, random: SeededRandom): Promise<{ readonly node: BlockNode; readonly model: Buffer }> {
    const model = Buffer.alloc(CELLS * CELL);
    await graph.create({ driver: "qcow2", filename: "test:source", size: model.length, values: { cluster_size: CELL } });
    const node = await graph.open({ driver: "qcow2", file: "test:source" });
    for (let at = 0; at < CELLS;) {
      const count = Math.min(CELLS - at, 1 + random.below(24));
      const kind = random.below(3);
      if (kind === 0) {
        model.fill(1 + random.below(255), at * CELL, (at + count) * CELL);
        await node.write(at * CELL, model.subarray(at * CELL, (at + count) * CELL));
      } else if (kind === 1) await node.writeZeroes(at * CELL, count * CELL);
      at += count;
    }
    return { node, model };
  }

  it.each([1, 2, 3, 4, 5, 6, 7, 8])("has every unit with data in it compressed, whatever its neighbours are: seed %i", async (seed) => {
    const random = new SeededRandom(seed);
    const storage = new TestStorage({ completions: "later", seed });
    await using graph = new BlockGraph({ drivers: [storage.driver, rawDriver, qcow2Driver] });
    for (const name of ["test:source", "test:target"]) storage.put(name, new Uint8Array(0));
    const { node: source, model } = await sourceOf(graph, random);
    await graph.create({ driver: "qcow2", filename: "test:target", size: model.length, values: { cluster_size: UNIT } });
    const target = await graph.open({ driver: "qcow2", file: "test:target" });
    await copyDisk({ source, target, compress: true, targetIsZero: random.chance(0.5), parallel: 4 });
    const result = Buffer.alloc(model.length);
    await target.read(0, result);
    expect(result.equals(model)).toBe(true);
    for (let offset = 0; offset < model.length; offset += UNIT) {
      const unit = model.subarray(offset, offset + UNIT);
      const { kind } = await target.status(offset, unit.length);
      if (unit.every((byte) => byte === 0)) expect(kind).not.toBe("data");
      else expect(kind).toBe("compressed");
    }
  });
});
