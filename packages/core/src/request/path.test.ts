import { describe, expect, test } from "vitest";
import type { BlockImage } from "../driver.ts";
import { BlockError } from "../errors.ts";
import { LabDisk } from "../fixture/lab-disk.ts";
import { filled, openDisk, readAll, settled, watch } from "../fixture/lab.ts";

/** Beginnings alone. */
function calls(disk: LabDisk): string[] {
  return disk.log.filter((line) => !line.endsWith("ended") && !line.endsWith("failed"));
}

function numbered(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => 1 + (index % 250));
}

describe("bounds", () => {
  test.each([
    [-1, 1],
    [4096, 1],
    [4095, 2],
    [0.5, 1],
    [Number.NaN, 1],
    [2 ** 53, 1],
    [0, 5000],
  ])("%d+%d reaches no driver", async (offset, length) => {
    const disk = new LabDisk(4096);
    const node = await openDisk(disk);
    await expect(node.read(offset, new Uint8Array(length))).rejects.toMatchObject({ code: "OUT_OF_RANGE", node: node.name, offset });
    await expect(node.write(offset, new Uint8Array(length))).rejects.toMatchObject({ code: "OUT_OF_RANGE" });
    await expect(node.writeZeroes(offset, length)).rejects.toMatchObject({ code: "OUT_OF_RANGE" });
    await expect(node.discard(offset, length)).rejects.toMatchObject({ code: "OUT_OF_RANGE" });
    await expect(node.writeCompressed(offset, new Uint8Array(length))).rejects.toMatchObject({ code: "OUT_OF_RANGE" });
    expect(disk.log).toEqual([]);
  });

  test("the message says what, where and how large", async () => {
    const node = await openDisk(new LabDisk(4096));
    await expect(node.read(4096, new Uint8Array(512))).rejects.toThrow(
      `${node.name}: read of 512 bytes at offset 0x1000 does not fit into its 4096 bytes`,
    );
  });

  test("lengths that are no lengths are refused", async () => {
    const node = await openDisk(new LabDisk(4096));
    for (const length of [-1, 0.5, Number.NaN, Infinity]) {
      await expect(node.writeZeroes(0, length)).rejects.toMatchObject({ code: "OUT_OF_RANGE" });
      await expect(node.discard(0, length)).rejects.toMatchObject({ code: "OUT_OF_RANGE" });
    }
  });

  test("empty requests are done at once", async () => {
    const disk = new LabDisk(4096);
    const node = await openDisk(disk);
    for (const offset of [0, 5, 4096]) {
      await node.read(offset, new Uint8Array(0));
      await node.write(offset, new Uint8Array(0));
      await node.writeZeroes(offset, 0);
      await node.discard(offset, 0);
      await node.writeCompressed(offset, new Uint8Array(0));
    }
    expect(disk.log).toEqual([]);
  });

  test("read-only nodes refuse every change, and flush nothing", async () => {
    const disk = new LabDisk(4096);
    const node = await openDisk(disk, { readOnly: true });
    for (const request of [
      () => node.write(0, filled(1, 1)),
      () => node.writeZeroes(0, 1),
      () => node.discard(0, 512),
      () => node.writeCompressed(0, filled(1, 1)),
      () => node.resize(1),
    ]) {
      await expect(request()).rejects.toMatchObject({ code: "READ_ONLY" });
    }
    await node.flush();
    expect(disk.log).toEqual([]);
  });

  test("a driver that cannot write says so", async () => {
    const image: BlockImage = { size: 10, limits: { requestAlignment: 1 }, read() {}, async [Symbol.asyncDispose]() {} };
    const node = await openDisk(image);
    await expect(node.write(0, filled(1, 1))).rejects.toMatchObject({ code: "READ_ONLY" });
    await expect(node.writeZeroes(0, 1)).rejects.toMatchObject({ code: "READ_ONLY" });
  });
});

describe("a driver that takes 4,096 bytes at a time", () => {
  async function open(size = 16 * 4096): Promise<{ readonly disk: LabDisk; readonly node: Awaited<ReturnType<typeof openDisk>> }> {
    const disk = new LabDisk(size);
    disk.bytes.set(numbered(size));
    disk.limits = { requestAlignment: 4096 };
    return { disk, node: await openDisk(disk) };
  }

  test("reads what is around an unaligned read", async () => {
    const { disk, node } = await open();
    expect(await readAll(node, 4000, 200)).toEqual(numbered(16 * 4096).subarray(4000, 4200));
    expect(calls(disk)).toEqual(["read 0+8192"]);
  });

  test("reads, changes and writes what is around an unaligned write, no more than that", async () => {
    const { disk, node } = await open();
    await node.write(100, filled(10, 0xff));
    expect(calls(disk)).toEqual(["read 0+4096", "write 0+4096"]);
    disk.log.length = 0;
    await node.write(4000, filled(3 * 4096, 0xff));
    expect(calls(disk)).toEqual(["read 0+4096", "read 12288+4096", "write 0+16384"]);
    disk.log.length = 0;
    await node.write(8192, filled(4097, 0xff));
    expect(calls(disk)).toEqual(["read 12288+4096", "write 8192+8192"]);
    disk.log.length = 0;
    await node.write(8192, filled(4096, 0xff));
    expect(calls(disk)).toEqual(["write 8192+4096"]);
    const expected = numbered(16 * 4096)
      .fill(0xff, 100, 110)
      .fill(0xff, 4000, 4000 + 3 * 4096);
    expect(disk.bytes).toEqual(expected);
  });

  test("two unaligned writes to one unit do not lose each other's bytes", async () => {
    const { disk, node } = await open();
    disk.synchronous = false;
    await Promise.all([...Array(20).keys()].map((index) => node.write(index * 100, filled(50, 0xf0 + (index % 16)))));
    const expected = numbered(16 * 4096);
    for (let index = 0; index < 20; index++) expected.fill(0xf0 + (index % 16), index * 100, index * 100 + 50);
    expect(disk.bytes).toEqual(expected);
  });

  test("a request that meets an unaligned write waits for it, others do not; reads do too", async () => {
    const { disk, node } = await open();
    disk.holds = (name) => name === "read 0+4096";
    const unaligned = node.write(100, filled(10, 1));
    await settled();
    const meeting = [
      node.write(0, filled(4096, 2)),
      node.writeZeroes(0, 4096),
      node.read(0, new Uint8Array(4096)),
      node.discard(0, 4096),
    ].map(watch);
    const beside = watch(node.write(4096, filled(4096, 3)));
    await settled();
    expect(meeting.map(({ state }) => state)).toEqual(Array(4).fill("pending"));
    expect(beside.state).toBe("fulfilled");
    disk.holds = () => false;
    disk.release();
    await unaligned;
    await settled();
    expect(meeting.map(({ state }) => state)).toEqual(Array(4).fill("fulfilled"));
  });

  test("an unaligned write waits for an aligned one in flight", async () => {
    const { disk, node } = await open();
    disk.holds = (name) => name === "write 0+4096";
    const aligned = node.write(0, filled(4096, 1));
    await settled();
    const unaligned = node.write(100, filled(10, 2));
    await settled();
    expect(calls(disk)).toEqual(["write 0+4096"]);
    disk.holds = () => false;
    disk.release();
    await Promise.all([aligned, unaligned]);
    expect(disk.bytes.subarray(0, 4096)).toEqual(filled(4096, 1).fill(2, 100, 110));
  });

  test("an image that ends within a unit is read and written up to its end", async () => {
    const { disk, node } = await open(5000);
    expect(await readAll(node, 4990, 10)).toEqual(numbered(5000).subarray(4990));
    await node.write(4999, filled(1, 0xff));
    expect([disk.size, disk.bytes[4999], disk.bytes[4998]]).toEqual([5000, 0xff, numbered(5000)[4998]]);
    expect(calls(disk)).toEqual(["read 4096+904", "read 4096+904", "write 4096+904"]);
  });

  test("a child that is written behind its end grows by whole units, with zeros around", async () => {
    const { disk, node } = await open(5000);
    await node.requests.write(9000, filled(10, 0xff), undefined, true);
    const expected = filled(12_288, 0).fill(0xff, 9000, 9010);
    expected.set(numbered(5000));
    expect(disk.bytes).toEqual(expected);
  });

  test("a write up to the end of a child that grows meanwhile is still whole units", async () => {
    const { disk, node } = await open(5000);
    disk.holds = (name) => name.startsWith("read");
    const short = node.requests.write(4990, filled(10, 1), undefined, true);
    await settled();
    await node.requests.write(8192, filled(4096, 2), undefined, true);
    disk.holds = () => false;
    disk.release();
    await short;
    expect(calls(disk)).toEqual(["read 4096+904", "write 8192+4096", "write 4096+4096"]);
  });

  test("zeros are written where the driver has no better way", async () => {
    const { disk, node } = await open();
    await node.writeZeroes(100, 8192);
    expect(disk.bytes).toEqual(numbered(16 * 4096).fill(0, 100, 8292));
  });
});

describe("a driver that takes 1,024 bytes at the most", () => {
  async function open(requestAlignment: number): Promise<{ readonly disk: LabDisk; readonly node: Awaited<ReturnType<typeof openDisk>> }> {
    const disk = new LabDisk(8192);
    disk.bytes.set(numbered(8192));
    disk.limits = { requestAlignment, maxTransfer: 1100 };
    return { disk, node: await openDisk(disk) };
  }

  function longest(disk: LabDisk): number {
    return Math.max(...calls(disk).map((line) => Number(line.split("+")[1])));
  }

  test.each([512, 1])("gets longer requests in pieces (alignment %d)", async (alignment) => {
    const { disk, node } = await open(alignment);
    const limit = alignment === 512 ? 1024 : 1100;
    expect(await readAll(node, 0, 8192)).toEqual(numbered(8192));
    expect(longest(disk)).toBe(limit);
    disk.log.length = 0;
    await node.write(0, filled(8192, 1));
    await node.writeZeroes(512, 4096);
    expect(longest(disk)).toBe(limit);
    expect(disk.bytes).toEqual(filled(8192, 1).fill(0, 512, 4608));
  });

  test("gets long unaligned requests in pieces that fit when they are widened", async () => {
    const { disk, node } = await open(512);
    expect(await readAll(node, 100, 5000)).toEqual(numbered(8192).subarray(100, 5100));
    expect(longest(disk)).toBe(1024);
    disk.log.length = 0;
    await node.write(700, filled(5000, 1));
    expect(longest(disk)).toBe(1024);
    await node.writeZeroes(1000, 3001);
    expect(longest(disk)).toBe(1024);
    expect(disk.bytes).toEqual(numbered(8192).fill(1, 700, 5700).fill(0, 1000, 4001));
  });

  test("must take as much as its alignment", async () => {
    const disk = new LabDisk(8192);
    disk.limits = { requestAlignment: 4096, maxTransfer: 1024 };
    await expect(openDisk(disk)).rejects.toThrow("maxTransfer is below the alignment");
  });
});

describe("emulation", () => {
  test("zeros longer than the shared buffer are written in pieces", async () => {
    const disk = new LabDisk(3 * 1024 * 1024);
    disk.bytes.fill(1);
    const node = await openDisk(disk);
    await node.writeZeroes(5, 2.5 * 1024 * 1024);
    expect(Buffer.compare(disk.bytes, filled(3 * 1024 * 1024, 1).fill(0, 5, 5 + 2.5 * 1024 * 1024))).toBe(0);
  });

  test("a driver's own zero writes are used, with leave to unmap only where discards are not ignored", async () => {
    for (const discard of ["ignore", "unmap"] as const) {
      const disk = new LabDisk(4096);
      const seen: unknown[] = [];
      const node = await openDisk(
        Object.assign(disk, {
          writeZeroes: (offset: number, length: number, options: object) => void seen.push([offset, length, options]),
        }),
        { discard },
      );
      await node.writeZeroes(1, 2, { mayUnmap: true });
      await node.writeZeroes(3, 4);
      expect(seen).toEqual([
        [1, 2, { mayUnmap: discard === "unmap" }],
        [3, 4, { mayUnmap: false }],
      ]);
    }
  });

  test("discards reach the driver in whole units, or up to the end of the image", async () => {
    const disk = new LabDisk(10_000);
    disk.limits = { requestAlignment: 1, discardAlignment: 4096 };
    const node = await openDisk(disk);
    for (const [offset, length] of [
      [0, 4095],
      [1, 4096],
      [1, 8191],
      [4095, 5905],
      [8193, 1807],
    ] as const)
      await node.discard(offset, length);
    expect(calls(disk)).toEqual(["discard 4096+4096", "discard 4096+5904"]);
    await (await openDisk(disk, { discard: "ignore" })).discard(0, 8192);
    expect(calls(disk)).toHaveLength(2);
  });

  test("a driver without discards keeps what it has", async () => {
    const { size, limits, bytes } = new LabDisk(512);
    const node = await openDisk({ size, limits, read: (_offset, into) => into.set(bytes), async [Symbol.asyncDispose]() {} });
    await node.discard(0, 512);
  });

  test("a forced write ends after a flush; one of a driver that flushes nothing ends anyway", async () => {
    const disk = new LabDisk(4096);
    const node = await openDisk(disk);
    await node.write(0, filled(10, 1), { forceUnitAccess: true });
    await node.writeZeroes(0, 10, { forceUnitAccess: true });
    expect(calls(disk)).toEqual(["write 0+10", "flush", "write 0+10", "flush"]);
    await node.flush();
    expect(calls(disk), "there is nothing left to flush").toHaveLength(4);
    const failure = new BlockError("IO", "no");
    disk.fails = (name) => (name === "flush" ? failure : undefined);
    await expect(node.write(0, filled(10, 1), { forceUnitAccess: true })).rejects.toBe(failure);
  });

  test("compressed writes to a driver that does not compress are writes", async () => {
    const disk = new LabDisk(8192);
    disk.limits = { requestAlignment: 512, maxTransfer: 1024 };
    disk.bytes.fill(7);
    const node = await openDisk(disk);
    await node.writeCompressed(100, filled(3000, 1));
    expect(disk.bytes).toEqual(filled(8192, 7).fill(1, 100, 3100));
  });
});

test("statistics count what succeeded and what failed, at once or later", async () => {
  const disk = new LabDisk(4096);
  const node = await openDisk(disk);
  for (const synchronous of [true, false]) {
    disk.synchronous = synchronous;
    disk.fails = () => undefined;
    await node.read(0, new Uint8Array(100));
    await node.write(0, new Uint8Array(10));
    await node.writeZeroes(0, 1000);
    await node.discard(0, 4096);
    await node.flush();
    disk.fails = (name) => (name === "flush" ? undefined : new BlockError("IO", "no"));
    for (const request of [node.read(0, new Uint8Array(1)), node.write(0, new Uint8Array(1)), node.writeZeroes(0, 1), node.discard(0, 512)])
      await expect(request).rejects.toThrow("no");
  }
  expect(node.inspect()).toMatchObject({
    statistics: {
      read: { operations: 2, bytes: 200, failures: 2 },
      write: { operations: 2, bytes: 20, failures: 2 },
      writeZeroes: { operations: 2, bytes: 2000, failures: 2 },
      discard: { operations: 2, bytes: 8192, failures: 2 },
      flush: { operations: 2, bytes: 0, failures: 0 },
    },
  });
});

test("a write that failed leaves something to flush", async () => {
  const disk = new LabDisk(4096);
  const node = await openDisk(disk);
  for (const synchronous of [true, false]) {
    await node.flush();
    disk.synchronous = synchronous;
    disk.fails = (name) => (name.startsWith("write") ? new BlockError("IO", "half of it was written") : undefined);
    await expect(node.write(0, filled(10, 1))).rejects.toThrow("half");
    disk.log.length = 0;
    await node.flush();
    expect(disk.log, `synchronous: ${synchronous}`).toContain("flush");
  }
});

test("a node that has failed answers every request with the failure", async () => {
  const disk = new LabDisk(4096);
  const node = await openDisk(disk);
  const failure = new BlockError("CORRUPT_IMAGE", "broken");
  disk.holds = () => true;
  const before = node.read(0, new Uint8Array(1));
  node.requests.fail(failure);
  node.requests.fail(new BlockError("IO", "a second one"));
  for (const request of [
    node.read(0, new Uint8Array(1)),
    node.write(0, filled(1, 1)),
    node.writeZeroes(0, 1),
    node.discard(0, 1),
    node.flush(),
    node.writeCompressed(0, filled(1, 1)),
  ]) {
    await expect(request).rejects.toBe(failure);
  }
  disk.release();
  await before;
});

test("a request in flight is seen, with how long it has been", async () => {
  const disk = new LabDisk(8192);
  const node = await openDisk(disk);
  disk.holds = () => true;
  const requests = [node.read(0, new Uint8Array(512)), node.write(512, filled(100, 1)), node.flush()];
  await settled();
  expect(node.inspect()).toMatchObject({
    requests: [{ kind: "read", offset: 0, length: 512 }, { kind: "write", offset: 512, length: 100 }, { kind: "flush" }],
  });
  disk.release();
  await settled();
  disk.release();
  await Promise.all(requests);
  expect(node.inspect()).toMatchObject({ requests: [] });
});
