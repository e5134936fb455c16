/** The conformance suite over HTTP: files on a web server, read in pages and past them, with and without reading ahead. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rawDriver } from "@coblock/core";
import { httpDriver, type HttpOptions } from "@coblock/http";
import { driverSuite, type DriverSubject, type Site } from "@coblock/testing";
import { afterAll, beforeAll, describe, it } from "vitest";
import { FileServer } from "../http/file-server.ts";

let folder: string;
let server: FileServer;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "conformance-http-"));
  server = await FileServer.start(folder);
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

const nameOf = ({ serial }: Site): string => `${serial}.raw`;

function subject(name: string, options: HttpOptions): DriverSubject {
  return {
    name,
    drivers: [rawDriver, httpDriver],
    diskSize: 400_001,
    clusterSize: 4096,
    writable: false,
    overTestStorage: false,
    create: async (site) => writeFileSync(join(folder, nameOf(site)), site.content ?? new Uint8Array(site.size)),
    describe: (site) => ({ driver: "http", url: server.url(nameOf(site)), ...options }),
    remove: async (site) => rmSync(join(folder, nameOf(site)), { force: true }),
  };
}

const SUBJECTS = [
  subject("http", {}),
  subject("http over one connection, with two pages and nothing ahead", { connections: 1, cacheSize: 8192, readahead: 0 }),
];

describe("conformance of HTTP", () => {
  for (const { name, run } of SUBJECTS.flatMap(driverSuite)) it(name, run);
});
