/** Puts a base image on a web server, opens an overlay on its URL, and shows how little is fetched for a read. */

import { open } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { BlockGraph, fileDriver, rawDriver } from "@coblock/core";
import { httpDriver } from "@coblock/http";
import { qcow2Driver } from "@coblock/qcow2";

const MIB = 1024 * 1024;
let served = 0;

/** Any server that knows ranges will do. */
const server = createServer((request, response) => void serve(request, response));
await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/base.qcow2`;

{
  await using graph = new BlockGraph({
    drivers: [fileDriver, rawDriver, qcow2Driver, httpDriver],
    // The overlay names the URL: this program decides that it may be opened.
    implicitOpen: ({ target }) => target === url,
  });

  await graph.create({ driver: "qcow2", filename: "base.qcow2", size: 64 * MIB });
  {
    await using base = await graph.open("base.qcow2");
    await base.write(0, new Uint8Array(32 * MIB).fill(7));
  }
  await graph.create({ driver: "qcow2", filename: "overlay.qcow2", size: 64 * MIB, backing: { filename: url, format: "qcow2" } });

  await using disk = await graph.open("overlay.qcow2");
  await disk.write(5 * MIB, new Uint8Array(4096).fill(1));
  const bytes = new Uint8Array(8192);
  await disk.read(5 * MIB, bytes);
  console.log(`the overlay has ${bytes[0]}, the base on the server ${bytes[4096]}; ${Math.ceil(served / 1024)} KiB were fetched`);
}
server.close();

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  await using file = await open("base.qcow2");
  const { size, mtime } = await file.stat();
  const [, first = 0, last = size - 1] = (/^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? []).map(Number);
  const end = Math.min(last, size - 1);
  const { buffer } = await file.read(Buffer.alloc(end - first + 1), 0, end - first + 1, first);
  served += buffer.length;
  response.writeHead(206, { "content-range": `bytes ${first}-${end}/${size}`, "last-modified": mtime.toUTCString() });
  response.end(buffer);
}
