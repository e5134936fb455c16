import { expect, test } from "vitest";

import type { BlockImage } from "../driver.ts";
import { bareContext } from "./bare-context.ts";
import { nullDriver } from "./null.ts";
import { driver } from "./null-driver.ts";

async function open(options: { readonly size?: number; readonly readZeroes?: boolean }): Promise<BlockImage> {
  return (await driver.open(options, bareContext())) as BlockImage;
}

test("reads zeros, whatever was written", async () => {
  expect(await nullDriver.load()).toBe(driver);
  await using image = await open({});
  expect(image.size).toBe(2 ** 30);
  await image.write?.(0, Uint8Array.of(1, 2, 3));
  const into = Uint8Array.of(9, 9, 9);
  await image.read(0, into);
  expect([...into]).toEqual([0, 0, 0]);
  expect(await image.status?.(5, 100)).toEqual({ kind: "zero", length: 100 });
  await image.writeZeroes?.(0, 10);
  await image.discard?.(0, 10);
  await image.flush?.();
  expect(await image.allocatedSize?.()).toBe(0);
});

test("with readZeroes false the buffer is left alone, and the bytes count as data", async () => {
  await using image = await open({ size: 10, readZeroes: false });
  const into = Uint8Array.of(9);
  await image.read(0, into);
  expect(into[0]).toBe(9);
  expect(await image.status?.(0, 10)).toEqual({ kind: "data", length: 10 });
});

test("a size that is none", async () => {
  await expect(open({ size: -5 })).rejects.toMatchObject({ code: "INVALID_OPTION" });
});
