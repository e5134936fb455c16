import { expect, test } from "vitest";

import { Geometry } from "./geometry.ts";

const header = { features: 0n, compatFeatures: 0n, autoclearFeatures: 0n, imageSize: 0, backingNameOffset: 0, backingNameLength: 0 };

test("sizes follow from the header, exact up to the largest", () => {
  const usual = new Geometry({ ...header, clusterSize: 65536, tableClusters: 4, headerClusters: 2, l1Offset: 131072 });
  expect(usual).toMatchObject({ headerLength: 131072, tableLength: 262144, tableEntries: 32768, tableSpan: 2 ** 31 });
  const largest = new Geometry({ ...header, clusterSize: 2 ** 26, tableClusters: 16, headerClusters: 63, l1Offset: 2 ** 32 });
  expect(largest).toMatchObject({ headerLength: 63 * 2 ** 26, tableLength: 2 ** 30, tableEntries: 2 ** 27, tableSpan: 2 ** 53 });
});

test("clusters are aligned, behind the header, and whole before the end of the file", () => {
  const geometry = new Geometry({ ...header, clusterSize: 4096, tableClusters: 2, headerClusters: 3, l1Offset: 3 * 4096 });
  const end = 10 * 4096;
  expect(geometry.problemWith(3 * 4096, 7, end)).toBeUndefined();
  expect(geometry.problemWith(3 * 4096, 8, end)).toBe("0x3000, past the end of the file at 0xa000");
  expect(geometry.problemWith(9 * 4096, 1, end)).toBeUndefined();
  expect(geometry.problemWith(10 * 4096, 1, end)).toContain("past the end");
  expect(geometry.problemWith(2 * 4096, 1, end)).toBe("0x2000, inside the header");
  expect(geometry.problemWith(2, 1, end)).toContain("not aligned");
  expect(geometry.problemWith(3 * 4096 + 2048, 1, end)).toContain("not aligned");
  expect(geometry.problemWith(2 ** 64, 1, end)).toContain("past the end");
});
