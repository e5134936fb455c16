import { expect, test } from "vitest";
import type { BlockImage, ZeroOptions } from "../driver.ts";
import { LabDisk } from "../fixture/lab-disk.ts";
import { filled, labDriver, labOptions, readAll } from "../fixture/lab.ts";
import { BlockGraph } from "../graph.ts";
import type { BlockNode } from "../node.ts";

const UNIT = 512;

/** A node over a disk that says which zeros it was asked for, and compresses by the unit. */
async function opened(more: object): Promise<{ readonly node: BlockNode; readonly disk: LabDisk; readonly zeroes: string[] }> {
  const [disk, zeroes] = [new LabDisk(8 * UNIT), [] as string[]];
  disk.bytes.fill(9);
  const image: Partial<BlockImage> = {
    compressionUnit: UNIT,
    writeCompressed: (offset, from) => disk.write(offset, from),
    writeZeroes: (offset: number, length: number, options?: ZeroOptions) => {
      zeroes.push(`${offset}+${length}${options?.mayUnmap === true ? " unmap" : ""}`);
      disk.bytes.fill(0, offset, offset + length);
    },
  };
  disk.limits = { requestAlignment: UNIT };
  const graph = new BlockGraph({ drivers: [labDriver("disk", "protocol", async () => Object.assign(disk, image))] });
  const node = await graph.open(labOptions({ driver: "disk", ...more }));
  return { node, disk, zeroes };
}

test.each([
  ["on", []],
  ["unmap", [" unmap"]],
])("%s: zeros are zero writes whichever way they come, and data is data", async (detectZeroes, [unmap = ""]) => {
  const { node, disk, zeroes } = await opened({ detectZeroes });
  await node.write(0, filled(UNIT, 0));
  await node.write(UNIT, filled(UNIT, 0), { forceUnitAccess: true });
  await node.writeCompressed(2 * UNIT, filled(UNIT, 0));
  const last = filled(UNIT, 0);
  last[UNIT - 1] = 1;
  await node.write(3 * UNIT, last);
  await node.write(4 * UNIT + 10, filled(20, 0));
  expect(zeroes).toEqual([0, 1, 2].map((index) => `${index * UNIT}+${UNIT}${unmap}`));
  expect(disk.log).toContain("flush ended");
  const seen = await readAll(node);
  expect(seen.subarray(0, 3 * UNIT)).toEqual(filled(3 * UNIT, 0));
  expect(seen.subarray(3 * UNIT, 4 * UNIT)).toEqual(last);
  expect([seen[4 * UNIT + 9], seen[4 * UNIT + 10], seen[4 * UNIT + 29], seen[4 * UNIT + 30]]).toEqual([9, 0, 0, 9]);
});

test("off, which is the default: what is written is written", async () => {
  const { node, zeroes } = await opened({});
  await node.write(0, filled(UNIT, 0));
  expect(zeroes).toEqual([]);
});

test("space is not given back where discards are ignored, and nobody may ask for both", async () => {
  await expect(opened({ detectZeroes: "unmap", discard: "ignore" })).rejects.toMatchObject({ code: "INVALID_OPTION" });
  const { node, zeroes } = await opened({ detectZeroes: "on", discard: "ignore" });
  await node.write(0, filled(UNIT, 0));
  expect(zeroes).toEqual([`0+${UNIT}`]);
});
