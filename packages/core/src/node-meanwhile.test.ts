/** What happens to a node while something else does: closing, shrinking, draining, and those who hold it. */

import { describe, expect, test } from "vitest";
import type { BlockImage, RunStatus } from "./driver.ts";
import { BlockError } from "./errors.ts";
import { LabDisk } from "./fixture/lab-disk.ts";
import { deferred, filled, labDriver, labOptions, openDisk, readAll, settled, watch } from "./fixture/lab.ts";
import { BlockGraph } from "./graph.ts";

function codeOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => "no error",
    (error: unknown) => (error instanceof BlockError ? error.code : error),
  );
}

/** Disks by name, and a filter that stands on one. */
function stack(disk: LabDisk): BlockGraph {
  const over = labDriver("over", "filter", async (options, context) => {
    const file = await context.child("file", "filtered", options["file"] as never);
    const image: BlockImage = {
      size: disk.size,
      limits: { requestAlignment: 1 },
      read: (offset, into) => file.read(offset, into),
      write: (offset, from) => file.write(offset, from),
      async [Symbol.asyncDispose]() {},
    };
    return image;
  });
  return new BlockGraph({ drivers: [over, labDriver("disk", "protocol", async () => disk)] });
}

describe("a disk that becomes smaller", () => {
  test("refuses requests behind its end, also those that waited for it", async () => {
    const disk = new LabDisk(4096);
    const node = await openDisk(disk);
    disk.holds = (name) => name.startsWith("resize");
    const resize = node.resize(1024, { shrink: true });
    await settled();
    const late = [
      node.read(1024, new Uint8Array(1)),
      node.write(1000, filled(25, 1)),
      node.writeZeroes(4095, 1),
      node.discard(2048, 1024),
    ].map(codeOf);
    const inside = node.write(1000, filled(24, 1));
    await settled();
    disk.release();
    await resize;
    expect(await Promise.all(late)).toEqual(Array(4).fill("OUT_OF_RANGE"));
    await inside;
    expect(disk.size).toBe(1024);
  });

  test("loses nothing to one who only asked for more, and was overtaken", async () => {
    const node = await openDisk(new LabDisk(1024));
    const both = [node.resize(8192), node.resize(4096)];
    expect(await Promise.all(both.map(codeOf))).toEqual(["no error", "INVALID_OPTION"]);
    expect(node.size).toBe(8192);
  });

  test("ends its list of extents where it ends by then", async () => {
    const disk = new LabDisk(4096);
    const status = (offset: number): RunStatus => ({ kind: offset % 1024 === 0 ? "zero" : "data", length: 512 });
    const node = await openDisk(Object.assign(disk, { status }));
    const seen: number[] = [];
    for await (const { offset } of node.extents()) {
      seen.push(offset);
      if (offset === 0) await node.resize(1024, { shrink: true });
    }
    expect(seen).toEqual([0, 512]);
  });
});

describe("closing", () => {
  test("waits for a section that has begun, and refuses one that has not", async () => {
    const disk = new LabDisk(10);
    const node = await openDisk(disk);
    const [first, done] = [deferred(), [] as string[]];
    const section = node.exclusive(async () => {
      await first.promise;
      done.push(`section, closed ${disk.closed} times`);
    });
    const second = codeOf(node.exclusive(async () => void done.push("second")));
    await settled();
    const closing = watch(node[Symbol.asyncDispose]());
    await settled();
    expect(closing.state).toBe("pending");
    first.resolve();
    await section;
    expect(await second).toBe("CLOSED");
    await settled();
    expect([closing.state, done]).toEqual(["fulfilled", ["section, closed 0 times"]]);
  });

  test("comes before a section that still waits for requests", async () => {
    const disk = new LabDisk(10);
    const node = await openDisk(disk);
    disk.holds = (name) => name.startsWith("write");
    const write = node.write(0, filled(1, 1));
    const section = codeOf(node.exclusive(() => Promise.reject(new Error("the image is closed"))));
    await settled();
    const closing = node[Symbol.asyncDispose]();
    disk.release();
    await Promise.all([write, closing]);
    expect(await section).toBe("CLOSED");
  });

  test("ends what can be asked of the image without a request", async () => {
    const node = await openDisk(new LabDisk(10));
    await node[Symbol.asyncDispose]();
    expect(await codeOf(node.extents()[Symbol.asyncIterator]().next())).toBe("CLOSED");
    expect(await codeOf(node.readsAsZero(0, 10))).toBe("CLOSED");
    expect(await codeOf(node.allocatedSize())).toBe("CLOSED");
  });

  test("takes no node from those that stand on it, however often it is asked for", async () => {
    const disk = new LabDisk(10);
    const graph = stack(disk);
    const base = await graph.open(labOptions({ driver: "disk" }));
    const top = await graph.open(labOptions({ driver: "over", file: base }));
    for (let times = 0; times < 3; times++) await base[Symbol.asyncDispose]();
    await top.write(0, filled(10, 1));
    expect([disk.closed, await readAll(top)]).toEqual([0, filled(10, 1)]);
    await top[Symbol.asyncDispose]();
    expect([disk.closed, graph.inspect().nodes]).toEqual([1, []]);
  });
});

describe("draining", () => {
  test("passes over a node above that closes meanwhile, when that is done", async () => {
    const disk = new LabDisk(10);
    const graph = stack(disk);
    const base = await graph.open(labOptions({ driver: "disk" }));
    const top = await graph.open(labOptions({ driver: "over", file: base }));
    disk.holds = (name) => name.startsWith("write");
    const write = top.write(0, filled(10, 1));
    const draining = base.drain();
    const drain = watch(draining);
    await settled();
    const closing = top[Symbol.asyncDispose]();
    await settled();
    expect(drain.state).toBe("pending");
    disk.release();
    await Promise.all([write, closing]);
    await (await draining)[Symbol.asyncDispose]();
    await base.read(0, new Uint8Array(1));
  });

  test("is given up by a signal while requests are in flight, and leaves nothing closed", async () => {
    const disk = new LabDisk(10);
    const node = await openDisk(disk);
    disk.holds = (name) => name.startsWith("write");
    const write = node.write(0, filled(10, 1));
    const [stop, reason] = [new AbortController(), new Error("stopped")];
    const drain = watch(node.drain({ signal: stop.signal }));
    await settled();
    stop.abort(reason);
    await settled();
    expect(drain).toEqual({ state: "rejected", reason });
    await node.read(0, new Uint8Array(1));
    disk.release();
    await write;
  });

  test("gives a way in that ends with it", async () => {
    const node = await openDisk(new LabDisk(10));
    const drained = await node.drain();
    await drained[Symbol.asyncDispose]();
    const late = [drained.read(0, new Uint8Array(1)), drained.write(0, filled(1, 1)), drained.flush()];
    expect(await Promise.all(late.map(codeOf))).toEqual(["CLOSED", "CLOSED", "CLOSED"]);
  });

  test("lets the drainer write parts of one unit at a time, and none is lost", async () => {
    const disk = new LabDisk(1024);
    disk.limits = { requestAlignment: 512 };
    disk.synchronous = false;
    const node = await openDisk(disk);
    await using drained = await node.drain();
    await Promise.all([0, 1, 2].map((index) => drained.write(index, filled(1, index + 1))));
    expect([...disk.bytes.subarray(0, 4)]).toEqual([1, 2, 3, 0]);
  });
});
