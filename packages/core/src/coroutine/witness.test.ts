import { setImmediate as turn } from "node:timers/promises";
import { afterEach, expect, test } from "vitest";
import { BlockError } from "../errors.ts";
import { MemoryImage } from "../drivers/memory-image.ts";
import { RetiredSpace } from "../mapping/retired-space.ts";
import { FlushShare } from "../request/flush-share.ts";
import { RequestGate } from "../request/gate.ts";
import { RequestPath } from "../request/path.ts";
import { RequestTracker, type TrackedRequest } from "../request/tracker.ts";
import { Guarded } from "./guarded.ts";
import { CoMutex } from "./mutex.ts";
import { SimulatedClock } from "./simulated-clock.ts";
import { observeTouches, type TouchKind } from "./witness.ts";

let touches: [object: object, kind: TouchKind][] = [];
let watching: Disposable | undefined;

afterEach(() => watching?.[Symbol.dispose]());

function watch(): void {
  touches = [];
  watching = observeTouches({ touched: (object, kind) => touches.push([object, kind]) });
}

/** What was reported since the last call, for one object. */
function kindsOf(object: object): TouchKind[] {
  const kinds = touches.filter(([touched]) => touched === object).map(([, kind]) => kind);
  touches = [];
  return kinds;
}

function request(serialising: boolean): TrackedRequest {
  return { kind: "write", offset: 0, length: 512, serialising, startedMs: 0 };
}

test("a mutex that is handed over is touched when it is asked for, when it is let go, and when the next one gets it", async () => {
  watch();
  const mutex = new CoMutex("handed over");
  const first = await mutex.lock();
  expect(kindsOf(mutex)).toContain("write");
  const second = mutex.lock();
  expect(kindsOf(mutex)).toContain("write");
  await turn();
  expect(kindsOf(mutex)).toEqual([]);
  first[Symbol.dispose]();
  expect(kindsOf(mutex)).toEqual(["write"]);
  (await second)[Symbol.dispose]();
  expect(kindsOf(mutex)).toEqual(["write", "write"]);
});

test("a waiter that gives up touches the lock, and a look at who holds it does not", async () => {
  watch();
  const mutex = new CoMutex("given up");
  using _held = await mutex.lock();
  const controller = new AbortController();
  const refused = mutex.lock({ signal: controller.signal });
  touches = [];
  mutex.inspect();
  expect(kindsOf(mutex)).toEqual([]);
  controller.abort(new Error("no longer"));
  expect(kindsOf(mutex)).toEqual(["write"]);
  await expect(refused).rejects.toThrow("no longer");
});

test("a synchronous section touches the lock of its value", () => {
  watch();
  const guarded = new Guarded("section", { count: 0 });
  guarded.runSync((value) => value.count++);
  expect(kindsOf(guarded.mutex)).toEqual(["write"]);
});

test("requests that may overlap count, a serialising one is seen by all", async () => {
  watch();
  const tracker = new RequestTracker();
  await tracker.run(request(false), () => {});
  expect(kindsOf(tracker)).toEqual(["add", "add"]);
  await tracker.run(request(true), () => {
    expect(kindsOf(tracker)).toEqual(["write"]);
    tracker.touch();
    expect(kindsOf(tracker)).toEqual(["write"]);
  });
  expect(kindsOf(tracker)).toEqual(["write"]);
  tracker.touch();
  expect(kindsOf(tracker)).toEqual(["add"]);
});

test("requests count at an open gate, and are seen by whoever closes it", async () => {
  watch();
  const gate = new RequestGate("node");
  gate.touch();
  gate.begin();
  gate.begin();
  gate.leave();
  expect(kindsOf(gate)).toEqual(["add", "add", "add", "add"]);
  const closed = gate.close();
  const idle = gate.idle();
  gate.leave();
  expect(new Set(kindsOf(gate))).toEqual(new Set(["write"]));
  await idle;
  closed[Symbol.dispose]();
  expect(kindsOf(gate)).toContain("write");
});

test("I/O that begins and ends counts, what is retired is seen by all", () => {
  watch();
  const retired = new RetiredSpace();
  retired.beginIo()[Symbol.dispose]();
  expect(kindsOf(retired)).toEqual(["add", "add"]);
  retired.takeSettled();
  retired.flushed(retired.startFlush());
  expect(kindsOf(retired)).toEqual(["write", "write", "write"]);
});

test("changes count, a flush looks at them when it begins and when it ends", async () => {
  watch();
  const flushes = new FlushShare(() => {});
  flushes.changed();
  expect(kindsOf(flushes)).toEqual(["add"]);
  await flushes.flush();
  expect(kindsOf(flushes)).toEqual(["write", "write"]);
});

test("a write into memory is seen where it makes the image larger", () => {
  const image = new MemoryImage(512, new Uint8Array(512), true);
  watch();
  image.write(0, new Uint8Array(512));
  expect(kindsOf(image)).toEqual([]);
  image.write(256, new Uint8Array(512));
  expect(kindsOf(image)).toEqual(["write"]);
  expect(image.size).toBe(768);
  expect(kindsOf(image)).toEqual(["read"]);
});

test("a second witness is refused, and the first goes on", () => {
  watch();
  expect(() => observeTouches({ touched: () => {} })).toThrow("two witnesses");
  const mutex = new CoMutex("watched");
  mutex.runSync(() => {});
  expect(kindsOf(mutex)).toEqual(["write"]);
});

test("nothing is reported any more once the witness is disposed, and disposing twice leaves the next one alone", () => {
  watch();
  const former = watching;
  former?.[Symbol.dispose]();
  const mutex = new CoMutex("unseen");
  mutex.runSync(() => {});
  expect(touches).toEqual([]);
  watch();
  former?.[Symbol.dispose]();
  mutex.runSync(() => {});
  expect(kindsOf(mutex)).toEqual(["write"]);
});

test("a request looks at its gate and at the others also where it ends in its turn", () => {
  const image = new MemoryImage(512, new Uint8Array(512), true);
  const clock = new SimulatedClock();
  const path = new RequestPath({
    name: "node",
    image,
    readOnly: false,
    forCheck: false,
    discard: "unmap",
    detectZeroes: "off",
    noFlush: false,
    clock,
  });
  watch();
  expect(path.read(0, new Uint8Array(512), undefined)).toBeUndefined();
  const seen = touches;
  const kindOf = (object: object): TouchKind | undefined => seen.find(([touched]) => touched === object)?.[1];
  expect([kindOf(path), kindOf(path.gate), kindOf(path.tracker), kindOf(image)]).toEqual(["read", "add", "add", "read"]);
  path.fail(new BlockError("IO", "no more"));
  expect(kindsOf(path)).toContain("write");
});
