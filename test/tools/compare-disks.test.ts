/** The compare engine: the first difference wherever it is, and failures as failures. */

import { BlockGraph, BlockStatusError, compareDisks, rawDriver, type Comparison, type CompareDisksOptions } from "@coblock/core";
import { TestStorage } from "@coblock/testing";
import { describe, expect, it } from "vitest";

const MIB = 1024 * 1024;
const SIZE = 7 * MIB + 700;

async function compared(
  left: Buffer,
  right: Buffer,
  options: Partial<CompareDisksOptions> = {},
  storage: TestStorage = new TestStorage({ completions: "later" }),
): Promise<Comparison> {
  storage.put("test:left", left);
  storage.put("test:right", right);
  await using graph = new BlockGraph({ drivers: [storage.driver, rawDriver] });
  const one = await graph.open("test:left", { driver: "raw", readOnly: true });
  const other = await graph.open("test:right", { driver: "raw", readOnly: true });
  return await compareDisks({ left: one, right: other, ...options });
}

describe("compareDisks", () => {
  it("finds two equal disks identical", async () => {
    const bytes = Buffer.alloc(SIZE, 3);
    expect(await compared(bytes, Buffer.from(bytes))).toEqual({ kind: "identical" });
    expect(await compared(Buffer.alloc(0), Buffer.alloc(0))).toEqual({ kind: "identical" });
  });

  it.each([0, 1, 511, 512, 524_287, 524_288, MIB, SIZE - 1])(
    "finds the sector of a difference at %i, though another follows",
    async (at) => {
      const left = Buffer.alloc(SIZE, 3);
      const right = Buffer.from(left);
      right[at] = 4;
      right[SIZE - 1] = 4;
      const expected = { kind: "content", offset: at - (at % 512) };
      expect(await compared(left, right)).toEqual(expected);
      expect(await compared(right, left, { parallel: 1 })).toEqual(expected);
    },
  );

  it("lets the longer disk have zeros behind, and nothing else", async () => {
    const short = Buffer.alloc(1000, 3);
    const long = Buffer.alloc(SIZE);
    short.copy(long);
    expect(await compared(short, long)).toEqual({ kind: "identical" });
    expect(await compared(long, short)).toEqual({ kind: "identical" });
    expect(await compared(long, short, { strict: true })).toEqual({ kind: "size" });
    long[2 * MIB] = 1;
    expect(await compared(short, long)).toEqual({ kind: "content", offset: 2 * MIB });
  });

  it("tells its progress", async () => {
    const calls: number[] = [];
    await compared(Buffer.alloc(SIZE), Buffer.alloc(SIZE), { onProgress: (done) => calls.push(done) });
    expect(calls.at(-1)).toBe(SIZE);
  });

  it("reports the k-th failed read of either disk and ends all I/O", async () => {
    const bytes = Buffer.alloc(SIZE, 3);
    for (const file of ["test:left", "test:right"]) {
      for (let after = 0; after < 6; after++) {
        const storage = new TestStorage({ completions: "later", seed: after + 1 });
        storage.fail((operation) => operation.kind === "read" && operation.file === file, { after, times: 1 });
        const error = await compared(bytes, bytes, {}, storage).catch((thrown: unknown) => thrown);
        expect(error).toMatchObject({ code: "IO" });
        expect(error).not.toBeInstanceOf(BlockStatusError);
        expect(storage.inFlight).toBe(0);
      }
    }
  });

  it("ends at an abort", async () => {
    const abort = new AbortController();
    abort.abort(new Error("enough"));
    await expect(compared(Buffer.alloc(SIZE, 1), Buffer.alloc(SIZE, 1), { signal: abort.signal })).rejects.toThrow("enough");
  });
});
