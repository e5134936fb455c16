import { deflateRawSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { loadHostCodecs } from "./codec-calls.ts";

const { deflate } = await loadHostCodecs();

/** Lines that differ from unit to unit, and compress. */
function unitOf(index: number, length: number): Uint8Array {
  const line = `unit ${index}, and what it holds is not to be taken for that of another\n`;
  return Buffer.from(line.repeat(Math.ceil(length / line.length))).subarray(0, length);
}

describe.runIf(deflate !== undefined)("deflate of the host", () => {
  test.each([4096, 64 * 1024, 128 * 1024])("inflates more units of %i bytes at a time than the pool takes", async (length) => {
    const units = Array.from({ length: 40 }, (_, index) => unitOf(index, length));
    const read = await Promise.all(
      units.map(async (unit) => {
        const into = new Uint8Array(length);
        const count = await deflate?.decompress(deflateRawSync(unit), into);
        return { count, isRight: Buffer.compare(into, unit) === 0 };
      }),
    );
    expect(read).toEqual(units.map(() => ({ count: length, isRight: true })));
  });

  test("one that is cut short among others answers how much there was, wherever it is worked on", async () => {
    const unit = unitOf(1, 64 * 1024);
    const stored = deflateRawSync(unit);
    const counts = await Promise.all(
      Array.from({ length: 30 }, async (_, index) => {
        const from = index % 2 === 0 ? stored : stored.subarray(0, 40);
        return await deflate?.decompress(from, new Uint8Array(unit.length));
      }),
    );
    for (const [index, count] of counts.entries())
      if (index % 2 === 0) expect(count).toBe(unit.length);
      else expect(count).toBeLessThan(unit.length);
  });
});
