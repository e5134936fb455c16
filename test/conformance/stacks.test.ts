import type { DescribedNode } from "@coblock/core";
import { driverSuite, type DriverSubject, type Site } from "@coblock/testing";
import { describe, it } from "vitest";
import { qcow2Subject, qedSubject, rawSubject, sampled, testFormatSubject } from "./subjects.ts";

/** Bytes of a lower image that has to hold an upper one: it cannot grow by being written to. */
const LOWER_SIZE = 4 * 1024 * 1024;

/** The site as the image below or above sees it. */
function siteOf(site: Site, part: string, changes: { readonly size?: number; readonly backing?: DescribedNode | undefined } = {}): Site {
  const { graph, storage, serial } = site;
  const backing = changes.backing ?? site.backing;
  return {
    graph,
    storage,
    serial,
    size: changes.size ?? site.size,
    fileName: (inner) => site.fileName(inner === undefined ? part : `${part}.${inner}`),
    ...(backing === undefined ? {} : { backing }),
  };
}

/** `lower` is an empty layer between `upper` and what the case puts below. */
function overlay(name: string, upper: DriverSubject, lower: DriverSubject): DriverSubject {
  return {
    ...upper,
    name,
    create: async (site) => {
      await lower.create(siteOf(site, "lower"));
      await upper.create(siteOf(site, "upper"));
    },
    describe: (site) => upper.describe(siteOf(site, "upper", { backing: { ...lower.describe(siteOf(site, "lower")), readOnly: true } })),
  };
}

/** The file of `upper` is a disk of `lower`. `upper` has one file and names it `file`. */
function nested(name: string, upper: DriverSubject, lower: DriverSubject): DriverSubject {
  return {
    ...upper,
    name,
    create: async (site) => {
      const { graph } = site;
      const apart = siteOf(site, "apart");
      await upper.create(apart);
      const bytes = site.storage.contentOf(apart.fileName());
      const below = siteOf(site, "lower", { size: LOWER_SIZE });
      await lower.create(below);
      await using disk = await graph.open(lower.describe(below));
      await disk.write(0, bytes);
    },
    describe: (site) => {
      const { backing: _backing, ...below } = siteOf(site, "lower", { size: LOWER_SIZE });
      return { ...upper.describe(site), file: lower.describe(below) } as DescribedNode;
    },
  };
}

const raw = rawSubject("raw");
const qed = qedSubject("qed");
const qcow2 = qcow2Subject("qcow2");
const testFormat = testFormatSubject("test format");

const SUBJECTS = [
  overlay("qcow2 over an empty qed", qcow2, { ...qed, sizeUnit: 512 }),
  overlay("qed over an empty qcow2", { ...qed, diskSize: 300 * 4096 - 512 }, qcow2),
  overlay("test format over an empty qcow2", testFormat, qcow2),
  overlay("qcow2 over an empty test format", qcow2, testFormat),
  overlay("qcow2 over an empty qed over an empty test format", qcow2, overlay("", qed, testFormat)),
  nested("qcow2 in raw", qcow2, raw),
  nested("qcow2 in qcow2", qcow2, qcow2Subject("lower", { values: { cluster_size: 4096 } })),
  nested("qcow2 in qed in raw", qcow2, nested("", { ...qed, diskSize: LOWER_SIZE }, { ...raw, diskSize: 2 * LOWER_SIZE })),
  nested("qcow2 in the test format", qcow2, testFormat),
  nested("qed in raw", { ...qed, diskSize: 300 * 4096 - 512 }, raw),
].map(sampled);

describe("conformance of stacked images", () => {
  for (const { name, run } of SUBJECTS.flatMap(driverSuite)) it(name, run);
});
