/** The drivers as graphs list them; their code is loaded when an image needs it. */

import { BlockError, type BlockDriver, type DriverEntry } from "@coblock/core";
import type { ThrottleGroup } from "./throttle/throttle-group.ts";

/** `blkdebug:rules.conf:disk.qcow2`; the name of the file of rules may be empty. */
export const blkdebugDriver: DriverEntry = {
  name: "blkdebug",
  kind: "filter",
  parseFileName: (name) => {
    const [, config, image] = /^blkdebug:([^:]*):(.*)$/s.exec(name) ?? [];
    if (image === undefined) throw new BlockError("INVALID_OPTION", "blkdebug requires both config file and image path");
    return config === "" ? { image } : { config, image };
  },
  load: async () => (await import("./blkdebug/blkdebug-driver.ts")).driver,
};

/** `blkverify:disk.raw:disk.qcow2`. */
export const blkverifyDriver: DriverEntry = {
  name: "blkverify",
  kind: "filter",
  parseFileName: (name) => {
    const [, raw, test] = /^blkverify:([^:]*):(.*)$/s.exec(name) ?? [];
    if (test === undefined) throw new BlockError("INVALID_OPTION", "blkverify requires raw copy and original image path");
    return { raw: { driver: "raw", file: raw }, test };
  },
  load: async () => (await import("./blkverify/blkverify-driver.ts")).driver,
};

/** What is read from the backing file is written into the image above it. */
export const copyOnReadDriver: DriverEntry = filter("copy-on-read", async () => (await import("./copy-on-read-driver.ts")).driver);
/** Writes are stored compressed where the format below can. */
export const compressDriver: DriverEntry = filter("compress", async () => (await import("./compress-driver.ts")).driver);
/** The file below grows in large steps. */
export const preallocateDriver: DriverEntry = filter("preallocate", async () => (await import("./preallocate-driver.ts")).driver);
/** Several images that hold the same bytes: reads are a vote, writes go to all. */
export const quorumDriver: DriverEntry = filter("quorum", async () => (await import("./quorum/quorum-driver.ts")).driver);
/** Reads as zeros or as nothing, and forgets what is written. */
export const nullCoDriver: DriverEntry = nothing("null-co");
/** `null-co` under QEMU's other name. */
export const nullAioDriver: DriverEntry = nothing("null-aio");

/** All that need nothing but options. */
export const filterDrivers: readonly DriverEntry[] = [
  blkdebugDriver,
  blkverifyDriver,
  compressDriver,
  copyOnReadDriver,
  nullAioDriver,
  nullCoDriver,
  preallocateDriver,
  quorumDriver,
];

/** Images name one of `groups`, by their `throttleGroup`. */
export function throttleDriver(groups: ReadonlyMap<string, ThrottleGroup>): DriverEntry {
  return filter("throttle", async () => (await import("./throttle/throttle-driver.ts")).throttleOver(groups));
}

function filter(name: string, load: () => Promise<BlockDriver>): DriverEntry {
  return { name, kind: "filter", load };
}

function nothing(name: "null-co" | "null-aio"): DriverEntry {
  return {
    name,
    kind: "protocol",
    parseFileName: () => ({}),
    load: async () => (await import("./null-driver.ts")).nullDriver(name),
  };
}
