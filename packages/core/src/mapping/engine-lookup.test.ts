import { expect, test } from "vitest";
import { deferred, filled, type Lab, openLab, readAll, settled, watch } from "../fixture/lab.ts";
import { LabDisk } from "../fixture/lab-disk.ts";
import { CLUSTER } from "../fixture/lab-format.ts";

/** Clusters 0 and 1 hold 0x10 and 0x11 in host clusters 40 and 41. */
async function openFilled(): Promise<Lab> {
  const lab = await openLab();
  for (const index of [0, 1]) {
    lab.format.map(index, { kind: "data", host: 40 + index, writable: true });
    lab.disk.bytes.fill(0x10 + index, (40 + index) * CLUSTER, (41 + index) * CLUSTER);
  }
  return lab;
}

test("a hit is served in the turn in which it was asked for", async () => {
  const { node, disk, format } = await openFilled();
  const into = filled(512, 0xee);
  const read = node.read(100, into);
  expect(into).toEqual(filled(512, 0x10));
  expect(format.log).toEqual(["lookup read 100+512"]);
  expect(disk.log).toEqual([`read ${40 * CLUSTER + 100}+512`, `read ${40 * CLUSTER + 100}+512 ended`]);
  await read;
});

/** Microtasks after a lookup, what it answered is no longer true: the cluster has moved, its old place is overwritten. */
function moveAfterEachLookup({ format, disk }: Lab): void {
  const lookup = format.lookup.bind(format);
  let host = 40;
  format.lookup = (...args) => {
    const mapping = lookup(...args);
    queueMicrotask(() => {
      const content = disk.bytes.slice(host * CLUSTER, (host + 1) * CLUSTER);
      disk.bytes.fill(0xbd, host * CLUSTER, (host + 1) * CLUSTER);
      host = host === 40 ? 44 : 40;
      disk.bytes.set(content, host * CLUSTER);
      format.map(0, { kind: "data", host, writable: true });
    });
    return mapping;
  };
}

test.each([
  ["at once", async () => undefined],
  ["after waiting for the driver lock", async (lab: Lab) => lab.format.state.lock()],
  [
    "after waiting for a table",
    async (lab: Lab) => {
      const load = deferred();
      lab.format.misses.set(0, load.promise);
      return { [Symbol.dispose]: () => (lab.format.misses.delete(0), load.resolve()) };
    },
  ],
] as const)("the data I/O begins in the turn of the lookup: %s", async (_name, obstruct) => {
  const lab = await openFilled();
  const obstacle: Disposable | undefined = await obstruct(lab);
  moveAfterEachLookup(lab);
  const into = filled(512, 0xee);
  const read = lab.node.read(0, into);
  await Promise.resolve();
  obstacle?.[Symbol.dispose]();
  await read;
  expect(into).toEqual(filled(512, 0x10));
  const write = lab.node.write(100, filled(100, 0x77));
  await write;
  await settled();
  const expected = filled(CLUSTER, 0x10);
  expected.fill(0x77, 100, 200);
  expect(await readAll(lab.node, 0, CLUSTER)).toEqual(expected);
});

test("a miss waits outside the lock, and others go on meanwhile", async () => {
  const { node, format } = await openFilled();
  const load = deferred();
  format.misses.set(0, load.promise);
  const missing = watch(node.read(0, new Uint8Array(10)));
  const writing = watch(node.write(0, new Uint8Array(10)));
  await settled();
  expect([missing.state, writing.state, format.state.locked]).toEqual(["pending", "pending", false]);
  expect(await readAll(node, CLUSTER, 10)).toEqual(filled(10, 0x11));
  await node.write(CLUSTER, filled(10, 0x22));
  format.misses.delete(0);
  load.resolve();
  await settled();
  expect([missing.state, writing.state]).toEqual(["fulfilled", "fulfilled"]);
});

test("misses of several requests load at the same time", async () => {
  const { node, format } = await openFilled();
  const loads = [deferred(), deferred()];
  for (const [index, { promise }] of loads.entries()) format.misses.set(index, promise);
  const reads = [0, 1].map((index) => watch(node.read(index * CLUSTER, new Uint8Array(1))));
  await settled();
  expect(new Set(format.log)).toEqual(new Set(["lookup read 0+1", `lookup read ${CLUSTER}+1`]));
  for (const [index, { resolve }] of loads.entries()) {
    format.misses.delete(index);
    resolve();
  }
  await settled();
  expect(reads.map(({ state }) => state)).toEqual(["fulfilled", "fulfilled"]);
});

test("after a wait it asks anew, as often as it takes, and uses the last answer", async () => {
  const { node, format, disk } = await openFilled();
  const loads = [deferred(), deferred()];
  const [first, second] = loads;
  if (first === undefined || second === undefined) throw new Error("two loads");
  format.misses.set(0, first.promise);
  const into = new Uint8Array(10);
  const read = watch(node.read(0, into));
  await settled();
  format.misses.set(0, second.promise);
  first.resolve();
  await settled();
  expect(read.state, "the table was evicted again").toBe("pending");
  format.map(0, { kind: "data", host: 50, writable: true });
  disk.bytes.fill(0x99, 50 * CLUSTER, 51 * CLUSTER);
  format.misses.delete(0);
  second.resolve();
  await settled();
  expect(into).toEqual(filled(10, 0x99));
});

test("a load that fails fails the request with its error, and leaves nothing behind", async () => {
  const { node, format, graph } = await openFilled();
  const failure = new Error("table is gone");
  for (const request of [() => node.read(0, new Uint8Array(1)), () => node.write(0, new Uint8Array(1)), () => node.writeZeroes(1, 1)]) {
    const load = deferred();
    format.misses.set(0, load.promise);
    const running = request();
    load.reject(failure);
    await expect(running).rejects.toBe(failure);
    format.misses.delete(0);
  }
  expect(graph.inspect().nodes.at(-1)).toMatchObject({
    requests: [],
    image: { claims: { held: [], waiting: [] }, allocations: { taken: 0 } },
  });
  expect(await readAll(node, 0, 10)).toEqual(filled(10, 0x10));
});

test("guest data goes in and out without the driver lock", async () => {
  const { node, format, disk } = await openFilled();
  disk.holds = () => true;
  const requests = [node.read(0, new Uint8Array(10)), node.write(CLUSTER, new Uint8Array(10)), node.write(5 * CLUSTER, new Uint8Array(10))];
  await settled();
  expect(disk.held).toEqual([`read ${40 * CLUSTER}+10`, `write ${41 * CLUSTER}+10`, `write 0+${CLUSTER}`]);
  expect(format.state.locked).toBe(false);
  disk.release();
  await Promise.all(requests);
});

test("a format that answers nothing, or more than it was asked for, is found out", async () => {
  for (const length of [0, 11]) {
    const { node, format } = await openFilled();
    format.lookup = () => ({ kind: "zero", length });
    await expect(length === 0 ? node.read(0, new Uint8Array(10)) : node.write(0, new Uint8Array(10))).rejects.toThrow(
      `a lookup of 10 bytes answered ${length}`,
    );
  }
});

test("bytes behind the end of a backing file, or of the file itself, read as zeros", async () => {
  const backing = new LabDisk(CLUSTER + 100);
  backing.bytes.fill(0xbb);
  const { node, format, disk } = await openLab({ backing });
  expect(await readAll(node, CLUSTER - 10, 200)).toEqual(filled(200, 0).fill(0xbb, 0, 110));
  expect(await readAll(node, 3 * CLUSTER, 10)).toEqual(filled(10, 0));
  disk.bytes = disk.bytes.slice(0, 40 * CLUSTER + 5).fill(0x10, 40 * CLUSTER);
  format.map(0, { kind: "data", host: 40, writable: true });
  format.map(1, { kind: "data", host: 41, writable: true });
  expect(await readAll(node, 0, 20)).toEqual(filled(20, 0).fill(0x10, 0, 5));
  expect(await readAll(node, CLUSTER, 20)).toEqual(filled(20, 0));
});
