import { expect, test } from "vitest";

import { InlineOffload } from "./inline-offload.ts";

test("runs work at once and counts it by name", async () => {
  const offload = new InlineOffload();
  let ran = false;
  const running = offload.run("inflate", () => {
    ran = true;
    return 7;
  });
  expect(ran).toBe(true);
  expect(await running).toBe(7);
  expect(await offload.run("inflate", async () => 8)).toBe(8);
  expect(await offload.run("key", () => "k")).toBe("k");
  expect([...offload.counts]).toEqual([
    ["inflate", 2],
    ["key", 1],
  ]);
});

test("what the work throws becomes a rejection", async () => {
  const offload = new InlineOffload();
  const running = offload.run("inflate", () => {
    throw new Error("bad data");
  });
  await expect(running).rejects.toThrow("bad data");
});
