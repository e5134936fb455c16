import { expect, test } from "vitest";
import { deferred, filled, openLab, readAll, settled, watch } from "../fixture/lab.ts";
import { CLUSTER } from "../fixture/lab-format.ts";

const isWrite = (name: string): boolean => name.startsWith("write");

test("in-place writes to one cluster run together", async () => {
  const { node, format, disk } = await openLab();
  format.map(0, { kind: "data", host: 40, writable: true });
  disk.holds = isWrite;
  const writes = [0, 512, 1024].map((offset) => node.write(offset, filled(512, 1)));
  await settled();
  expect(disk.held).toHaveLength(3);
  disk.release();
  await Promise.all(writes);
});

test("an allocating write keeps others out of its cluster alone; who waited looks up again and writes in place", async () => {
  const { node, format, disk } = await openLab();
  disk.holds = isWrite;
  const allocating = node.write(0, filled(512, 1));
  await settled();
  const same = node.write(1024, filled(512, 2));
  const other = node.write(CLUSTER, filled(512, 3));
  await settled();
  expect(disk.held).toEqual([`write 0+${CLUSTER}`, `write ${CLUSTER}+${CLUSTER}`]);
  disk.holds = () => false;
  disk.release();
  await Promise.all([allocating, same, other]);
  expect(format.log.filter((line) => line.startsWith("allocate"))).toEqual([
    "allocate 0+4096",
    "allocate ended",
    "allocate 4096+4096",
    "allocate ended",
  ]);
  const expected = filled(2 * CLUSTER, 0);
  expected
    .fill(1, 0, 512)
    .fill(2, 1024, 1536)
    .fill(3, CLUSTER, CLUSTER + 512);
  expect(await readAll(node, 0, 2 * CLUSTER)).toEqual(expected);
});

test("writes that begin in one turn to one new cluster allocate it once", async () => {
  const { node, format } = await openLab();
  await Promise.all([...Array(8).keys()].map((index) => node.write(index * 512, filled(512, index + 1))));
  expect(format.log.filter((line) => line === "allocate 0+4096")).toHaveLength(1);
  for (let index = 0; index < 8; index++) expect(await readAll(node, index * 512, 512)).toEqual(filled(512, index + 1));
});

test("a change of the mapping waits for writes in place, and they wait for it", async () => {
  const { node, format, disk } = await openLab();
  format.map(0, { kind: "data", host: 40, writable: true });
  disk.holds = isWrite;
  const first = node.write(0, filled(512, 1));
  await settled();
  const zeroing = node.writeZeroes(0, CLUSTER);
  await settled();
  expect(format.log).not.toContain("zero 0+4096");
  const zero = deferred();
  format.hooks.set("zero", () => zero.promise);
  disk.release();
  await first;
  await settled();
  expect(format.log).toContain("zero 0+4096");
  const later = node.write(512, filled(512, 2));
  await settled();
  expect(disk.held, "goes into space that is being given up").toEqual([]);
  disk.holds = () => false;
  zero.resolve();
  await Promise.all([zeroing, later]);
  expect(await readAll(node, 0, 1024)).toEqual(new Uint8Array([...filled(512, 0), ...filled(512, 2)]));
});

test("writers that were let in together, and then all need the cluster for themselves, do not wait for each other", async () => {
  const { node, format } = await openLab();
  format.map(0, { kind: "data", host: 40, writable: true });
  const zero = deferred();
  format.hooks.set("zero", () => zero.promise);
  const zeroing = node.writeZeroes(0, CLUSTER);
  await settled();
  const writes = [0, 512, 1024].map((offset) => watch(node.write(offset, filled(512, 1))));
  await settled();
  zero.resolve();
  await zeroing;
  await settled();
  expect(writes.map(({ state }) => state)).toEqual(["fulfilled", "fulfilled", "fulfilled"]);
  expect((await readAll(node, 0, 1536)).every((byte) => byte === 1)).toBe(true);
});

test("long writes that cross each other end, whatever order their pieces end in", async () => {
  for (const lastFirst of [false, true]) {
    const { node, disk } = await openLab({ maxAllocations: 2 });
    disk.holds = isWrite;
    const writes = [
      [0, 4],
      [2, 4],
      [0, 6],
      [1, 1],
    ].map(([first = 0, count = 0], tag) => watch(node.write(first * CLUSTER, filled(count * CLUSTER, tag + 1))));
    for (let round = 0; round < 40; round++) {
      await settled();
      const { held } = disk;
      disk.release(lastFirst ? held.at(-1) : held[0]);
    }
    expect(writes.map(({ state }) => state)).toEqual(["fulfilled", "fulfilled", "fulfilled", "fulfilled"]);
  }
});

test("reads claim nothing: they go on beside an allocating write and see what was there", async () => {
  const { node, format, disk } = await openLab();
  format.map(0, { kind: "data", host: 40, writable: false });
  disk.bytes.fill(0x10, 40 * CLUSTER, 41 * CLUSTER);
  disk.holds = isWrite;
  const write = node.write(0, filled(CLUSTER, 0x20));
  await settled();
  expect(await readAll(node, 0, CLUSTER)).toEqual(filled(CLUSTER, 0x10));
  disk.release();
  await write;
  expect(await readAll(node, 0, CLUSTER)).toEqual(filled(CLUSTER, 0x20));
});

test("an allocation that serves less than was claimed lets the rest of the range go", async () => {
  const { node, format, disk } = await openLab();
  const lookup = format.lookup.bind(format);
  // As a format that joins unallocated clusters: the claim covers all, the allocation one cluster.
  format.lookup = (state, offset, length, intent) => {
    const mapping = lookup(state, offset, length, intent);
    return mapping.kind === "unallocated" ? { kind: "unallocated", length } : mapping;
  };
  disk.holds = (name) => name === `write 0+${CLUSTER}`;
  const long = node.write(0, filled(3 * CLUSTER, 1));
  await settled();
  const beside = watch(node.write(2 * CLUSTER, filled(10, 2)));
  await settled();
  expect(beside.state).toBe("fulfilled");
  disk.release();
  await long;
});
