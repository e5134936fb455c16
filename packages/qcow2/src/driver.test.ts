import { describe, expect, it } from "vitest";
import { qcow2Driver } from "./index.ts";
import { hostGraph, qemuCreate, TemporaryDirectory } from "./test/images.ts";

describe("probing", () => {
  it.each([
    [[0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 3], 100],
    [[0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 2, 9, 9], 100],
    [[0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 1], 0],
    [[0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 4], 100],
    [[0x51, 0x46, 0x49, 0xfb], 0],
    [[0x51, 0x46, 0x49, 0xfa, 0, 0, 0, 3], 0],
    [[], 0],
  ])("%o gives %i", (head, score) => {
    expect(qcow2Driver.probe?.(Uint8Array.from(head), "disk")).toBe(score);
  });
});

it("refuses options that it does not have, by name", async () => {
  using folder = new TemporaryDirectory();
  const file = qemuCreate(folder.file("image"), "1M");
  await using graph = hostGraph();
  const options = { driver: "qcow2", file, prefetch: true } as const;
  await expect(graph.open(options)).rejects.toThrow("has no option 'prefetch'");
});
