/** Images on a web server that is not ours: it ends each connection. */

import { readFileSync, utimesSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { BlockGraph, fileDriver, rawDriver } from "@coblock/core";
import { httpDriver } from "@coblock/http";
import { qcow2Driver } from "@coblock/qcow2";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Peers } from "../nbd/peers.ts";

const peers = new Peers();
const graph = new BlockGraph({ drivers: [fileDriver, rawDriver, qcow2Driver, httpDriver], implicitOpen: "allow" });
let origin: string;

beforeAll(async () => {
  peers.makeChain();
  const port = await freePort();
  origin = `http://127.0.0.1:${port}`;
  void peers.run("busybox", ["httpd", "-f", "-p", `127.0.0.1:${port}`, "-h", peers.folder]).catch(() => {});
  for (let attempt = 0; attempt < 200; attempt++) {
    if (
      await fetch(`${origin}/top.qcow2`, { method: "HEAD" }).then(
        ({ ok }) => ok,
        () => false,
      )
    )
      return;
    await sleep(25);
  }
  throw new Error("busybox httpd did not come up");
});
afterAll(async () => {
  await graph[Symbol.asyncDispose]();
  await peers[Symbol.asyncDispose]();
});

/** It cannot take one by itself and tell which. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

it("a chain reads as qemu-img reads it, in long reads and in many small ones at a time", async () => {
  const node = await graph.open(`${origin}/top.qcow2`, { readOnly: true });
  const whole = Buffer.alloc(node.size);
  await node.read(0, whole);
  await peers.succeed("qemu-img", ["convert", "-O", "raw", `${origin}/top.qcow2`, "theirs.raw"]);
  expect(whole.equals(readFileSync(peers.path("theirs.raw")))).toBe(true);
  const offsets = Array.from({ length: 64 }, (_, index) => index * 300_007);
  const pieces = await Promise.all(
    offsets.map(async (offset) => {
      const piece = Buffer.alloc(5000);
      await node.read(offset, piece);
      return piece.equals(whole.subarray(offset, offset + piece.length));
    }),
  );
  expect(pieces.every(Boolean)).toBe(true);
  await node[Symbol.asyncDispose]();
});

it("a file that changes is noticed, by a server that ignores our conditions", async () => {
  const bytes = readFileSync(peers.path("top.raw"));
  writeFileSync(peers.path("changing.raw"), bytes);
  await using node = await graph.open({ driver: "http", url: `${origin}/changing.raw` }, { readOnly: true });
  await node.read(0, Buffer.alloc(1024 * 1024));
  utimesSync(peers.path("changing.raw"), 1, 1);
  await expect(node.read(1024 * 1024, Buffer.alloc(1024 * 1024))).rejects.toThrow("the file changed on the server while it was open");
});
