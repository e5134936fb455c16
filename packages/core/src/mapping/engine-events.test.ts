import { describe, expect, test } from "vitest";
import { filled, type Lab, type LabOptions, openLab, readAll, settled, watch } from "../fixture/lab.ts";
import { LabDisk } from "../fixture/lab-disk.ts";
import { CLUSTER } from "../fixture/lab-format.ts";
import { ListeningDisk } from "../fixture/listening-disk.ts";
import { AddressLookup } from "./address-lookup.ts";
import { writeAllocated } from "./copy-on-write.ts";
import { MappedReader } from "./reader.ts";
import { RetiredSpace } from "./retired-space.ts";

interface ListeningLab extends Lab {
  readonly disk: ListeningDisk;
}

async function openListening(options: LabOptions = {}): Promise<ListeningLab> {
  const disk = new ListeningDisk();
  const lab = await openLab({ ...options, disk });
  return { ...lab, disk };
}

function backing(): LabDisk {
  const disk = new LabDisk(16 * CLUSTER);
  disk.bytes.fill(0xbb);
  return disk;
}

describe("each I/O is announced before it", () => {
  test("reads: of data, of the backing file, of a compressed cluster, of zeros", async () => {
    const { node, format, disk } = await openListening({ backing: backing() });
    format.map(0, { kind: "data", host: 40, writable: true });
    format.map(1, { kind: "encoded", host: 41, storedLength: 1 });
    format.map(2, { kind: "zero" });
    await readAll(node, 0, 512);
    expect(disk.takeLog()).toEqual(["at read_aio", `read ${40 * CLUSTER}+512`]);
    await readAll(node, CLUSTER, 512);
    expect(disk.takeLog()).toEqual(["at read_compressed", `read ${41 * CLUSTER}+1`]);
    await readAll(node, 2 * CLUSTER, 512);
    expect(disk.takeLog()).toEqual([]);
    await readAll(node, 3 * CLUSTER, 512);
    expect(disk.takeLog()).toEqual(["at read_backing_aio"]);
    await readAll(node, 0, 2 * CLUSTER);
    expect(disk.takeLog(), "in pieces").toEqual([
      "at read_aio",
      `read ${40 * CLUSTER}+${CLUSTER}`,
      "at read_compressed",
      `read ${41 * CLUSTER}+1`,
    ]);
  });

  test("what is not allocated and has no backing file is not read", async () => {
    const { node, disk } = await openListening();
    await readAll(node, 0, 512);
    expect(disk.takeLog()).toEqual([]);
  });

  test("writes: with what they keep, in place, compressed", async () => {
    const { node, disk } = await openListening({ backing: backing(), compresses: true });
    await node.write(512, filled(512, 1));
    const cow = ["at cow_read", "at read_backing_aio"];
    expect(disk.takeLog()).toEqual([...cow, ...cow, "at cow_write", "at write_aio", `write 0+${CLUSTER}`]);
    await node.write(512, filled(512, 2));
    expect(disk.takeLog(), "at once").toEqual(["at write_aio", "write 512+512"]);
    await node.write(CLUSTER - 512, filled(1024, 2));
    expect(disk.takeLog().slice(0, 2), "in pieces").toEqual(["at write_aio", `write ${CLUSTER - 512}+512`]);
    await node.writeCompressed(4 * CLUSTER, filled(CLUSTER, 3));
    expect(disk.takeLog()).toEqual(["at write_compressed", `write ${2 * CLUSTER}+1`]);
    await node.write(5 * CLUSTER, filled(CLUSTER, 3));
    expect(disk.takeLog(), "nothing is kept").toEqual(["at write_aio", `write ${3 * CLUSTER}+${CLUSTER}`]);
  });

  test("flushes, with what the format writes between", async () => {
    const { node, format, disk } = await openListening();
    await node.write(0, filled(CLUSTER, 1));
    disk.takeLog();
    format.hooks.set("sync", () => void disk.log.push("sync"));
    await node.flush();
    expect(disk.takeLog()).toEqual(["at flush_to_os", "sync", "at flush_to_disk", "flush"]);
  });

  test("long kept bytes and payload, which are written apart", async () => {
    const { format, disk } = await openListening({ sizeInClusters: 256, backing: backing() });
    const lookup = new AddressLookup(format);
    const parts = { image: format, lookup, reader: new MappedReader(format, lookup, new RetiredSpace()), events: format.file };
    const allocation = { offset: 0, length: 1024 * 1024, child: format.file, childOffset: 0, readsZero: false, ticket: 0 };
    disk.stops = (name) => name === "cow_write";
    const writing = watch(writeAllocated(parts, allocation, { offset: 500_000, bytes: filled(10, 1) }));
    await settled();
    expect(disk.stopped).toEqual(["cow_write", "cow_write"]);
    expect(disk.takeLog().slice(-2), "the payload does not wait").toEqual(["write 500000+10", "at cow_write"]);
    disk.goOn();
    await settled();
    expect(writing.state).toBe("fulfilled");
    expect(disk.takeLog()).toEqual(["write 0+500000", `write 500010+${1024 * 1024 - 500_010}`]);
  });
});

describe("where nobody is stopped, a request ends in its turn as ever", () => {
  test("a read and a write in place", async () => {
    const { node, format, disk } = await openListening();
    format.map(0, { kind: "data", host: 40, writable: true });
    await node.write(0, filled(512, 1));
    expect(node.requests.write(0, filled(512, 2), undefined, false)).toBeUndefined();
    const into = filled(512, 0);
    expect(node.requests.read(0, into, undefined)).toBeUndefined();
    expect(into).toEqual(filled(512, 2));
    expect(disk.takeLog().slice(-4)).toEqual(["at write_aio", `write ${40 * CLUSTER}+512`, "at read_aio", `read ${40 * CLUSTER}+512`]);
  });
});

describe("what was looked up before a stop is looked up anew", () => {
  test.each([512, CLUSTER + 512])("a read of %i bytes whose cluster has moved", async (length) => {
    const { node, format, disk } = await openListening();
    format.map(0, { kind: "data", host: 40, writable: true });
    disk.bytes.fill(0x44, 40 * CLUSTER, 41 * CLUSTER).fill(0x55, 41 * CLUSTER, 42 * CLUSTER);
    disk.stops = (name) => name === "read_aio";
    const reading = readAll(node, 0, length);
    await settled();
    expect(disk.stopped).toEqual(["read_aio"]);
    format.map(0, { kind: "data", host: 41, writable: true });
    disk.goOn();
    expect((await reading).subarray(0, 512)).toEqual(filled(512, 0x55));
  });

  test("a read whose cluster was compressed is announced as that, too", async () => {
    const { node, format, disk } = await openListening();
    format.map(0, { kind: "data", host: 40, writable: true });
    disk.bytes[41 * CLUSTER] = 0x33;
    disk.stops = () => true;
    const reading = readAll(node, 0, 512);
    await settled();
    format.map(0, { kind: "encoded", host: 41, storedLength: 1 });
    disk.goOn();
    await settled();
    expect(disk.stopped).toEqual(["read_compressed"]);
    disk.goOn();
    expect(await reading).toEqual(filled(512, 0x33));
  });

  test.each([true, false])("a write in place whose cluster was zeroed meanwhile (in one piece: %s)", async (whole) => {
    const { node, format, disk } = await openListening();
    await node.write(0, filled(2 * CLUSTER, 1));
    await node.flush();
    disk.stops = (name) => name === "write_aio";
    const length = whole ? 512 : CLUSTER;
    const writing = node.write(CLUSTER - 512, filled(length, 2));
    await settled();
    expect(disk.stopped).toEqual(["write_aio"]);
    expect(node.inspect(), "it holds nothing").toMatchObject({ image: { claims: { held: [] }, allocations: { taken: 0 } } });
    disk.stops = () => false;
    await node.writeZeroes(0, CLUSTER, { mayUnmap: true });
    disk.goOn();
    await writing;
    expect(format.mapped(0)).toMatchObject({ kind: "data", writable: true });
    expect(await readAll(node, 0, CLUSTER)).toEqual(filled(CLUSTER, 0).fill(2, CLUSTER - 512));
  });
});

test.each([512, CLUSTER + 512])("an aborted request of %i bytes that is stopped ends when it goes on, and does nothing", async (length) => {
  const { node, format, disk } = await openListening();
  for (const clusterIndex of [0, 1]) format.map(clusterIndex, { kind: "data", host: 40 + 2 * clusterIndex, writable: true });
  await node.write(0, filled(512, 1));
  disk.stops = () => true;
  const controller = new AbortController();
  const writing = node.write(0, filled(length, 2), { signal: controller.signal });
  const reading = node.read(0, filled(length, 0), { signal: controller.signal });
  await settled();
  disk.takeLog();
  controller.abort(new Error("enough"));
  disk.goOn();
  await expect(writing).rejects.toThrow("enough");
  await expect(reading).rejects.toThrow("enough");
  expect(disk.takeLog()).toEqual([]);
});

test("an event that fails fails what it announced, and an allocation is given back", async () => {
  const { node, format, disk } = await openListening();
  disk.event = (name) => Promise.reject(new Error(`no ${name}`));
  await expect(node.write(0, filled(512, 1))).rejects.toThrow("no cow_write");
  expect(format.log).toContain("abandon 0");
  expect(format.freeClusters).toBe(64);
});
