/**
 * A web server over a folder, in a process of its own: ranges of files, and at /sent the bytes that were sent since it was asked last. Each
 * answer ends its connection: on one that is kept, QEMU 7.2 misses answers that come at once, and in half of its runs waits for ever, whatever the server.
 */

import { createReadStream, openSync, readSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { basename, join } from "node:path";

const folder = process.argv[2] ?? ".";
/** Up to here a range is read in one go. */
const SHORT_LENGTH = 4 * 1024 * 1024;
let sent = 0;

const server = createServer((request, response) => {
  if (request.url === "/sent") {
    response.end(String(sent));
    sent = 0;
    return;
  }
  const path = join(folder, basename(request.url ?? ""));
  const { size, mtime } = statSync(path);
  const version = { "last-modified": mtime.toUTCString(), "accept-ranges": "bytes", connection: "close" };
  if (request.method === "HEAD") return void response.writeHead(200, { ...version, "content-length": size }).end();
  const [, first = 0, last = size - 1] = (/^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? []).map(Number);
  const length = Math.min(last + 1, size) - first;
  const range = { "content-range": `bytes ${first}-${first + length - 1}/${size}`, "content-length": length };
  response.writeHead(206, { ...version, ...range });
  if (length > SHORT_LENGTH) {
    createReadStream(path, { start: first, end: first + length - 1 })
      .on("data", (chunk) => (sent += chunk.length))
      .pipe(response);
    return;
  }
  const bytes = Buffer.allocUnsafe(length);
  readSync(descriptorOf(path), bytes, 0, length, first);
  sent += length;
  response.end(bytes);
});
server.listen(0, "127.0.0.1", () => console.log(Object(server.address()).port));

/** @type {Map<string, number>} */
const descriptors = new Map();

/** @param {string} path */
function descriptorOf(path) {
  const known = descriptors.get(path) ?? openSync(path, "r");
  descriptors.set(path, known);
  return known;
}
