/** Many requests at once on QED images: QEMU finds no error in what they leave behind, and reads what they wrote. */

import { writeFileSync } from "node:fs";
import { BlockGraph, type BlockNode, fileDriver, rawDriver } from "@coblock/core";
import { qedDriver } from "@coblock/qed";
import { SeededRandom } from "@coblock/testing";
import { afterAll, expect, it } from "vitest";
import { Workbench } from "./workbench.ts";

const REQUESTS = 64;
const ROUNDS = 4;
const MIB = 1024 * 1024;

const bench = new Workbench();
afterAll(() => bench[Symbol.dispose]());

/** One request within its own part of the disk, which no other of the round touches, though they share clusters; done to the model too. */
async function request(
  disk: BlockNode,
  model: Buffer,
  part: { readonly start: number; readonly length: number },
  random: SeededRandom,
): Promise<void> {
  const below = (limit: number): number => Math.floor(random.next() * limit);
  const offset = part.start + below(part.length - 1);
  const length = 1 + below(part.start + part.length - offset);
  switch (below(6)) {
    case 0: {
      const found = Buffer.alloc(length, 0xee);
      const expected = Buffer.from(model.subarray(offset, offset + length));
      await disk.read(offset, found);
      expect(found.equals(expected), `${length} bytes at ${offset}`).toBe(true);
      return;
    }
    case 1:
      model.fill(0, offset, offset + length);
      return disk.writeZeroes(offset, length);
    case 2:
      return disk.discard(offset, length);
    case 3:
      return disk.flush();
    default: {
      const bytes = Buffer.alloc(length, 1 + below(255));
      bytes.copy(model, offset);
      return disk.write(offset, bytes);
    }
  }
}

const GEOMETRIES = [
  "cluster_size=4k,table_size=2",
  "cluster_size=4k,table_size=16",
  "cluster_size=64k,table_size=4",
  "cluster_size=1M,table_size=2",
];
const CASES = GEOMETRIES.flatMap((options, index) => [false, true].map((backed) => ({ options, backed, seed: 100 + index })));

it.each(CASES)("$options, backing $backed (seed $seed)", async ({ options, backed, seed }) => {
  const random = new SeededRandom(seed);
  const size = 6 * MIB + 512 * Math.floor(random.next() * 100);
  const model = Buffer.alloc(size);
  if (backed) {
    model.fill(0xb5, 0, size - MIB);
    writeFileSync(bench.path("below"), model.subarray(0, size - MIB));
  }
  bench.qemuImg("create", "-q", "-f", "qed", "-o", options, ...(backed ? ["-b", "below", "-F", "raw"] : []), "@image.qed", String(size));
  {
    await using graph = new BlockGraph({ drivers: [fileDriver, rawDriver, qedDriver], implicitOpen: "allow" });
    await using disk = await graph.open({ driver: "qed", file: bench.path("image.qed"), l2CacheSize: 0 });
    for (let round = 0; round < ROUNDS; round++) {
      const length = Math.floor(size / REQUESTS);
      const parts = Array.from({ length: REQUESTS }, (_, index) => ({ start: index * length, length }));
      const outcomes = await Promise.allSettled(parts.map((part) => request(disk, model, part, random)));
      for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
    }
  }
  writeFileSync(bench.path("model"), model);
  expect(bench.theirs(["check", "-f", "qed", "@image.qed"])).toMatchObject({ exitCode: 0, stderr: "" });
  expect(bench.theirs(["compare", "-f", "qed", "-F", "raw", "@image.qed", "@model"])).toMatchObject({
    exitCode: 0,
    stdout: "Images are identical.\n",
  });
});
