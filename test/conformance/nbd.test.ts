/** The conformance suite over NBD: our client at our server, with compact and with extended replies, over one connection and several. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BlockGraph, memoryDriver, rawDriver } from "@coblock/core";
import { nbdDriver, NbdServer } from "@coblock/nbd";
import { driverSuite, type DriverSubject, type Site } from "@coblock/testing";
import { afterAll, beforeAll, describe, it } from "vitest";

let folder: string;
const graph = new BlockGraph({ drivers: [memoryDriver] });
const servers = new Map<number, NbdServer>();

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "conformance-nbd-"));
});
afterAll(async () => {
  for (const server of servers.values()) await server.close();
  await graph[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

function pathOf({ serial }: Site): string {
  return join(folder, `${serial}.sock`);
}

function subject(
  name: string,
  options: { readonly connections?: number; readonly reconnectDelay?: number; readonly minimumBlockSize?: number },
): DriverSubject {
  const { minimumBlockSize = 1, ...client } = options;
  return {
    name,
    drivers: [memoryDriver, rawDriver, nbdDriver],
    diskSize: minimumBlockSize === 1 ? 200_001 : 200_704,
    clusterSize: 65_536,
    sizeUnit: minimumBlockSize,
    overTestStorage: false,
    discardReads: "zero or same",
    create: async (site) => {
      const node = await graph.open({ driver: "memory", size: site.size });
      const exports = [{ name: "disk", node, writable: true, minimumBlockSize }];
      servers.set(site.serial, await NbdServer.start({ listen: { path: pathOf(site) }, exports }));
    },
    describe: (site) => ({ driver: "nbd", path: pathOf(site), export: "disk", ...client }),
    remove: async (site) => {
      await servers.get(site.serial)?.close();
      servers.delete(site.serial);
    },
  };
}

const SUBJECTS = [
  subject("nbd", {}),
  subject("nbd over three connections that come back", { connections: 3, reconnectDelay: 5 }),
  subject("nbd with blocks of 4096 bytes", { minimumBlockSize: 4096 }),
];

describe("conformance of NBD", () => {
  for (const { name, run } of SUBJECTS.flatMap(driverSuite)) it(name, run);
});
