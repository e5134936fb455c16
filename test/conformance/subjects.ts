/** The drivers of Coblock as subjects of the conformance suite, and how they are stacked. */

import { type DriverEntry, memoryDriver, nullDriver, rawDriver } from "@coblock/core";
import { luksDriver } from "@coblock/luks";
import { qcow2Driver, type Qcow2Options } from "@coblock/qcow2";
import { qedDriver } from "@coblock/qed";
import { type DriverSubject, testFormatDriver } from "@coblock/testing";

export const DRIVERS: readonly DriverEntry[] = [memoryDriver, nullDriver, rawDriver, qedDriver, qcow2Driver, luksDriver, testFormatDriver];

/** `COBLOCK_CONFORMANCE=all` tries of every subject all that the suite can try, which takes minutes. */
const TRIES_ALL = process.env["COBLOCK_CONFORMANCE"] === "all";

/** A subject that another one is much like: where the suite tries every moment, it tries a third of them. */
export function sampled(subject: DriverSubject): DriverSubject {
  return TRIES_ALL ? subject : { ...subject, sampled: true };
}

/** Raw over the suite's storage. */
export function rawSubject(name: string, window: { readonly offset?: number; readonly size?: number } = {}): DriverSubject {
  const { offset = 0, size } = window;
  return {
    name,
    drivers: DRIVERS,
    diskSize: size ?? 20_001,
    clusterSize: 4096,
    discardReads: "anything",
    tearsSectors: offset % 512 !== 0,
    resizes: size === undefined ? "grow and shrink" : "none",
    create: async (site) => site.storage.put(site.fileName(), new Uint8Array(offset + site.size + (size === undefined ? 0 : 1000))),
    describe: (site) => ({
      driver: "raw",
      file: site.fileName(),
      ...(offset > 0 ? { offset } : {}),
      ...(size === undefined ? {} : { size: site.size }),
    }),
  };
}

/** QED with the smallest clusters and tables: one table covers 4 MiB of the disk, so that it has two. */
export function qedSubject(name: string, options: { readonly l2CacheSize?: number } = {}): DriverSubject {
  const clusterSize = 4096;
  return {
    name,
    drivers: DRIVERS,
    diskSize: 1030 * clusterSize - 512,
    clusterSize,
    sizeUnit: 512,
    backing: true,
    resizes: "grow",
    create: ({ graph, size, fileName }) =>
      graph.create({ driver: "qed", filename: fileName(), size, values: { cluster_size: clusterSize, table_size: 2 } }),
    describe: ({ fileName, backing }) => ({ driver: "qed", file: fileName(), backing: backing ?? null, ...options }),
  };
}

export interface Qcow2Variant {
  /** Options of `create`. */
  readonly values?: Readonly<Record<string, string | number | boolean>>;
  /** Options of `open`. */
  readonly options?: Omit<Qcow2Options, "file" | "backing" | "dataFile">;
  /** Guest data is in a second file. */
  readonly dataFile?: boolean;
  /** LUKS, with the shortest keys: opening it is most of what its cases take. */
  readonly encrypted?: boolean;
}

/** LUKS as a format of its own. What is new on such a disk may read as anything: it is made to read as zeros first. */
export function luksSubject(name: string): DriverSubject {
  const secrets = { sec0: "correct horse" };
  const describe: DriverSubject["describe"] = ({ fileName }) => ({ driver: "luks", file: fileName(), keySecret: "sec0" });
  return {
    name,
    drivers: DRIVERS,
    secrets,
    opensSlowly: true,
    resizes: "to anything",
    diskSize: 20_480,
    clusterSize: 4096,
    sizeUnit: 512,
    create: async (site) => {
      const { graph, size, fileName } = site;
      const values = { "key-secret": "sec0", "cipher-alg": "aes-128", "cipher-mode": "ctr", "iter-time": 0 };
      await graph.create({ driver: "luks", filename: fileName(), size, values });
      await using disk = await graph.open(describe(site));
      await disk.writeZeroes(0, size);
    },
    describe,
  };
}

const QUICK_LUKS = {
  "encrypt.format": "luks",
  "encrypt.key-secret": "sec0",
  "encrypt.cipher-alg": "aes-128",
  "encrypt.cipher-mode": "ctr",
  "encrypt.iter-time": 0,
};

/** qcow2 with clusters of 512 bytes where nothing else is said: one L2 table covers 32 KiB of the disk, one refcount block 128 KiB of the file. */
export function qcow2Subject(
  name: string,
  { values = {}, options = {}, dataFile = false, encrypted = false }: Qcow2Variant = {},
): DriverSubject {
  const clusterSize = Number(values["cluster_size"] ?? 512);
  return {
    name,
    drivers: DRIVERS,
    diskSize: Math.max(400 * 512, 10 * clusterSize - 512),
    clusterSize,
    sizeUnit: 512,
    // Metadata that is preallocated hides a backing file.
    backing: !dataFile && values["preallocation"] === undefined,
    compresses: !dataFile && !encrypted,
    ...(encrypted ? { secrets: { sec0: "correct horse" }, opensSlowly: true } : {}),
    resizes: "grow",
    create: ({ graph, size, fileName }) =>
      graph.create({
        driver: "qcow2",
        filename: fileName(),
        size,
        values: {
          cluster_size: clusterSize,
          ...(dataFile ? { data_file: fileName("data") } : {}),
          ...(encrypted ? QUICK_LUKS : {}),
          ...values,
        },
      }),
    describe: ({ fileName, backing }) => ({
      driver: "qcow2",
      file: fileName(),
      ...(dataFile ? { dataFile: fileName("data") } : {}),
      ...(encrypted ? { encrypt: { keySecret: "sec0" } } : {}),
      backing: backing ?? null,
      ...options,
    }),
  };
}

export function testFormatSubject(name: string): DriverSubject {
  return {
    name,
    drivers: DRIVERS,
    diskSize: 70 * 2048 - 512,
    clusterSize: 2048,
    sizeUnit: 512,
    backing: true,
    compresses: true,
    resizes: "grow",
    create: ({ graph, size, fileName }) =>
      graph.create({ driver: "test-format", filename: fileName(), size, values: { cluster_size: 2048 } }),
    describe: ({ fileName, backing }) => ({
      driver: "test-format",
      file: fileName(),
      even: `${fileName()}.even`,
      odd: `${fileName()}.odd`,
      backing: backing ?? null,
    }),
  };
}
