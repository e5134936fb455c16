import { expect, test } from "vitest";
import { deferred, filled, type Lab, openLab, readAll, settled, watch } from "../fixture/lab.ts";
import { LabDisk } from "../fixture/lab-disk.ts";
import { CLUSTER } from "../fixture/lab-format.ts";

const isWrite = (name: string): boolean => name.startsWith("write");

function calls({ format }: Lab, method: string): string[] {
  return format.log.filter((line) => line.startsWith(`${method} `) && !line.endsWith("ended"));
}

function mapData({ format, disk }: Lab, clusterIndex: number): void {
  format.map(clusterIndex, { kind: "data", host: 40 + clusterIndex, writable: true });
  disk.bytes.fill(0x10 + clusterIndex, (40 + clusterIndex) * CLUSTER, (41 + clusterIndex) * CLUSTER);
}

test("whole clusters are zeroed by their mapping, as many at a time as the format takes", async () => {
  const lab = await openLab();
  for (let index = 0; index < 5; index++) mapData(lab, index);
  await lab.node.writeZeroes(0, 5 * CLUSTER, { mayUnmap: true });
  expect(calls(lab, "zero")).toEqual([
    `zero 0+${5 * CLUSTER} unmap`,
    `zero ${2 * CLUSTER}+${3 * CLUSTER} unmap`,
    `zero ${4 * CLUSTER}+${CLUSTER} unmap`,
  ]);
  expect(lab.disk.log.filter(isWrite)).toEqual([]);
  expect(await readAll(lab.node, 0, 5 * CLUSTER)).toEqual(filled(5 * CLUSTER, 0));
});

test("the end of the disk counts as the end of its cluster", async () => {
  const lab = await openLab({ sizeInClusters: 2, shortBy: 1000 });
  mapData(lab, 1);
  await lab.node.writeZeroes(CLUSTER, CLUSTER - 1000);
  expect(calls(lab, "zero")).toEqual([`zero ${CLUSTER}+${CLUSTER}`]);
  await lab.node.discard(CLUSTER, CLUSTER - 1000);
  expect(calls(lab, "unmap")).toEqual([`unmap ${CLUSTER}+${CLUSTER}`]);
});

test("part of a cluster: the whole, where the rest reads as zeros", async () => {
  const lab = await openLab();
  await lab.node.writeZeroes(100, 10);
  expect(calls(lab, "zero")).toEqual([`zero 0+${CLUSTER}`]);
  await lab.node.writeZeroes(CLUSTER - 5, 10);
  expect(calls(lab, "zero").slice(1)).toEqual([`zero 0+${CLUSTER}`, `zero ${CLUSTER}+${CLUSTER}`]);
  expect(lab.disk.log.filter(isWrite)).toEqual([]);
});

test("part of a cluster: zeros are written, where the rest holds data", async () => {
  const lab = await openLab();
  mapData(lab, 0);
  await lab.node.writeZeroes(100, 10);
  expect(calls(lab, "zero")).toEqual([]);
  expect(await readAll(lab.node, 0, CLUSTER)).toEqual(filled(CLUSTER, 0x10).fill(0, 100, 110));
});

test("part of a cluster over a backing file: the whole, only where the backing file says that it is zero", async () => {
  const backing = new LabDisk(2 * CLUSTER);
  backing.bytes.fill(0xbb);
  const lab = await openLab({ backing });
  await lab.node.writeZeroes(100, 10);
  expect(calls(lab, "zero"), "data in the backing file").toEqual([]);
  expect(await readAll(lab.node, 0, CLUSTER)).toEqual(filled(CLUSTER, 0xbb).fill(0, 100, 110));
  Object.assign(backing, { status: (_offset: number, length: number) => ({ kind: "zero", length }) });
  await lab.node.writeZeroes(CLUSTER + 100, 10);
  expect(calls(lab, "zero"), "zeros in the backing file").toEqual([`zero ${CLUSTER}+${CLUSTER}`]);
  await lab.node.writeZeroes(3 * CLUSTER + 100, 10);
  expect(calls(lab, "zero"), "behind the backing file").toHaveLength(2);
});

test("an unaligned zero write does not swallow a write to the rest of its cluster: one that is in flight", async () => {
  const lab = await openLab();
  lab.disk.holds = isWrite;
  const write = lab.node.write(1000, filled(10, 1));
  await settled();
  const zero = lab.node.writeZeroes(100, 10);
  await settled();
  expect(calls(lab, "zero"), "the rest of the cluster is being written").toEqual([]);
  lab.disk.holds = () => false;
  lab.disk.release();
  await Promise.all([write, zero]);
  expect(await readAll(lab.node, 0, CLUSTER)).toEqual(filled(CLUSTER, 0).fill(1, 1000, 1010));
});

test("an unaligned zero write does not swallow a write to the rest of its cluster: one that comes while it looks", async () => {
  const lab = await openLab();
  const load = deferred();
  lab.format.misses.set(0, load.promise);
  const zero = watch(lab.node.writeZeroes(100, 10));
  await settled();
  const write = watch(lab.node.write(1000, filled(10, 1)));
  await settled();
  expect([zero.state, write.state]).toEqual(["pending", "pending"]);
  lab.format.misses.delete(0);
  load.resolve();
  await settled();
  expect([zero.state, write.state]).toEqual(["fulfilled", "fulfilled"]);
  expect(await readAll(lab.node, 0, CLUSTER)).toEqual(filled(CLUSTER, 0).fill(1, 1000, 1010));
});

test("the driver lock is free while an unaligned zero write looks at the rest", async () => {
  const backing = new LabDisk(CLUSTER);
  const lab = await openLab({ backing });
  const looking = deferred();
  Object.assign(backing, { status: async (_offset: number, length: number) => (await looking.promise, { kind: "zero", length }) });
  const zero = lab.node.writeZeroes(100, 10);
  await settled();
  expect(lab.format.state.locked).toBe(false);
  looking.resolve();
  await zero;
});

test("a format that must load a table first is asked again", async () => {
  const lab = await openLab();
  mapData(lab, 1);
  const load = deferred();
  lab.format.misses.set(1, load.promise);
  const zero = watch(lab.node.writeZeroes(CLUSTER, CLUSTER));
  await settled();
  expect([zero.state, lab.format.state.locked]).toEqual(["pending", false]);
  lab.format.misses.delete(1);
  load.resolve();
  await settled();
  expect(zero.state).toBe("fulfilled");
  expect(calls(lab, "zero")).toHaveLength(2);
});

test("a format that cannot zero a cluster gets zeros written", async () => {
  const lab = await openLab();
  mapData(lab, 0);
  mapData(lab, 1);
  lab.format.zero = () => Promise.resolve(0);
  await lab.node.writeZeroes(0, 2 * CLUSTER);
  expect(await readAll(lab.node, 0, 2 * CLUSTER)).toEqual(filled(2 * CLUSTER, 0));
  expect(lab.disk.log.filter(isWrite)).toHaveLength(4);
});

test("discards reach whole clusters alone, and what cannot be dropped stays", async () => {
  const lab = await openLab({ discardAlignment: 1 });
  for (let index = 0; index < 3; index++) mapData(lab, index);
  await lab.node.discard(100, 2 * CLUSTER);
  expect(calls(lab, "unmap")).toEqual([`unmap ${CLUSTER}+${CLUSTER}`]);
  await lab.node.discard(100, 200);
  expect(calls(lab, "unmap")).toHaveLength(1);
  expect(await readAll(lab.node, 0, 3 * CLUSTER)).toEqual(
    filled(3 * CLUSTER, 0x10)
      .fill(0, CLUSTER, 2 * CLUSTER)
      .fill(0x12, 2 * CLUSTER),
  );
  lab.format.unmap = () => Promise.resolve(0);
  await lab.node.discard(2 * CLUSTER, CLUSTER);
  expect(await readAll(lab.node, 2 * CLUSTER, CLUSTER)).toEqual(filled(CLUSTER, 0x12));
});

test("nothing may be unmapped where discards are ignored", async () => {
  const lab = await openLab({ discard: "ignore" });
  mapData(lab, 0);
  await lab.node.discard(0, CLUSTER);
  await lab.node.writeZeroes(0, CLUSTER, { mayUnmap: true });
  expect(calls(lab, "unmap")).toEqual([]);
  expect(calls(lab, "zero")).toEqual([`zero 0+${CLUSTER}`]);
});

test("a long zero write claims a part at a time, so that writers behind it get in", async () => {
  const lab = await openLab({ sizeInClusters: 3 * 8192 });
  const zero = deferred();
  lab.format.hooks.set("zero", () => zero.promise);
  const long = lab.node.writeZeroes(0, lab.node.size);
  await settled();
  const beyond = watch(lab.node.write(2 * 8192 * CLUSTER, filled(10, 1)));
  lab.format.log.length = 0;
  await settled();
  expect(lab.node.inspect()).toMatchObject({ image: { claims: { held: [`exclusive 0x0..0x${(8192 * CLUSTER).toString(16)}`] } } });
  lab.format.hooks.clear();
  zero.resolve();
  await long;
  await settled();
  expect(beyond.state).toBe("fulfilled");
});
