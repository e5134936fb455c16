import { describe, expect, test } from "vitest";
import { BlockError } from "../errors.ts";
import { deferred, filled, type Lab, openLab, readAll, settled, watch } from "../fixture/lab.ts";
import { CLUSTER } from "../fixture/lab-format.ts";

const failure = new BlockError("IO", "the disk fails");
const stopped = new Error("stopped");

function methods({ format }: Lab): string[] {
  return format.log.filter((line) => !line.startsWith("lookup") && !line.endsWith("ended"));
}

function expectIdle({ node, format }: Lab): void {
  expect(format.state.inspect()).toMatchObject({ holders: [], waiters: [] });
  expect(node.inspect()).toMatchObject({
    requests: [],
    image: { claims: { held: [], waiting: [] }, allocations: { taken: 0, waiting: [] } },
  });
}

describe.each(["throws at once", "rejects"])("storage that %s", (how) => {
  async function open(options: Parameters<typeof openLab>[0] = {}): Promise<Lab> {
    const lab = await openLab(options);
    lab.disk.synchronous = how === "throws at once";
    return lab;
  }

  test("data that cannot be written: the space goes back, the mapping is as before", async () => {
    const lab = await open();
    lab.disk.fails = (name) => (name.startsWith("write") ? failure : undefined);
    await expect(lab.node.write(100, filled(10, 1))).rejects.toBe(failure);
    expect(methods(lab)).toEqual(["prepareWrite", "allocate 0+4096", "abandon 0"]);
    expect(lab.format.freeClusters).toBe(64);
    expect(await readAll(lab.node, 0, CLUSTER)).toEqual(filled(CLUSTER, 0));
    expectIdle(lab);
    lab.disk.fails = () => undefined;
    await lab.node.write(100, filled(10, 1));
    expect(await readAll(lab.node, 100, 10)).toEqual(filled(10, 1));
  });

  test("compressed data that cannot be written", async () => {
    const lab = await open({ compresses: true });
    lab.disk.fails = (name) => (name.startsWith("write") ? failure : undefined);
    await expect(lab.node.writeCompressed(0, filled(CLUSTER, 1))).rejects.toBe(failure);
    expect(methods(lab)).toEqual(["prepareWrite", "allocate 0+4096 stored 1", "abandon 0"]);
    expectIdle(lab);
  });

  test("reads and writes in place", async () => {
    const lab = await open();
    lab.format.map(0, { kind: "data", host: 40, writable: true });
    await lab.node.write(0, filled(1, 1));
    lab.disk.fails = () => failure;
    await expect(lab.node.read(0, new Uint8Array(10))).rejects.toBe(failure);
    await expect(lab.node.write(0, new Uint8Array(10))).rejects.toBe(failure);
    await expect(lab.node.read(0, new Uint8Array(2 * CLUSTER))).rejects.toBe(failure);
    expectIdle(lab);
    expect(lab.node.inspect()).toMatchObject({ statistics: { read: { failures: 2 }, write: { failures: 1 } } });
  });

  test("space is given back when all I/O to it has ended", async () => {
    const lab = await open();
    lab.disk.holds = (name) => name.startsWith("write");
    lab.disk.fails = (name) => (name.startsWith("write") ? failure : undefined);
    const write = lab.node.write(0, filled(CLUSTER, 1));
    await settled();
    expect(methods(lab)).not.toContain("abandon 0");
    lab.disk.release();
    await expect(write).rejects.toBe(failure);
    expect(methods(lab)).toContain("abandon 0");
  });
});

test("a link that fails ends the allocation: it is not given back a second time", async () => {
  const lab = await openLab();
  lab.format.hooks.set("link", () => Promise.reject(failure));
  await expect(lab.node.write(0, filled(CLUSTER, 1))).rejects.toBe(failure);
  expect(methods(lab)).toEqual(["prepareWrite", "allocate 0+4096", "link 0"]);
  expectIdle(lab);
});

test("space that cannot be given back: both failures are told", async () => {
  const lab = await openLab();
  lab.disk.fails = (name) => (name.startsWith("write") ? failure : undefined);
  const second = new BlockError("IO", "refcounts cannot be read");
  lab.format.hooks.set("abandon", () => Promise.reject(second));
  const error = await lab.node.write(0, filled(CLUSTER, 1)).catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(AggregateError);
  expect((error as AggregateError).errors).toEqual([failure, second]);
  expectIdle(lab);
});

test("an allocation that fails leaves nothing held", async () => {
  const lab = await openLab({ maxAllocations: 1 });
  lab.format.hooks.set("allocate", () => Promise.reject(failure));
  await expect(lab.node.write(0, filled(10, 1))).rejects.toBe(failure);
  await expect(lab.node.write(0, filled(10, 1))).rejects.toBe(failure);
  expectIdle(lab);
  lab.format.hooks.clear();
  await lab.node.write(0, filled(10, 1));
});

test("the first write prepares the image, once; a failed attempt is repeated", async () => {
  const lab = await openLab();
  await lab.node.read(0, new Uint8Array(1));
  expect(methods(lab)).toEqual([]);
  let attempts = 0;
  lab.format.hooks.set("prepareWrite", () => (attempts++ === 0 ? Promise.reject(failure) : undefined));
  await expect(lab.node.write(0, filled(10, 1))).rejects.toBe(failure);
  await Promise.all([lab.node.write(0, filled(10, 1)), lab.node.writeZeroes(CLUSTER, CLUSTER), lab.node.discard(2 * CLUSTER, CLUSTER)]);
  expect(attempts).toBe(2);
});

describe("a request of several pieces that fails", () => {
  test("a write ends when all its pieces have ended", async () => {
    const lab = await openLab();
    lab.disk.holds = (name) => name === `write ${CLUSTER}+${CLUSTER}`;
    lab.disk.fails = (name) => (name === `write 0+${CLUSTER}` ? failure : undefined);
    lab.disk.synchronous = false;
    const write = watch(lab.node.write(0, filled(2 * CLUSTER, 1)));
    await settled();
    if (lab.disk.held.length === 0) return expect(write.state, "the second piece was never begun").toBe("rejected");
    expect(write.state, "a piece is still writing").toBe("pending");
    lab.disk.release();
    await settled();
    expect(write).toEqual({ state: "rejected", reason: failure });
    expectIdle(lab);
  });

  test("a write that fails behind one that still writes waits for it", async () => {
    const lab = await openLab();
    lab.disk.holds = (name) => name === `write 0+${CLUSTER}`;
    lab.disk.fails = (name) => (name === `write ${CLUSTER}+${CLUSTER}` ? failure : undefined);
    const write = watch(lab.node.write(0, filled(2 * CLUSTER, 1)));
    await settled();
    expect(lab.disk.log).toContain(`write ${CLUSTER}+${CLUSTER} failed`);
    expect(write.state).toBe("pending");
    lab.disk.release();
    await settled();
    expect(write).toEqual({ state: "rejected", reason: failure });
    expect(await readAll(lab.node, 0, CLUSTER), "the piece that succeeded").toEqual(filled(CLUSTER, 1));
    expectIdle(lab);
  });

  test("a read that has failed no longer touches its buffer", async () => {
    const lab = await openLab();
    for (const index of [0, 1]) lab.format.map(index, { kind: "data", host: 40 + index, writable: true });
    lab.disk.holds = (name) => name.startsWith("read");
    lab.disk.fails = (name) => (name === `read ${41 * CLUSTER}+${CLUSTER}` ? failure : undefined);
    const into = filled(2 * CLUSTER, 0xee);
    const read = watch(lab.node.read(0, into));
    await settled();
    lab.disk.release(`read ${41 * CLUSTER}+${CLUSTER}`);
    await settled();
    expect(read.state, "the first piece is still to fill the buffer").toBe("pending");
    lab.disk.release();
    await settled();
    expect(read).toEqual({ state: "rejected", reason: failure });
    into.fill(0xee);
    await settled();
    expect(into).toEqual(filled(2 * CLUSTER, 0xee));
  });
});

describe("a signal", () => {
  test("stops waiting for a claim, and leaves no waiter", async () => {
    const lab = await openLab();
    lab.disk.holds = (name) => name.startsWith("write");
    const first = lab.node.write(0, filled(CLUSTER, 1));
    await settled();
    const stop = new AbortController();
    const second = watch(lab.node.write(0, filled(10, 2), { signal: stop.signal }));
    const third = watch(lab.node.write(0, filled(10, 3)));
    await settled();
    stop.abort(stopped);
    await settled();
    expect([second, third.state]).toEqual([{ state: "rejected", reason: stopped }, "pending"]);
    lab.disk.holds = () => false;
    lab.disk.release();
    await first;
    await settled();
    expect(third.state).toBe("fulfilled");
    expectIdle(lab);
  });

  test("stops waiting for an allocation slot", async () => {
    const lab = await openLab({ maxAllocations: 1 });
    lab.disk.holds = (name) => name.startsWith("write");
    const first = lab.node.write(0, filled(CLUSTER, 1));
    await settled();
    const stop = new AbortController();
    const second = watch(lab.node.write(CLUSTER, filled(10, 2), { signal: stop.signal }));
    await settled();
    stop.abort(stopped);
    await settled();
    expect(second).toEqual({ state: "rejected", reason: stopped });
    lab.disk.release();
    await first;
    expectIdle(lab);
  });

  test("stops waiting for the driver lock", async () => {
    const lab = await openLab();
    const held = await lab.format.state.lock();
    const stop = new AbortController();
    const read = watch(lab.node.read(0, new Uint8Array(1), { signal: stop.signal }));
    await settled();
    stop.abort(stopped);
    await settled();
    expect(read).toEqual({ state: "rejected", reason: stopped });
    held[Symbol.dispose]();
    await lab.node.read(0, new Uint8Array(1));
    expectIdle(lab);
  });

  test("stops a request that waited for a table", async () => {
    const lab = await openLab();
    const load = deferred();
    lab.format.misses.set(0, load.promise);
    const stop = new AbortController();
    const requests = [
      lab.node.read(0, new Uint8Array(1), { signal: stop.signal }),
      lab.node.write(0, new Uint8Array(1), { signal: stop.signal }),
    ].map(watch);
    await settled();
    stop.abort(stopped);
    lab.format.misses.delete(0);
    load.resolve();
    await settled();
    expect(requests).toEqual([
      { state: "rejected", reason: stopped },
      { state: "rejected", reason: stopped },
    ]);
    expect(methods(lab)).toEqual(["prepareWrite"]);
    expectIdle(lab);
  });

  test("stops no write that has its space: the data goes out, and is linked", async () => {
    const lab = await openLab();
    const allocating = deferred();
    lab.format.hooks.set("allocate", () => allocating.promise);
    lab.disk.holds = (name) => name.startsWith("write");
    const stop = new AbortController();
    const write = lab.node.write(0, filled(CLUSTER, 1), { signal: stop.signal });
    await settled();
    stop.abort(stopped);
    allocating.resolve();
    await settled();
    expect(lab.disk.held).toEqual([`write 0+${CLUSTER}`]);
    lab.disk.release();
    await write;
    expect(methods(lab)).toEqual(["prepareWrite", "allocate 0+4096", "link 0"]);
  });

  test("between two pieces ends the request when the first has ended", async () => {
    const lab = await openLab();
    const stop = new AbortController();
    lab.format.hooks.set("allocate", () => stop.abort(stopped));
    lab.disk.holds = (name) => name.startsWith("write");
    const write = watch(lab.node.write(0, filled(3 * CLUSTER, 1), { signal: stop.signal }));
    await settled();
    expect(write.state, "the first piece is still writing").toBe("pending");
    lab.disk.holds = () => false;
    lab.disk.release();
    await settled();
    expect(write).toEqual({ state: "rejected", reason: stopped });
    expect(methods(lab)).toEqual(["prepareWrite", "allocate 0+4096", "link 0"]);
    expectIdle(lab);
  });

  test("stops a long zero write between two parts", async () => {
    const lab = await openLab();
    const stop = new AbortController();
    lab.format.hooks.set("zero", () => stop.abort(stopped));
    await expect(lab.node.writeZeroes(0, 6 * CLUSTER, { signal: stop.signal })).rejects.toBe(stopped);
    expect(methods(lab)).toEqual(["prepareWrite", `zero 0+${6 * CLUSTER}`]);
    expectIdle(lab);
  });
});
