import { expect, it } from "vitest";
import { bitmapBytes } from "./bitmap-size.ts";

const MIB = 1024 * 1024;

it("counts data, table and directory of each bitmap in whole clusters", () => {
  const bitmaps = [
    { name: "b0", granularity: 65_536 },
    { name: "b1", granularity: 131_072 },
  ];
  // As qemu-img measure says of such an image.
  expect(bitmapBytes(bitmaps, { diskSize: 100 * MIB, clusterSize: 65_536 })).toBe(327_680);
});

it("is nothing where there are none", () => {
  expect(bitmapBytes(undefined, { diskSize: MIB, clusterSize: 512 })).toBe(0);
  expect(bitmapBytes([], { diskSize: MIB, clusterSize: 512 })).toBe(0);
});
