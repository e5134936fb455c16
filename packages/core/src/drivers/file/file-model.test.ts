import * as fc from "fast-check";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import type { BlockImage } from "../../driver.ts";
import { bareContext } from "../bare-context.ts";
import { driver } from "./file-driver.ts";

/** Longest piece: above what is read and written on the main thread. */
const MOST = 400_000;
const INITIAL_SIZE = 700_000;

type Step =
  | { readonly kind: "write" | "zero" | "unmap" | "discard" | "read"; readonly at: number; readonly length: number; readonly fill: number }
  | { readonly kind: "resize"; readonly size: number; readonly preallocation: "off" | "falloc" | "full" }
  | { readonly kind: "together"; readonly lengths: readonly number[]; readonly at: number; readonly fill: number };

const length = fc.oneof(fc.integer({ min: 1, max: 9000 }), fc.integer({ min: 1, max: MOST }), fc.constant(65_536));
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constantFrom("write" as const, "zero" as const, "unmap" as const, "discard" as const, "read" as const),
      at: fc.integer({ min: 0, max: INITIAL_SIZE + MOST }),
      length,
      fill: fc.integer({ min: 1, max: 255 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("resize" as const),
      size: fc.integer({ min: 0, max: 2 * INITIAL_SIZE }),
      preallocation: fc.constantFrom("off", "falloc", "full"),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("together" as const),
      lengths: fc.array(length, { minLength: 2, maxLength: 8 }),
      at: fc.integer({ min: 0, max: INITIAL_SIZE + MOST }),
      fill: fc.integer({ min: 1, max: 200 }),
    }),
  },
);

describe.each(["on", "off"])("random operations, host calls %s", (hostCalls) => {
  let directory: string;
  const before = process.env["COBLOCK_HOST_CALLS"];

  beforeAll(() => {
    directory = fs.mkdtempSync(join(tmpdir(), "file-model-"));
    if (hostCalls === "off") process.env["COBLOCK_HOST_CALLS"] = "off";
  });

  afterAll(() => {
    if (before === undefined) delete process.env["COBLOCK_HOST_CALLS"];
    else process.env["COBLOCK_HOST_CALLS"] = before;
    fs.rmSync(directory, { recursive: true });
  });

  test("agree with an array of bytes", { timeout: 120_000 }, async () => {
    const property = fc.asyncProperty(fc.array(step, { maxLength: 12 }), (steps) => runSteps(join(directory, "file"), steps));
    await fc.assert(property, { numRuns: 120 });
  });
});

async function runSteps(filename: string, steps: readonly Step[]): Promise<void> {
  fs.writeFileSync(filename, pattern(INITIAL_SIZE, 9));
  const model = new Model(filename, (await driver.open({ filename }, bareContext())) as BlockImage);
  try {
    for (const one of steps) {
      await model.apply(one);
      await model.verify();
    }
  } finally {
    await model.image[Symbol.asyncDispose]();
  }
}

class Model {
  readonly filename: string;
  readonly image: BlockImage;
  bytes: Uint8Array;

  constructor(filename: string, image: BlockImage) {
    this.filename = filename;
    this.image = image;
    this.bytes = fs.readFileSync(filename);
  }

  async apply(one: Step): Promise<void> {
    if (one.kind === "resize") {
      await this.image.resize?.(one.size, { preallocation: one.size > this.bytes.length ? one.preallocation : "off", shrink: true });
      this.#reach(one.size);
      this.bytes = this.bytes.slice(0, one.size);
    } else if (one.kind === "together") await this.#together(one);
    else await this.#single(one);
  }

  async #single(one: Extract<Step, { at: number; length: number }>): Promise<void> {
    const grows = one.kind === "write" || one.kind === "zero" || one.kind === "unmap";
    const at = grows ? one.at : Math.min(one.at, this.bytes.length);
    const end = grows ? at + one.length : Math.min(at + one.length, this.bytes.length);
    if (end === at) return;
    if (grows) this.#reach(end);
    if (one.kind === "read") {
      const into = new Uint8Array(end - at);
      await this.image.read(at, into);
      expect(Buffer.compare(into, this.bytes.subarray(at, end))).toBe(0);
    } else if (one.kind === "write") {
      const from = pattern(one.length, one.fill);
      await this.image.write?.(at, from);
      this.bytes.set(from, at);
    } else if (one.kind === "discard") await this.#discard(at, end);
    else {
      await this.image.writeZeroes?.(at, end - at, { mayUnmap: one.kind === "unmap" });
      this.bytes.fill(0, at, end);
    }
  }

  /** All of it, or none. */
  async #discard(at: number, end: number): Promise<void> {
    await this.image.discard?.(at, end - at);
    const now = new Uint8Array(end - at);
    await this.image.read(at, now);
    if (Buffer.compare(now, this.bytes.subarray(at, end)) === 0) return;
    expect(now.every((byte) => byte === 0)).toBe(true);
    this.bytes.fill(0, at, end);
  }

  /** Neighbouring writes and zero writes begun in one turn, the highest first, so that the end is reached before what is below it. */
  async #together(one: Extract<Step, { kind: "together" }>): Promise<void> {
    let at = one.at;
    const pieces = one.lengths.map((pieceLength, index) => ({
      at: (at += pieceLength) - pieceLength,
      length: pieceLength,
      fill: one.fill + index,
    }));
    this.#reach(at);
    const pending = pieces.reverse().map(async (piece) => {
      if (piece.fill % 3 === 0) {
        await this.image.writeZeroes?.(piece.at, piece.length, { mayUnmap: piece.fill % 2 === 0 });
        this.bytes.fill(0, piece.at, piece.at + piece.length);
      } else {
        const from = pattern(piece.length, piece.fill);
        await this.image.write?.(piece.at, from);
        this.bytes.set(from, piece.at);
      }
    });
    const results = await Promise.allSettled(pending);
    expect(results.filter((result) => result.status === "rejected")).toEqual([]);
  }

  async verify(): Promise<void> {
    const size = this.bytes.length;
    expect(this.image.size).toBe(size);
    expect(Buffer.compare(fs.readFileSync(this.filename), this.bytes)).toBe(0);
    const whole = new Uint8Array(size);
    await this.image.read(0, whole);
    expect(Buffer.compare(whole, this.bytes)).toBe(0);
    for (let offset = 0; offset < size;) {
      const run = await this.image.status?.(offset, size - offset);
      expect(run?.length).toBeGreaterThan(0);
      if (run?.kind === "zero") expect(this.bytes.subarray(offset, offset + run.length).every((byte) => byte === 0)).toBe(true);
      offset += run?.length ?? size;
    }
    expect(await this.image.allocatedSize?.()).toBe(fs.statSync(this.filename).blocks * 512);
  }

  #reach(end: number): void {
    if (end <= this.bytes.length) return;
    const longer = new Uint8Array(end);
    longer.set(this.bytes);
    this.bytes = longer;
  }
}

/** Bytes that differ from place to place and are never zero. */
function pattern(size: number, fill: number): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let index = 0; index < size; index++) bytes[index] = 1 + ((index * 7 + fill * 31) % 255);
  return bytes;
}
