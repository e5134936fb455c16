import { describe, expect, test } from "vitest";
import { BlockError } from "../errors.ts";
import { filled, type Lab, openLab, readAll, settled } from "../fixture/lab.ts";
import { LabDisk } from "../fixture/lab-disk.ts";
import { CLUSTER, type LabCluster } from "../fixture/lab-format.ts";
import { AddressLookup } from "./address-lookup.ts";
import { writeAllocated } from "./copy-on-write.ts";
import { MappedReader } from "./reader.ts";
import { RetiredSpace } from "./retired-space.ts";

function backingOf(length: number): LabDisk {
  const backing = new LabDisk(length);
  backing.bytes.fill(0xbb);
  return backing;
}

/** Every host cluster begins full of old bytes: what must be zero has to be written. */
async function openStale(options: Parameters<typeof openLab>[0] = {}): Promise<Lab> {
  const lab = await openLab(options);
  lab.disk.bytes.fill(0x5e);
  return lab;
}

/** Ten bytes of 1 at 100 in cluster `clusterIndex`, and what is around them. */
async function afterWrite({ node }: Lab, clusterIndex: number): Promise<Uint8Array> {
  await node.write(clusterIndex * CLUSTER + 100, filled(10, 1));
  return readAll(node, clusterIndex * CLUSTER, Math.min(CLUSTER, node.size - clusterIndex * CLUSTER));
}

function around(length: number, byte: number, until = length): Uint8Array {
  const bytes = filled(length, 0).fill(byte, 0, until);
  return bytes.fill(1, 100, 110);
}

describe("what an allocating write keeps", () => {
  test("nothing was there: zeros", async () => {
    expect(await afterWrite(await openStale(), 2)).toEqual(around(CLUSTER, 0));
  });

  test("a backing file that covers the cluster, ends in it, or before it", async () => {
    expect(await afterWrite(await openStale({ backing: backingOf(16 * CLUSTER) }), 2)).toEqual(around(CLUSTER, 0xbb));
    expect(await afterWrite(await openStale({ backing: backingOf(2 * CLUSTER + 1000) }), 2)).toEqual(around(CLUSTER, 0xbb, 1000));
    expect(await afterWrite(await openStale({ backing: backingOf(2 * CLUSTER + 50) }), 2)).toEqual(around(CLUSTER, 0xbb, 50));
    expect(await afterWrite(await openStale({ backing: backingOf(2 * CLUSTER) }), 2)).toEqual(around(CLUSTER, 0));
  });

  test("a zero cluster over a backing file: zeros, not the backing file", async () => {
    const lab = await openStale({ backing: backingOf(16 * CLUSTER) });
    lab.format.map(2, { kind: "zero" });
    expect(await afterWrite(lab, 2)).toEqual(around(CLUSTER, 0));
  });

  test("a cluster that may not be written in place: its bytes", async () => {
    const lab = await openStale({ backing: backingOf(16 * CLUSTER) });
    lab.format.map(2, { kind: "data", host: 40, writable: false });
    lab.disk.bytes.fill(0x77, 40 * CLUSTER, 41 * CLUSTER);
    expect(await afterWrite(lab, 2)).toEqual(around(CLUSTER, 0x77));
    expect(lab.disk.bytes.subarray(40 * CLUSTER, 41 * CLUSTER), "the old cluster").toEqual(filled(CLUSTER, 0x77));
  });

  test("a compressed cluster: what it decodes to", async () => {
    const lab = await openStale();
    lab.format.map(2, { kind: "encoded", host: 40, storedLength: 1 });
    lab.disk.bytes[40 * CLUSTER] = 0x33;
    expect(await afterWrite(lab, 2)).toEqual(around(CLUSTER, 0x33));
  });

  test("the end of the disk: zeros behind it, and no backing bytes", async () => {
    const lab = await openStale({ sizeInClusters: 3, shortBy: 1000, backing: backingOf(16 * CLUSTER) });
    expect(await afterWrite(lab, 2)).toEqual(around(CLUSTER - 1000, 0xbb));
    const { host } = lab.format.mapped(2) as Extract<LabCluster, { kind: "data" }>;
    expect(lab.disk.bytes.subarray((host + 1) * CLUSTER - 1000, (host + 1) * CLUSTER)).toEqual(filled(1000, 0));
  });
});

test("payload and kept bytes go out in one write", async () => {
  const { node, disk } = await openStale({ backing: backingOf(16 * CLUSTER) });
  await node.write(100, filled(10, 1));
  expect(disk.log.filter((name) => name.startsWith("write"))).toEqual([`write 0+${CLUSTER}`, `write 0+${CLUSTER} ended`]);
});

test("the kept bytes are read under the claim and without the lock", async () => {
  const backing = backingOf(16 * CLUSTER);
  const { node, format } = await openStale({ backing });
  backing.holds = () => true;
  const first = node.write(100, filled(10, 1));
  await settled();
  const second = node.write(200, filled(10, 2));
  await settled();
  expect(format.state.locked).toBe(false);
  expect(backing.held, "the second write waits for the first").toEqual(["read 0+100"]);
  backing.holds = () => false;
  backing.release();
  await Promise.all([first, second]);
  expect(await readAll(node, 0, 300)).toEqual(filled(300, 0xbb).fill(1, 100, 110).fill(2, 200, 210));
});

test("a backing file that cannot be read fails the write, which gives its space back", async () => {
  const backing = backingOf(16 * CLUSTER);
  const { node, format } = await openStale({ backing });
  const failure = new BlockError("IO", "the backing file is gone");
  backing.fails = () => failure;
  await expect(node.write(100, filled(10, 1))).rejects.toBe(failure);
  expect(format.log).toContain("abandon 0");
  expect(format.freeClusters).toBe(64);
});

describe("large clusters", () => {
  /** One MiB of new space at 0 in the lab's file, 10 bytes of payload in its middle. */
  async function write(readsZero: boolean, backing: LabDisk | undefined): Promise<LabDisk> {
    const { format, disk } = await openLab({ sizeInClusters: 256, ...(backing === undefined ? {} : { backing }) });
    disk.bytes = filled(1024 * 1024, readsZero ? 0 : 0x5e);
    const lookup = new AddressLookup(format);
    const parts = { image: format, lookup, reader: new MappedReader(format, lookup, new RetiredSpace()) };
    const allocation = { offset: 0, length: 1024 * 1024, child: format.file, childOffset: 0, readsZero, ticket: 0 };
    disk.log.length = 0;
    await writeAllocated(parts, allocation, { offset: 500_000, bytes: filled(10, 1) });
    return disk;
  }

  test("payload and kept bytes go out apart, for they are long", async () => {
    const disk = await write(false, backingOf(600_000));
    expect(
      Buffer.compare(
        disk.bytes,
        filled(1024 * 1024, 0)
          .fill(0xbb, 0, 600_000)
          .fill(1, 500_000, 500_010),
      ),
    ).toBe(0);
    expect(disk.log.filter((name) => name.startsWith("write") && !name.endsWith("ended"))).toEqual([
      "write 0+500000",
      "write 500000+10",
      `write 500010+${1024 * 1024 - 500_010}`,
    ]);
  });

  test("zeros are not written into space that reads as zeros", async () => {
    const disk = await write(true, undefined);
    expect(disk.log.filter((name) => name.startsWith("write"))).toEqual(["write 500000+10", "write 500000+10 ended"]);
  });

  test("zeros are written into space that was used before", async () => {
    const disk = await write(false, undefined);
    expect(Buffer.compare(disk.bytes, filled(1024 * 1024, 0).fill(1, 500_000, 500_010))).toBe(0);
  });
});
