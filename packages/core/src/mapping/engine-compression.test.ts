import { expect, test } from "vitest";
import { deferred, filled, openLab, readAll, settled, watch } from "../fixture/lab.ts";
import { CLUSTER } from "../fixture/lab-format.ts";

test("readers of one compressed cluster decode it once", async () => {
  const { node, format, disk } = await openLab();
  format.map(0, { kind: "encoded", host: 40, storedLength: 1 });
  disk.bytes[40 * CLUSTER] = 0x33;
  disk.synchronous = false;
  const reads = await Promise.all([...Array(8).keys()].map((index) => readAll(node, index * 100, 100)));
  for (const bytes of reads) expect(bytes).toEqual(filled(100, 0x33));
  expect(await readAll(node, 0, 10)).toEqual(filled(10, 0x33));
  expect([format.decodes, disk.log.filter((name) => name.startsWith("read") && !name.endsWith("ended"))]).toEqual([
    1,
    [`read ${40 * CLUSTER}+1`],
  ]);
});

test("a whole compressed cluster is decoded into the reader's buffer", async () => {
  const { node, format, disk } = await openLab();
  format.map(0, { kind: "encoded", host: 40, storedLength: 1 });
  disk.bytes[40 * CLUSTER] = 0x33;
  const into = new Uint8Array(CLUSTER);
  const units: Uint8Array[] = [];
  const lookup = format.lookup.bind(format);
  format.lookup = (...args) => {
    const mapping = lookup(...args);
    return mapping.kind !== "encoded"
      ? mapping
      : { ...mapping, decode: (stored, unit) => (units.push(unit), mapping.decode(stored, unit)) };
  };
  await node.read(0, into);
  expect(units[0]?.buffer).toBe(into.buffer);
  expect(into).toEqual(filled(CLUSTER, 0x33));
});

test("a compressed cluster at the end of the file may be shorter than its length says", async () => {
  const { node, format, disk } = await openLab();
  format.map(0, { kind: "encoded", host: 63, storedLength: 512 });
  disk.bytes = disk.bytes.slice(0, 63 * CLUSTER + 1);
  disk.bytes[63 * CLUSTER] = 0x44;
  expect(await readAll(node, 5, 5)).toEqual(filled(5, 0x44));
  expect(disk.log[0]).toBe(`read ${63 * CLUSTER}+1`);
});

test("a cluster is compressed without lock and claim, and written under an exclusive claim", async () => {
  const { node, format, disk } = await openLab({ compresses: true });
  const { encode } = format;
  const encoding = deferred();
  format.encode = async (unit) => {
    await encoding.promise;
    return encode?.(unit);
  };
  const write = node.writeCompressed(0, filled(CLUSTER, 1));
  await settled();
  expect(format.state.locked).toBe(false);
  await node.write(100, filled(10, 9));
  disk.holds = (name) => name.startsWith("write");
  encoding.resolve();
  await settled();
  const beside = watch(node.write(0, filled(10, 2)));
  await settled();
  expect(beside.state).toBe("pending");
  disk.holds = () => false;
  disk.release();
  await write;
  await settled();
  expect(await readAll(node, 0, 20)).toEqual(filled(20, 1).fill(2, 0, 10));
});

test("what does not compress is stored plain", async () => {
  const { node, format } = await openLab({ compresses: true });
  const bytes = filled(CLUSTER, 1).fill(2, 1);
  await node.writeCompressed(CLUSTER, bytes);
  expect(format.mapped(1)).toMatchObject({ kind: "data" });
  expect(await readAll(node, CLUSTER, CLUSTER)).toEqual(bytes);
});

test.each([
  ["shorter than a unit", 0, 100],
  ["not at the start of a unit", 100, CLUSTER],
  ["longer than a unit", 0, 2 * CLUSTER],
])("a compressed write that is %s changes nothing beside it", async (_name, offset, length) => {
  const { node } = await openLab({ compresses: true });
  await node.write(0, filled(3 * CLUSTER, 7));
  await node.writeCompressed(offset, filled(length, 0));
  expect(await readAll(node, 0, 3 * CLUSTER)).toEqual(filled(3 * CLUSTER, 7).fill(0, offset, offset + length));
});

test("the last unit may end with the disk", async () => {
  const { node, format } = await openLab({ compresses: true, sizeInClusters: 2, shortBy: 1000 });
  format.encode = async (unit) =>
    unit.length === CLUSTER && unit.subarray(CLUSTER - 1000).every((byte) => byte === 0) ? unit.slice(0, 1) : undefined;
  await node.writeCompressed(CLUSTER, filled(CLUSTER - 1000, 5));
  expect(format.mapped(1)).toMatchObject({ kind: "encoded" });
  expect(await readAll(node, CLUSTER)).toEqual(filled(CLUSTER - 1000, 5));
});

test("a format that does not compress gets a plain write", async () => {
  const { node, format } = await openLab();
  await node.writeCompressed(0, filled(CLUSTER, 1));
  expect(format.mapped(0)).toMatchObject({ kind: "data" });
});
