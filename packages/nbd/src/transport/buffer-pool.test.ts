import { expect, test } from "vitest";
import { BufferPool } from "./buffer-pool.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

test("a buffer that was given back is taken again for what it has room for, headroom beside", () => {
  const pool = new BufferPool(40);
  const first = pool.take(64 * KIB);
  expect(first.length).toBe(64 * KIB + 40);
  pool.give(first);
  expect([pool.take(4 * KIB) === first, pool.take(33 * KIB) === first, pool.take(33 * KIB) === first]).toEqual([false, true, false]);
  expect(pool.take(1).length).toBe(4 * KIB + 40);
});

test("large ones are as long as they must be, and not kept; nor is more than 32 MiB", () => {
  const pool = new BufferPool(0);
  const large = pool.take(5 * MIB);
  expect(large.length).toBe(5 * MIB);
  pool.give(large);
  expect(pool.take(5 * MIB) === large).toBe(false);
  const buffers = Array.from({ length: 9 }, () => pool.take(4 * MIB));
  for (const buffer of buffers) pool.give(buffer);
  const again = Array.from({ length: 9 }, () => pool.take(4 * MIB));
  expect(again.filter((buffer) => buffers.includes(buffer))).toHaveLength(8);
});
