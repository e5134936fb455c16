import { describe, it } from "vitest";
import { driverSuite } from "../conformance/driver-suite.ts";
import type { DriverSubject } from "../conformance/subject.ts";
import { testFormatDriver, type TestFormatOptions } from "./test-format-driver.ts";

function subject(name: string, options: Partial<TestFormatOptions>): DriverSubject {
  return {
    name,
    drivers: [testFormatDriver],
    diskSize: 70 * 2048 - 512,
    clusterSize: 2048,
    sizeUnit: 512,
    backing: true,
    compresses: true,
    resizes: "grow",
    discardReads: "zero or same",
    create: ({ graph, size, fileName }) =>
      graph.create({ driver: "test-format", filename: fileName(), size, values: { cluster_size: 2048 } }),
    describe: ({ fileName, backing }) => ({
      driver: "test-format",
      file: fileName(),
      even: `${fileName()}.even`,
      odd: `${fileName()}.odd`,
      backing: backing ?? null,
      ...options,
    }),
  };
}

describe("conformance of the test format", () => {
  for (const { name, run } of driverSuite(subject("in place", {}))) it(name, run);
  for (const { name, run } of driverSuite(subject("copy on write", { copyOnWrite: true }))) it(name, run);
  for (const { name, run } of driverSuite(subject("one allocation at a time", { maxAllocations: 1, cachePages: 1 }))) it(name, run);
});
