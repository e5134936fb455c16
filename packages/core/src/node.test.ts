import { describe, expect, test } from "vitest";
import type { CheckOptions } from "./checking.ts";
import type { BlockImage } from "./driver.ts";
import { BlockError } from "./errors.ts";
import { LabDisk } from "./fixture/lab-disk.ts";
import { LabFiles } from "./fixture/lab-files.ts";
import { deferred, filled, labDriver, labOptions, openDisk, openLab, readAll, settled, watch } from "./fixture/lab.ts";
import { CLUSTER, LabFormat } from "./fixture/lab-format.ts";
import { BlockGraph } from "./graph.ts";

function codeOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => "no error",
    (error: unknown) => (error instanceof BlockError ? error.code : error),
  );
}

describe("closing", () => {
  test("children close after their parents, the last opened first", async () => {
    const files = new LabFiles();
    files.chain("a", { backing: { filename: "b" }, dataFile: { filename: "data" } });
    files.chain("b");
    files.plain("data");
    const graph = new BlockGraph({ drivers: files.drivers, implicitOpen: "allow" });
    const node = await graph.open("a");
    files.log.length = 0;
    await node[Symbol.asyncDispose]();
    expect(files.log).toEqual(["flush a", "close image a", "close data", "close image b", "close b", "close a"]);
    expect(graph.inspect().nodes).toEqual([]);
  });

  test("every step is taken although one fails, and the first error is told", async () => {
    const files = new LabFiles();
    files.chain("a");
    const graph = new BlockGraph({ drivers: files.drivers });
    const node = await graph.open("a");
    const failure = new BlockError("IO", "cannot flush");
    Object.assign(node.requests.image, { flush: () => Promise.reject(failure) });
    await expect(node[Symbol.asyncDispose]()).rejects.toBe(failure);
    expect(files.log.slice(-2)).toEqual(["close image a", "close a"]);
    expect(graph.inspect().nodes).toEqual([]);
    await expect(node[Symbol.asyncDispose]()).rejects.toBe(failure);
  });

  test("waits for requests in flight, and refuses those that come later or wait", async () => {
    const disk = new LabDisk(4096);
    const node = await openDisk(disk);
    disk.holds = (name) => name.startsWith("write");
    const write = watch(node.write(0, filled(10, 1)));
    const closing = watch(node[Symbol.asyncDispose]());
    const late = [
      node.read(0, new Uint8Array(1)),
      node.write(0, filled(1, 1)),
      node.writeZeroes(0, 1),
      node.discard(0, 1),
      node.flush(),
      node.drain(),
      node.resize(5000),
    ].map(codeOf);
    await settled();
    expect([write.state, closing.state, disk.closed]).toEqual(["pending", "pending", 0]);
    expect(await Promise.all(late)).toEqual(Array(7).fill("CLOSED"));
    disk.release();
    await settled();
    expect([write.state, closing.state, disk.closed]).toEqual(["fulfilled", "fulfilled", 1]);
  });

  test("requests that wait at the gate are refused", async () => {
    const disk = new LabDisk(4096);
    const node = await openDisk(disk);
    const drained = await node.drain();
    const waiting = codeOf(node.read(0, new Uint8Array(1)));
    const closing = node[Symbol.asyncDispose]();
    await drained[Symbol.asyncDispose]();
    await closing;
    expect(await waiting).toBe("CLOSED");
  });

  test("a graph closes what is open, parents first", async () => {
    const files = new LabFiles();
    files.chain("a", { backing: { filename: "b" } });
    files.plain("b");
    const graph = new BlockGraph({ drivers: files.drivers, implicitOpen: "allow" });
    await graph.open("a");
    await graph.open(labOptions({ driver: "plain", file: "b" }));
    files.log.length = 0;
    await graph[Symbol.asyncDispose]();
    expect(graph.inspect().nodes).toEqual([]);
    expect(files.log.indexOf("close image a")).toBeLessThan(files.log.indexOf("close a"));
  });

  test("the image's own coroutines have stopped before it is flushed", async () => {
    const order: string[] = [];
    const image: BlockImage = {
      size: 10,
      limits: { requestAlignment: 1 },
      read() {},
      write() {},
      flush: () => void order.push("flush"),
      quiesce: async () => {
        await settled();
        order.push("quiesced");
        return { async [Symbol.asyncDispose]() {} };
      },
      [Symbol.asyncDispose]: async () => void order.push("closed"),
    };
    const node = await openDisk(image);
    await node.write(0, filled(1, 1));
    await node[Symbol.asyncDispose]();
    expect(order).toEqual(["quiesced", "flush", "closed"]);
  });
});

describe("draining", () => {
  test("waits for requests, keeps new ones out, lets the drainer in", async () => {
    const disk = new LabDisk(4096);
    const node = await openDisk(disk);
    disk.holds = (name) => name === "write 0+10";
    const before = watch(node.write(0, filled(10, 1)));
    const draining = node.drain();
    const drain = watch(draining);
    await settled();
    expect(drain.state).toBe("pending");
    disk.release();
    const drained = await draining;
    expect(before.state).toBe("fulfilled");
    const after = watch(node.write(10, filled(10, 2)));
    await drained.flush();
    await drained.write(0, filled(5, 3));
    const seen = new Uint8Array(10);
    await drained.read(0, seen);
    expect(seen).toEqual(new Uint8Array([...filled(5, 3), ...filled(5, 1)]));
    await drained.flush();
    expect(disk.log.slice(-2), "a drainer's write is flushed").toEqual(["flush", "flush ended"]);
    await expect(drained.read(4096, new Uint8Array(1))).rejects.toMatchObject({ code: "OUT_OF_RANGE" });
    expect(after.state).toBe("pending");
    await drained[Symbol.asyncDispose]();
    await drained[Symbol.asyncDispose]();
    await settled();
    expect(after.state).toBe("fulfilled");
  });

  test("goes from the parents down, so that none of their requests is cut in two", async () => {
    const { node, disk } = await openLab();
    const file = node.children.get("file")?.node;
    if (file === undefined) throw new Error("the lab has a file");
    disk.holds = (name) => name.startsWith("write");
    const write = watch(node.write(0, filled(2 * CLUSTER, 1)));
    await settled();
    const draining = file.drain();
    const drain = watch(draining);
    await settled();
    const late = watch(node.write(0, filled(1, 2)));
    disk.release();
    await settled();
    disk.release();
    await settled();
    expect([write.state, drain.state, late.state]).toEqual(["fulfilled", "fulfilled", "pending"]);
    disk.holds = () => false;
    await (await draining)[Symbol.asyncDispose]();
    await settled();
    expect(late.state).toBe("fulfilled");
  });

  test("meets a node that is above in two ways once", async () => {
    const bottom = new LabDisk(100);
    const through = labDriver("through", "filter", async (options, context) => {
      const file = await context.child("file", "filtered", options["file"] as never);
      const image: BlockImage = {
        size: 100,
        limits: { requestAlignment: 1 },
        read: (offset, into) => file.read(offset, into),
        async [Symbol.asyncDispose]() {},
      };
      return image;
    });
    const join = labDriver("join", "filter", async (options, context) => {
      const left = await context.child("file", "filtered", options["file"] as never);
      await context.child("child", "filtered", options["child"] as never);
      const image: BlockImage = {
        size: 100,
        limits: { requestAlignment: 1 },
        read: (offset, into) => left.read(offset, into),
        async [Symbol.asyncDispose]() {},
      };
      return image;
    });
    const graph = new BlockGraph({ drivers: [through, join, labDriver("bottom", "protocol", async () => bottom)] });
    const base = await graph.open(labOptions({ driver: "bottom" }));
    const top = await graph.open(
      labOptions({ driver: "join", file: { driver: "through", file: base }, child: { driver: "through", file: base } }),
    );
    const drained = await base.drain();
    const read = watch(top.read(0, new Uint8Array(1)));
    await settled();
    expect(read.state).toBe("pending");
    await drained[Symbol.asyncDispose]();
    await settled();
    expect(read.state).toBe("fulfilled");
    await graph[Symbol.asyncDispose]();
  });

  test("several drainers come one after the other; a signal stops one that waits, and leaves nothing closed", async () => {
    const { node, graph } = await openLab();
    const file = node.children.get("file")?.node;
    const drained = await node.drain();
    const stop = new AbortController();
    const reason = new Error("stopped");
    const second = watch(file?.drain({ signal: stop.signal }) ?? Promise.resolve());
    const third = node.drain();
    await settled();
    stop.abort(reason);
    await settled();
    expect(second).toEqual({ state: "rejected", reason });
    await drained[Symbol.asyncDispose]();
    await (await third)[Symbol.asyncDispose]();
    await node.write(0, filled(1, 1));
    for (const inspected of graph.inspect().nodes)
      expect(
        (inspected as { readonly locks: readonly { readonly holders: readonly unknown[] }[] }).locks.flatMap(({ holders }) => holders),
      ).toEqual([]);
  });

  test("stops the image's own coroutines, and lets them go on", async () => {
    const states: string[] = [];
    const disk = new LabDisk(10);
    Object.assign(disk, {
      quiesce: async () => {
        states.push("quiet");
        return { [Symbol.asyncDispose]: async () => void states.push("goes on") };
      },
    });
    const node = await openDisk(disk);
    const drained = await node.drain();
    expect(states).toEqual(["quiet"]);
    await drained[Symbol.asyncDispose]();
    expect(states).toEqual(["quiet", "goes on"]);
  });
});

describe("resizing", () => {
  test("is refused where it makes no sense or loses data", async () => {
    const node = await openDisk(new LabDisk(100));
    expect(await codeOf(node.resize(-1))).toBe("INVALID_OPTION");
    expect(await codeOf(node.resize(0.5))).toBe("INVALID_OPTION");
    expect(await codeOf(node.resize(99))).toBe("INVALID_OPTION");
    const fixed = await openDisk({ size: 10, limits: { requestAlignment: 1 }, read() {}, async [Symbol.asyncDispose]() {} });
    expect(await codeOf(fixed.resize(20))).toBe("UNSUPPORTED_FEATURE");
  });

  test("runs with no request beside, and is flushed", async () => {
    const disk = new LabDisk(100);
    const node = await openDisk(disk);
    await node.flush();
    disk.holds = (name) => name.startsWith("resize");
    const resize = node.resize(50, { shrink: true });
    await settled();
    const read = watch(node.read(80, new Uint8Array(10)));
    await settled();
    expect(read.state).toBe("pending");
    disk.release();
    await resize;
    await settled();
    expect(disk.size).toBe(50);
    disk.log.length = 0;
    await node.flush();
    expect(disk.log).toContain("flush");
  });
});

describe("checking", () => {
  test("a driver without a check has none; repairs need a writable image", async () => {
    const disk = new LabDisk(10);
    expect(await (await openDisk(disk)).check({ repair: "none" })).toBeUndefined();
    const result = { errors: 0, corruptions: 1, leaks: 0, corruptionsFixed: 0, leaksFixed: 0 };
    const finding = { severity: "error", what: "w", offset: 0, meaning: "", repair: "", risk: "" } as const;
    Object.assign(disk, { check: async (_options: object, report: (found: typeof finding) => void) => (report(finding), result) });
    const node = await openDisk(disk, { readOnly: true });
    const found: unknown[] = [];
    expect(await node.check({ repair: "none" }, (one) => found.push(one))).toEqual(result);
    expect(found).toEqual([finding]);
    expect(await codeOf(node.check({ repair: "leaks" }))).toBe("READ_ONLY");
  });

  test("an image that is opened to be checked is read, repaired and flushed, and nothing else", async () => {
    const asked: string[] = [];
    const result = { errors: 0, corruptions: 0, leaks: 0, corruptionsFixed: 0, leaksFixed: 0 };
    const graph = new BlockGraph({
      drivers: [
        labDriver("lab-disk", "protocol", async (_own, { forCheck }) => (asked.push(`file ${forCheck}`), new LabDisk(10))),
        labDriver("lab", "format", async (_own, context) => {
          asked.push(`image ${context.forCheck}`);
          const file = await context.child("file", "data and metadata", labOptions({ driver: "lab-disk" }));
          const image = new LabFormat(file, undefined, context, {});
          return Object.assign(image, {
            check: async ({ repair }: CheckOptions) => (asked.push(repair), await file.write(0, new Uint8Array(1)), result),
          });
        }),
      ],
    });
    await using node = await graph.open(labOptions({ driver: "lab" }), { forCheck: true });
    expect(await node.check({ repair: "all" })).toEqual(result);
    await readAll(node);
    await expect(node.write(0, filled(1, 1))).rejects.toThrow("was opened to be checked");
    await expect(node.resize(20)).rejects.toMatchObject({ code: "READ_ONLY" });
    expect(asked).toEqual(["image true", "file false", "all"]);
  });
});

test("inspect shows who holds and who waits, by name and for how long", async () => {
  const { node, format, disk } = await openLab();
  disk.holds = (name) => name.startsWith("write");
  const write = node.write(100, filled(10, 1));
  await settled();
  const waiting = node.write(0x200, filled(10, 1));
  await settled();
  const held = await format.state.lock({ who: "the test" });
  const reading = node.read(0, new Uint8Array(1));
  await settled();
  expect(node.inspect()).toMatchObject({
    driver: "lab",
    size: node.size,
    readOnly: false,
    children: { file: { role: "data and metadata" } },
    requests: [{ kind: "write", offset: 100, length: 10 }, { kind: "write", offset: 512 }, { kind: "read" }],
    locks: [
      { name: `${node.name} gate` },
      { name: `${node.name} exclusive` },
      { name: "lab driver", holders: [{ who: "the test" }], waiters: [{ who: "lookup for read 0x0+1" }] },
    ],
    image: {
      claims: { held: ["exclusive 0x0..0x1000"], waiting: [expect.stringMatching(/: exclusive 0x0\.\.0x1000$/)] },
      allocations: { taken: 2 },
    },
  });
  held[Symbol.dispose]();
  const drain = node.drain();
  await settled();
  const late = node.read(5, new Uint8Array(1));
  await settled();
  expect(node.inspect()).toMatchObject({ locks: [{ waiters: [{ who: "read 0x5+1" }] }, {}, {}] });
  disk.holds = () => false;
  disk.release();
  await (await drain)[Symbol.asyncDispose]();
  await Promise.all([write, waiting, reading, late]);
});

test("readable streams the bytes on demand, and ends where it was asked to", async () => {
  const size = 600 * 1024;
  const disk = new LabDisk(size);
  disk.bytes.set(Uint8Array.from({ length: size }, (_, index) => index % 251));
  const node = await openDisk(disk);
  const collect = async (range?: { readonly offset?: number; readonly length?: number }): Promise<Uint8Array> => {
    const chunks: Uint8Array[] = [];
    for await (const chunk of node.readable(range)) chunks.push(chunk);
    return new Uint8Array(Buffer.concat(chunks));
  };
  expect(Buffer.compare(await collect(), disk.bytes)).toBe(0);
  expect(Buffer.compare(await collect({ offset: 100, length: 300_000 }), disk.bytes.subarray(100, 300_100))).toBe(0);
  expect(await collect({ offset: size })).toEqual(new Uint8Array(0));
  expect(() => node.readable({ offset: 0, length: size + 1 })).toThrow(expect.objectContaining({ code: "OUT_OF_RANGE" }));
  disk.log.length = 0;
  const reader = node.readable().getReader();
  await reader.read();
  await settled();
  expect(disk.log.filter((line) => line.endsWith("ended")).length, "it reads ahead by one chunk").toBeLessThanOrEqual(2);
  await reader.cancel();
  disk.fails = () => new BlockError("IO", "no");
  await expect(collect()).rejects.toThrow("no");
});

test("allocated size: the image's own answer, else the sum of its files without backing files", async () => {
  const { node, disk } = await openLab({ backing: Object.assign(new LabDisk(10), { allocatedSize: () => 1000 }) });
  expect(await node.allocatedSize()).toBeUndefined();
  Object.assign(disk, { allocatedSize: () => 77 });
  expect(await node.allocatedSize()).toBe(77);
});

test("a section that waits lets nobody pass: requests that waited go first come first served", async () => {
  const disk = new LabDisk(4096);
  const node = await openDisk(disk);
  const section = deferred();
  const exclusive = node.exclusive(() => section.promise);
  await settled();
  const order: number[] = [];
  const requests = [1, 2, 3].map((index) => node.write(index, filled(1, index)).then(() => order.push(index)));
  section.resolve();
  await Promise.all([exclusive, ...requests]);
  expect(order).toEqual([1, 2, 3]);
  expect(await readAll(node, 0, 5)).toEqual(new Uint8Array([0, 1, 2, 3, 0]));
});
