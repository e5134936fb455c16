import { expect, test } from "vitest";
import { deferred, filled, openLab, settled, watch } from "../fixture/lab.ts";
import { CLUSTER } from "../fixture/lab-format.ts";

test("exclusive mode waits for requests in flight; new ones queue at the gate", async () => {
  const { node, format, disk } = await openLab();
  disk.holds = (name) => name.startsWith("write");
  const before = watch(node.write(0, filled(10, 1)));
  await settled();
  const section = deferred();
  let inside = false;
  const exclusive = watch(
    format.context.exclusive(async () => {
      inside = true;
      await section.promise;
    }),
  );
  await settled();
  expect(inside, "a request is in flight").toBe(false);
  const requests = [
    node.read(0, new Uint8Array(1)),
    node.write(0, filled(1, 2)),
    node.writeZeroes(0, 1),
    node.discard(0, CLUSTER),
    node.flush(),
  ].map(watch);
  disk.holds = () => false;
  disk.release();
  await settled();
  expect([before.state, inside]).toEqual(["fulfilled", true]);
  expect(requests.map(({ state }) => state)).toEqual(Array(5).fill("pending"));
  const lines = format.log.length;
  await settled();
  expect(format.log).toHaveLength(lines);
  section.resolve();
  await settled();
  expect(exclusive.state).toBe("fulfilled");
  expect(requests.map(({ state }) => state)).toEqual(Array(5).fill("fulfilled"));
});

test("a forced write has ended, with its flush, before exclusive mode begins", async () => {
  const { node, format, disk } = await openLab();
  disk.holds = (name) => name === "flush";
  const forced = watch(node.write(0, filled(10, 1), { forceUnitAccess: true }));
  await settled();
  let inside = false;
  const exclusive = format.context.exclusive(async () => void (inside = true));
  await settled();
  expect([inside, forced.state]).toEqual([false, "pending"]);
  disk.holds = () => false;
  disk.release();
  await exclusive;
  await settled();
  expect(forced.state).toBe("fulfilled");
});

test("exclusive sections run one after the other, and one that fails lets the others go on", async () => {
  const { node, format } = await openLab();
  const order: number[] = [];
  const failure = new Error("no");
  const sections = [1, 2, 3].map((number) =>
    format.context.exclusive(async () => {
      order.push(number);
      await settled();
      order.push(number);
      if (number === 2) throw failure;
    }),
  );
  const results = await Promise.allSettled(sections);
  expect(order).toEqual([1, 1, 2, 2, 3, 3]);
  expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
  await node.read(0, new Uint8Array(1));
});

test("with allocations blocked, reads and writes in place go on", async () => {
  const { node, format, disk } = await openLab();
  format.map(0, { kind: "data", host: 40, writable: true });
  disk.holds = (name) => name === `write 0+${CLUSTER}`;
  const allocating = watch(node.write(5 * CLUSTER, filled(10, 1)));
  await settled();
  const section = deferred();
  let inside = false;
  const plugged = watch(
    format.context.exclusive(
      async () => {
        inside = true;
        await section.promise;
      },
      { block: "allocations" },
    ),
  );
  const waiting = [node.write(6 * CLUSTER, filled(10, 2)), node.writeZeroes(7 * CLUSTER, CLUSTER), node.discard(8 * CLUSTER, CLUSTER)].map(
    watch,
  );
  await settled();
  expect(inside, "an allocating request is in flight").toBe(false);
  disk.release();
  await settled();
  expect([allocating.state, inside]).toEqual(["fulfilled", true]);
  await node.write(0, filled(10, 3));
  await node.read(0, new Uint8Array(100));
  await node.flush();
  expect(waiting.map(({ state }) => state)).toEqual(Array(3).fill("pending"));
  section.resolve();
  await settled();
  expect(plugged.state).toBe("fulfilled");
  expect(waiting.map(({ state }) => state)).toEqual(Array(3).fill("fulfilled"));
});

test("a format that takes one allocation at a time gets them in order, and writes in place beside them", async () => {
  const { node, format, disk } = await openLab({ maxAllocations: 1 });
  format.map(9, { kind: "data", host: 40, writable: true });
  disk.holds = (name) => name.startsWith("write") && name.endsWith(`+${CLUSTER}`);
  const writes = [3, 1, 2].map((index) => node.write(index * CLUSTER, filled(CLUSTER, index)));
  for (const [done, index] of [3, 1, 2].entries()) {
    await settled();
    expect(disk.held).toHaveLength(1);
    expect(format.log.filter((line) => line.startsWith("allocate") && !line.endsWith("ended")).at(-1)).toBe(
      `allocate ${index * CLUSTER}+${CLUSTER}`,
    );
    await node.write(9 * CLUSTER, filled(10, done));
    disk.release();
  }
  await Promise.all(writes);
});

test("a writer that waited for its turn to allocate, and then finds its cluster there, gives the turn on while it writes", async () => {
  const { node, disk } = await openLab({ maxAllocations: 1 });
  disk.holds = (name) => name.startsWith("write");
  const first = node.write(0, filled(CLUSTER, 1));
  await settled();
  const second = node.write(100, filled(10, 2));
  const third = node.write(CLUSTER, filled(CLUSTER, 3));
  await settled();
  disk.release();
  await settled();
  expect(disk.held).toEqual(["write 100+10", `write ${CLUSTER}+${CLUSTER}`]);
  disk.release();
  await Promise.all([first, second, third]);
});

test("writes in place need no turn, also where they touch several clusters", async () => {
  const { node, format, disk } = await openLab({ maxAllocations: 1 });
  for (const index of [8, 9]) format.map(index, { kind: "data", host: 40 + index, writable: true });
  disk.holds = (name) => name === `write 0+${CLUSTER}`;
  const allocating = node.write(0, filled(CLUSTER, 1));
  await settled();
  await node.write(9 * CLUSTER - 10, filled(20, 2));
  disk.release();
  await allocating;
});

test("exclusive mode is for images that are open", async () => {
  const { node, format } = await openLab();
  await node[Symbol.asyncDispose]();
  await expect(format.context.exclusive(() => Promise.resolve())).rejects.toMatchObject({ code: "CLOSED" });
});
