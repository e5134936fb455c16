import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileDriver, rawDriver } from "@coblock/core";
import { driverSuite, type DriverSubject, type Site } from "@coblock/testing";
import { afterAll, beforeAll, describe, it } from "vitest";
import { DRIVERS, rawSubject } from "./subjects.ts";

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "conformance-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

function hostFile({ serial }: Site): string {
  return join(folder, String(serial));
}

const memory: DriverSubject = {
  name: "memory",
  drivers: DRIVERS,
  diskSize: 200_001,
  clusterSize: 65_536,
  persistent: false,
  overTestStorage: false,
  discardReads: "zero",
  resizes: "grow and shrink",
  create: () => Promise.resolve(),
  describe: ({ size, content }) => ({ driver: "memory", size, ...(content === undefined ? {} : { bytes: content }) }),
};

const nothing: DriverSubject = {
  ...memory,
  name: "null",
  stores: false,
  resizes: "none",
  describe: ({ size }) => ({ driver: "null", size }),
};

const file: DriverSubject = {
  name: "file",
  drivers: [fileDriver, rawDriver],
  diskSize: 100_001,
  clusterSize: 4096,
  overTestStorage: false,
  discardReads: "zero or same",
  resizes: "grow and shrink",
  create: async (site) => writeFileSync(hostFile(site), new Uint8Array(site.size)),
  describe: (site) => ({ driver: "file", filename: hostFile(site) }),
  remove: async (site) => rmSync(hostFile(site), { force: true }),
};

const rawOverFile: DriverSubject = {
  ...file,
  name: "raw over file",
  describe: (site) => ({ driver: "raw", file: { driver: "file", filename: hostFile(site) } }),
};

const SUBJECTS = [
  memory,
  nothing,
  file,
  rawOverFile,
  rawSubject("raw"),
  rawSubject("raw with an offset", { offset: 1000 }),
  rawSubject("raw with an offset and a size", { offset: 513, size: 20_000 }),
];

describe("conformance of core's drivers", () => {
  for (const { name, run } of SUBJECTS.flatMap(driverSuite)) it(name, run);
});
