import { expect, test } from "vitest";
import { SeededRandom } from "../seeded-random.ts";
import { PagedBytes } from "./paged-bytes.ts";

const PAGE = 16_384;

test.each([1, 2, 3, 4])(
  "any changes of copies and of what they were copied from: each holds what a plain array holds (seed %i)",
  (seed) => {
    const random = new SeededRandom(seed);
    const content = random.bytes(random.below(5 * PAGE));
    let all: { readonly bytes: PagedBytes; model: Uint8Array }[] = [{ bytes: PagedBytes.from(content), model: content.slice() }];
    content.fill(1);
    for (let step = 0; step < 300; step++) {
      const one = random.pick(all);
      const offset = random.pick([random.below(6 * PAGE), PAGE * random.below(6)]);
      const length = random.pick([0, 1, 512, PAGE, 3 * PAGE - 7]);
      switch (random.below(5)) {
        case 0:
          if (all.length === 6) all = all.slice(3);
          all.push({ bytes: one.bytes.copy(), model: one.model.slice() });
          break;
        case 1: {
          const from = random.bytes(length);
          one.bytes.write(offset, from);
          one.model = resized(one.model, Math.max(one.model.length, offset + length));
          one.model.set(from, offset);
          break;
        }
        case 2:
          one.bytes.fill(offset, length, step % 256);
          one.model = resized(one.model, Math.max(one.model.length, offset + length)).fill(step % 256, offset, offset + length);
          break;
        case 3:
          one.bytes.resize(offset);
          one.model = resized(one.model, offset);
          break;
        default: {
          const [seen, expected] = [new Uint8Array(length).fill(9), new Uint8Array(length).fill(9)];
          one.bytes.read(offset, seen);
          expected.set(one.model.subarray(offset, offset + length));
          expect(Buffer.compare(seen, expected)).toBe(0);
        }
      }
      for (const { bytes, model } of all) {
        expect(bytes.length).toBe(model.length);
        expect(Buffer.compare(bytes.toBytes(), model)).toBe(0);
      }
    }
  },
);

test("zeros take no room until they are written to", () => {
  const bytes = PagedBytes.zeros(2 ** 30);
  bytes.write(2 ** 29, Uint8Array.of(1, 2, 3));
  const seen = new Uint8Array(5).fill(9);
  bytes.copy().read(2 ** 29 - 1, seen);
  expect([...seen]).toEqual([0, 1, 2, 3, 0]);
  expect(bytes.length).toBe(2 ** 30);
});

function resized(bytes: Uint8Array, length: number): Uint8Array {
  const copy = new Uint8Array(length);
  copy.set(bytes.subarray(0, length));
  return copy;
}
