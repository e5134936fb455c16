import { expect, test } from "vitest";
import { BlockError } from "../errors.ts";
import { filled, openLab, settled, watch } from "../fixture/lab.ts";
import { CLUSTER } from "../fixture/lab-format.ts";

test("caches go out under the lock, then the children are flushed without it", async () => {
  const { node, format, disk } = await openLab();
  await node.write(0, filled(10, 1));
  format.hooks.set("sync", () => {
    expect(format.state.locked).toBe(true);
    disk.log.push("caches are out");
  });
  disk.holds = (name) => name === "flush";
  const flush = node.flush();
  await settled();
  expect(format.state.locked).toBe(false);
  expect(disk.log.slice(-2)).toEqual(["caches are out", "flush"]);
  disk.release();
  await flush;
});

test("a table that shows new data goes out after a flush of that data", async () => {
  const { node, format, disk } = await openLab();
  format.hooks.set("link", async () => {
    await format.context.dataBarrier();
    disk.log.push("table");
  });
  await node.write(0, filled(CLUSTER, 1));
  expect(disk.log).toEqual([`write 0+${CLUSTER}`, `write 0+${CLUSTER} ended`, "flush", "flush ended", "table"]);
});

test("the barrier flushes only if data was linked since the last flush", async () => {
  const { node, format, disk } = await openLab();
  await format.context.dataBarrier();
  expect(disk.log, "nothing was linked").toEqual([]);
  await node.write(0, filled(CLUSTER, 1));
  await format.context.dataBarrier();
  await format.context.dataBarrier();
  expect(disk.log.filter((name) => name === "flush")).toHaveLength(1);
  await node.write(CLUSTER, filled(CLUSTER, 1));
  await node.flush();
  await format.context.dataBarrier();
  expect(
    disk.log.filter((name) => name === "flush"),
    "the flush covered the link",
  ).toHaveLength(2);
  await node.write(0, filled(CLUSTER, 2));
  await format.context.dataBarrier();
  expect(
    disk.log.filter((name) => name === "flush"),
    "a write in place shows nothing new",
  ).toHaveLength(2);
});

test("a link that comes while the barrier flushes is not covered by it", async () => {
  const { node, format, disk } = await openLab();
  await node.write(0, filled(CLUSTER, 1));
  disk.holds = (name) => name === "flush";
  const barrier = format.context.dataBarrier();
  await node.write(CLUSTER, filled(CLUSTER, 1));
  disk.release();
  await barrier;
  const second = watch(format.context.dataBarrier());
  await settled();
  expect([second.state, disk.held]).toEqual(["pending", ["flush"]]);
  disk.release();
});

test("a forced write is on the disk, with its mapping, when it ends", async () => {
  const { node, format, disk } = await openLab();
  format.hooks.set("link", () => void disk.log.push("link"));
  format.hooks.set("sync", () => void disk.log.push("sync"));
  await node.write(0, filled(CLUSTER, 1), { forceUnitAccess: true });
  expect(disk.log).toEqual([`write 0+${CLUSTER}`, `write 0+${CLUSTER} ended`, "link", "sync", "flush", "flush ended"]);
  disk.log.length = 0;
  await node.write(0, filled(10, 2), { forceUnitAccess: true });
  expect(disk.log).toEqual(["write 0+10", "write 0+10 ended", "sync", "flush", "flush ended"]);
});

test.each(["flush", "sync"])("a %s that failed is never forgotten, and the image is not closed as if nothing had been", async (step) => {
  const { node, format, disk, graph } = await openLab();
  await node.write(0, filled(CLUSTER, 1));
  const failure = new BlockError("IO", `the ${step} fails`);
  let failing = true;
  const fail = (): BlockError | undefined => (failing ? failure : undefined);
  if (step === "flush") disk.fails = (name) => (name === "flush" ? fail() : undefined);
  else format.hooks.set("sync", () => (failing ? Promise.reject(failure) : undefined));
  await expect(node.flush()).rejects.toBe(failure);
  failing = false;
  await expect(node.flush()).rejects.toBe(failure);
  await node.write(0, filled(CLUSTER, 2));
  await expect(node.flush()).rejects.toBe(failure);
  const syncs = format.log.filter((line) => line === "sync").length;
  await expect(node[Symbol.asyncDispose]()).rejects.toBe(failure);
  expect(
    format.log.filter((line) => line === "sync"),
    "what may be lost is not written over",
  ).toHaveLength(syncs);
  expect(format.log.at(-1)).toBe("dispose ended");
  expect(disk.closed).toBe(1);
  expect(graph.inspect().nodes).toEqual([]);
});

test("a failed flush releases nothing", async () => {
  const { node, format, disk } = await openLab();
  format.map(0, { kind: "data", host: 40, writable: false });
  await node.write(0, filled(CLUSTER, 1));
  disk.fails = (name) => (name === "flush" ? new BlockError("IO", "no") : undefined);
  await expect(node.flush()).rejects.toThrow("no");
  expect(format.log.filter((line) => line.startsWith("release"))).toEqual([]);
});

test("an image that is known to be damaged is not written when it closes", async () => {
  const { node, format } = await openLab();
  await node.write(0, filled(CLUSTER, 1));
  const damage = new BlockError("CORRUPT_IMAGE", "two clusters in one place");
  format.context.fail(damage);
  await expect(node.read(0, new Uint8Array(1))).rejects.toBe(damage);
  await expect(node.write(0, new Uint8Array(1))).rejects.toBe(damage);
  await expect(node.flush()).rejects.toBe(damage);
  format.log.length = 0;
  await node[Symbol.asyncDispose]().catch(() => {});
  expect(format.log).toEqual(["dispose", "dispose ended"]);
});

test("a read-only image is neither prepared nor synced", async () => {
  const { node, format } = await openLab({ readOnly: true });
  await node.read(0, new Uint8Array(10));
  await node.flush();
  await node[Symbol.asyncDispose]();
  expect(format.log).toEqual(["lookup read 0+10", "dispose", "dispose ended"]);
});
