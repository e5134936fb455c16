import { expect, test } from "vitest";
import { BlockError } from "../errors.ts";
import { deferred, filled, type Lab, openLab, readAll, settled, watch } from "../fixture/lab.ts";
import { CLUSTER } from "../fixture/lab-format.ts";

/** Cluster 0 is in host cluster 40, and may not be written in place. */
async function openShared(options: Parameters<typeof openLab>[0] = {}): Promise<Lab> {
  const lab = await openLab(options);
  lab.format.map(0, { kind: "data", host: 40, writable: false });
  lab.disk.bytes.fill(0x10, 40 * CLUSTER, 41 * CLUSTER);
  return lab;
}

function released({ format }: Lab): string[] {
  return format.log.filter((line) => line.startsWith("release") && !line.endsWith("ended"));
}

test("space that was freed is released when a flush has succeeded, not before", async () => {
  const lab = await openShared();
  await lab.node.write(0, filled(CLUSTER, 1));
  expect(lab.node.inspect()).toMatchObject({ image: { retiredBytes: CLUSTER } });
  lab.disk.holds = (name) => name === "flush";
  const flush = lab.node.flush();
  await settled();
  expect(lab.format.log.slice(-2)).toEqual(["sync", "sync ended"]);
  expect(released(lab), "the flush has not ended").toEqual([]);
  lab.disk.release();
  await flush;
  expect(released(lab)).toEqual(["release 40"]);
  expect(lab.node.inspect()).toMatchObject({ image: { retiredBytes: 0 } });
});

test("space that is freed while a flush runs is released by the next one", async () => {
  const lab = await openShared();
  await lab.node.write(CLUSTER, filled(10, 1));
  lab.disk.holds = (name) => name === "flush";
  const flush = lab.node.flush();
  await settled();
  await lab.node.write(0, filled(CLUSTER, 1));
  lab.disk.holds = () => false;
  lab.disk.release();
  await flush;
  expect(released(lab)).toEqual([]);
  await lab.node.flush();
  expect(released(lab)).toEqual(["release 40"]);
});

test("a read in flight keeps the space that it reads", async () => {
  const lab = await openShared();
  lab.disk.holds = (name) => name.startsWith("read");
  const into = new Uint8Array(CLUSTER);
  const read = lab.node.read(0, into);
  await lab.node.write(0, filled(CLUSTER, 1));
  await lab.node.flush();
  expect(released(lab)).toEqual([]);
  lab.disk.holds = () => false;
  lab.disk.release();
  await read;
  expect(into).toEqual(filled(CLUSTER, 0x10));
  await lab.node.write(CLUSTER, filled(1, 1));
  await lab.node.flush();
  expect(released(lab)).toEqual(["release 40"]);
});

test("a compressed cluster that is being read keeps its space until it is decoded", async () => {
  const lab = await openLab();
  lab.format.map(0, { kind: "encoded", host: 40, storedLength: 1 });
  lab.disk.bytes[40 * CLUSTER] = 0x33;
  lab.disk.holds = (name) => name.startsWith("read");
  const into = new Uint8Array(10);
  const read = lab.node.read(0, into);
  await settled();
  await lab.node.write(0, filled(CLUSTER, 1));
  await lab.node.flush();
  expect(released(lab)).toEqual([]);
  lab.disk.holds = () => false;
  lab.disk.release();
  await read;
  expect(into).toEqual(filled(10, 0x33));
});

test("decoded copies go before their space can be used again", async () => {
  const lab = await openLab({ room: 2, compresses: true });
  await lab.node.writeCompressed(0, filled(CLUSTER, 1));
  expect(await readAll(lab.node, 10, 10)).toEqual(filled(10, 1));
  await lab.node.writeZeroes(0, CLUSTER, { mayUnmap: true });
  await lab.node.flush();
  expect(released(lab)).toEqual(["release 0"]);
  await lab.node.writeCompressed(2 * CLUSTER, filled(CLUSTER, 2));
  await lab.node.writeCompressed(CLUSTER, filled(CLUSTER, 3));
  expect(lab.format.mapped(1)).toEqual({ kind: "encoded", host: 0, storedLength: 1 });
  expect(await readAll(lab.node, CLUSTER + 10, 10)).toEqual(filled(10, 3));
  expect(await readAll(lab.node, 2 * CLUSTER + 10, 10)).toEqual(filled(10, 2));
});

test("the host's discard has ended before space is released", async () => {
  const lab = await openShared();
  await lab.node.write(0, filled(CLUSTER, 1));
  lab.disk.holds = (name) => name.startsWith("discard");
  const flush = watch(lab.node.flush());
  await settled();
  expect(lab.disk.held).toEqual([`discard ${40 * CLUSTER}+${CLUSTER}`]);
  expect([flush.state, released(lab)]).toEqual(["pending", []]);
  lab.disk.release();
  await settled();
  expect([flush.state, released(lab)]).toEqual(["fulfilled", ["release 40"]]);
});

test("a host that refuses a discard keeps its space, and the image goes on", async () => {
  const lab = await openShared();
  lab.disk.fails = (name) => (name.startsWith("discard") ? new BlockError("IO", "no discards here") : undefined);
  await lab.node.write(0, filled(CLUSTER, 1));
  await lab.node.flush();
  expect(released(lab)).toEqual(["release 40"]);
});

test("nothing is discarded on the host where discards are ignored", async () => {
  const lab = await openShared({ discard: "ignore" });
  await lab.node.write(0, filled(CLUSTER, 1));
  await lab.node.flush();
  expect(released(lab)).toEqual(["release 40"]);
  expect(lab.disk.log.filter((name) => name.startsWith("discard"))).toEqual([]);
});

test.each([
  ["write", (lab: Lab, clusterIndex: number) => lab.node.write(clusterIndex * CLUSTER, filled(CLUSTER, 1))],
  ["zero write", (lab: Lab) => lab.node.writeZeroes(0, CLUSTER)],
  ["discard", (lab: Lab) => lab.node.discard(0, CLUSTER)],
  ["compressed write", (lab: Lab, clusterIndex: number) => lab.node.writeCompressed(clusterIndex * CLUSTER, filled(CLUSTER, 1))],
])("above 64 MiB of retired space a %s settles it by itself", async (_name, request) => {
  const lab = await openShared({ compresses: true });
  lab.format.context.retire({ child: lab.format.file, childOffset: 50 * CLUSTER, length: 64 * 1024 * 1024 - CLUSTER });
  await lab.node.write(CLUSTER, filled(10, 1));
  expect(released(lab), "just below").toEqual([]);
  await request(lab, 0);
  expect(released(lab), "just at it").toEqual([]);
  lab.format.context.retire({ child: lab.format.file, childOffset: 60 * CLUSTER, length: 1 });
  await request(lab, 2);
  expect(released(lab)).toHaveLength(1);
});

test("where no space is left, retired space is settled once, before the writer is told", async () => {
  const lab = await openShared({ room: 1 });
  await lab.node.write(0, filled(CLUSTER, 1));
  await lab.node.write(CLUSTER, filled(CLUSTER, 2));
  expect(released(lab)).toEqual(["release 40"]);
  expect(lab.format.mapped(1)).toEqual({ kind: "data", host: 40, writable: true });
  expect(await readAll(lab.node, 0, 2 * CLUSTER)).toEqual(filled(2 * CLUSTER, 1).fill(2, CLUSTER));
  await expect(lab.node.write(2 * CLUSTER, filled(1, 3))).rejects.toMatchObject({ code: "NO_SPACE" });
  await expect(lab.node.write(2 * CLUSTER, filled(1, 3))).rejects.toMatchObject({ code: "NO_SPACE" });
  expect(released(lab)).toHaveLength(1);
});

test("closing releases what was freed, and what that frees in turn", async () => {
  const lab = await openShared();
  let again = true;
  lab.format.hooks.set("release", () => {
    if (again) lab.format.context.retire({ child: lab.format.file, childOffset: 50 * CLUSTER, length: CLUSTER });
    again = false;
  });
  await lab.node.write(0, filled(CLUSTER, 1));
  await lab.node[Symbol.asyncDispose]();
  const lines = lab.format.log.filter((line) => !line.endsWith("ended"));
  expect(lines.slice(lines.indexOf("link 0") + 1)).toEqual(["sync", "release 40", "sync", "release 50", "sync", "dispose"]);
});

test("space that is freed and used again never shows in a read that began before", async () => {
  const lab = await openShared({ room: 1 });
  lab.disk.holds = (name) => name.startsWith("read");
  const into = new Uint8Array(CLUSTER);
  const read = lab.node.read(0, into);
  await lab.node.write(0, filled(CLUSTER, 1));
  await expect(lab.node.write(CLUSTER, filled(CLUSTER, 2)), "the only free space is being read").rejects.toMatchObject({
    code: "NO_SPACE",
  });
  lab.disk.release();
  await read;
  expect(into).toEqual(filled(CLUSTER, 0x10));
  lab.disk.holds = () => false;
  await lab.node.write(CLUSTER, filled(CLUSTER, 2));
  expect(lab.format.mapped(1)).toEqual({ kind: "data", host: 40, writable: true });
});

test("a release that fails is told, and leaks its space", async () => {
  const lab = await openShared();
  const failure = new BlockError("IO", "refcounts cannot be read");
  lab.format.hooks.set("release", () => Promise.reject(failure));
  await lab.node.write(0, filled(CLUSTER, 1));
  await expect(lab.node.flush()).rejects.toBe(failure);
  expect(lab.format.freeClusters).toBe(63 - 1);
});

test("the lock is free while the host discards", async () => {
  const lab = await openShared();
  await lab.node.write(0, filled(CLUSTER, 1));
  const discard = deferred();
  lab.disk.holds = (name) => name.startsWith("discard");
  const flush = lab.node.flush();
  await settled();
  expect(lab.format.state.locked).toBe(false);
  discard.resolve();
  lab.disk.release();
  await flush;
});
