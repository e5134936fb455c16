import type { DescribedNode } from "@coblock/core";
import { filterDrivers, limitsOf, throttleDriver, ThrottleGroup } from "@coblock/filters";
import { SimulatedClock } from "@coblock/core";
import { driverSuite, type DriverSubject } from "@coblock/testing";
import { describe, it } from "vitest";
import { DRIVERS, qcow2Subject, rawSubject, sampled } from "./subjects.ts";

const unlimited = new ThrottleGroup("free", limitsOf(new Map()), new SimulatedClock());
const drivers = [...DRIVERS, ...filterDrivers, throttleDriver(new Map([["free", unlimited]]))];

/** `below` as it is through a filter, whose options `wrap` gives. */
function filtered(
  name: string,
  below: DriverSubject,
  wrap: (image: DescribedNode) => object,
  changes: Partial<DriverSubject> = {},
): DriverSubject {
  return { ...below, name, drivers, describe: (site) => wrap(below.describe(site)) as DescribedNode, ...changes };
}

const raw = rawSubject("raw");
const qcow2 = qcow2Subject("qcow2");

const SUBJECTS = [
  filtered("blkdebug over raw", raw, (image) => ({ driver: "blkdebug", image })),
  filtered("blkdebug with limits", raw, (image) => ({
    driver: "blkdebug",
    image,
    align: 512,
    maxTransfer: 4096,
    optWriteZero: 1024,
    maxWriteZero: 8192,
  })),
  filtered("blkdebug over qcow2", qcow2, (image) => ({ driver: "blkdebug", image })),
  filtered("throttle over qcow2", qcow2, (file) => ({ driver: "throttle", throttleGroup: "free", file })),
  filtered("copy-on-read over qcow2", qcow2, (file) => ({ driver: "copy-on-read", file }), {
    // It cannot be opened read-only, as with QEMU: reading writes.
    describe: (site, readOnly) => (readOnly === true ? qcow2.describe(site) : { driver: "copy-on-read", file: qcow2.describe(site) }),
  }),
  filtered("quorum of one", raw, (child) => ({ driver: "quorum", children: [child], voteThreshold: 1 }), { resizes: "none" }),
  filtered("compress over qcow2", qcow2, (file) => ({ driver: "compress", file })),
  filtered("qcow2 over preallocate", qcow2, (image) => ({
    ...image,
    file: { driver: "preallocate", file: (image as { readonly file?: unknown }).file, preallocSize: 8192, preallocAlign: 4096 },
  })),
].map(sampled);

describe("conformance of filters", () => {
  for (const { name, run } of SUBJECTS.flatMap(driverSuite)) it(name, run);
});
