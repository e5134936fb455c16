import * as fc from "fast-check";
import { expect, test } from "vitest";

import type { RunStatus } from "../driver.ts";
import { bareContext } from "./bare-context.ts";
import { memoryDriver } from "./memory.ts";
import { driver } from "./memory-driver.ts";
import { MemoryImage } from "./memory-image.ts";

const PAGE = 65_536;
const TiB = 2 ** 40;

test("agrees with an array of bytes", async () => {
  const kind = fc.constantFrom("write", "zero", "discard", "resize", "read");
  const step = fc.record({
    kind,
    at: fc.integer({ min: 0, max: 5 * PAGE }),
    length: fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 3 * PAGE }), fc.constant(PAGE)),
    fill: fc.integer({ min: 0, max: 255 }),
  });
  const property = fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
    const image = new MemoryImage(3 * PAGE, Uint8Array.of(1, 2, 3), true);
    let model = new Uint8Array(3 * PAGE);
    model.set([1, 2, 3]);
    const reach = (end: number): void => {
      if (end > model.length) model = concat(model, end);
    };
    for (const { kind: what, at, length, fill } of steps) {
      if (what === "write") {
        const bytes = new Uint8Array(length).fill(fill);
        image.write(at, bytes);
        reach(at + length);
        model.set(bytes, at);
        bytes.fill(99);
      } else if (what === "zero") {
        image.writeZeroes(at, length);
        reach(at + length);
        model.fill(0, at, at + length);
      } else if (what === "discard") {
        const end = Math.min(at + length, model.length);
        if (at < end) image.discard(at, end - at);
        model.fill(0, at, end);
      } else if (what === "resize") {
        await image.resize(at, { preallocation: "off", shrink: true });
        model = model.length < at ? concat(model, at) : model.slice(0, at);
      }
      verify(image, model);
    }
    await image[Symbol.asyncDispose]();
  });
  await fc.assert(property, { numRuns: 300 });
});

function concat(bytes: Uint8Array<ArrayBuffer>, size: number): Uint8Array<ArrayBuffer> {
  const longer = new Uint8Array(size);
  longer.set(bytes);
  return longer;
}

function verify(image: MemoryImage, model: Uint8Array): void {
  expect(image.size).toBe(model.length);
  const whole = new Uint8Array(model.length).fill(77);
  image.read(0, whole);
  expect(Buffer.compare(whole, model)).toBe(0);
  for (const [offset, run] of runs(image)) {
    if (run.kind === "zero") expect(model.subarray(offset, offset + run.length).every((byte) => byte === 0)).toBe(true);
  }
}

function runs(image: MemoryImage): [number, RunStatus][] {
  const found: [number, RunStatus][] = [];
  for (let offset = 0; offset < image.size;) {
    const run = image.status(offset, image.size - offset);
    expect(run.length).toBeGreaterThan(0);
    found.push([offset, run]);
    offset += run.length;
  }
  expect(found.reduce((sum, [, run]) => sum + run.length, 0)).toBe(image.size);
  return found;
}

test("a disk of 1 TiB takes what is written to it, and is told in runs", () => {
  const image = new MemoryImage(TiB, new Uint8Array(0), true);
  expect(image.status(0, TiB)).toEqual({ kind: "zero", length: TiB });
  image.write(TiB / 2, new Uint8Array(2 * PAGE).fill(1));
  image.write(TiB - 1, Uint8Array.of(5));
  expect(image.allocatedSize()).toBe(3 * PAGE);
  expect(runs(image).map(([offset, run]) => [offset, run.kind])).toEqual([
    [0, "zero"],
    [TiB / 2, "data"],
    [TiB / 2 + 2 * PAGE, "zero"],
    [TiB - PAGE, "data"],
  ]);
  expect(image.status(TiB / 2 + 5, 10)).toEqual({ kind: "data", length: 10 });
  image.writeZeroes(0, TiB);
  expect(image.allocatedSize()).toBe(0);
  expect(image.inspect()).toEqual({ size: TiB, pages: 0 });
});

test("the bytes it begins with are copied, pages of zeros left out", async () => {
  expect(await memoryDriver.load()).toBe(driver);
  const bytes = new Uint8Array(3 * PAGE);
  bytes[PAGE] = 9;
  const image = (await driver.open({ bytes, size: 4 * PAGE }, bareContext())) as MemoryImage;
  bytes[PAGE] = 1;
  const into = new Uint8Array(1);
  image.read(PAGE, into);
  expect(into[0]).toBe(9);
  expect(image.size).toBe(4 * PAGE);
  expect(image.allocatedSize()).toBe(PAGE);
  expect(image.growable).toBe(true);
  await image[Symbol.asyncDispose]();
  expect(() => image.read(0, into)).toThrow("after it was closed");
});

test("options that make no sense", async () => {
  expect((await driver.open({}, bareContext({ readOnly: true }))).size).toBe(0);
  for (const options of [{ size: -1 }, { size: 1.5 }, { size: 2, bytes: new Uint8Array(3) }, { size: 2 ** 53 }]) {
    await expect(driver.open(options, bareContext())).rejects.toMatchObject({ code: "INVALID_OPTION" });
  }
  const image = new MemoryImage(10, new Uint8Array(0), true);
  await expect(image.resize(5, { preallocation: "off", shrink: false })).rejects.toMatchObject({ code: "NOT_ALLOWED" });
});
