/** Serves an overlay on a base image over NBD, and copies it with nbdcopy, or with our own client where that is not installed. */

import { execFile } from "node:child_process";
import { resolve } from "node:path";
import { promisify } from "node:util";
import { BlockGraph, copyDisk, fileDriver, rawDriver } from "@coblock/core";
import { nbdDriver, NbdServer } from "@coblock/nbd";
import { qcow2Driver } from "@coblock/qcow2";

await using graph = new BlockGraph({ drivers: [fileDriver, rawDriver, qcow2Driver, nbdDriver], implicitOpen: "allow" });
await graph.create({ driver: "qcow2", filename: "base.qcow2", size: 64 * 1024 * 1024 });
await graph.create({
  driver: "qcow2",
  filename: "overlay.qcow2",
  size: 64 * 1024 * 1024,
  backing: { filename: "base.qcow2", format: "qcow2" },
});
{
  await using base = await graph.open("base.qcow2");
  await base.write(0, Buffer.alloc(1024 * 1024, "base "));
}
await using overlay = await graph.open("overlay.qcow2");
await overlay.write(4096, Buffer.from("overlay"));
await using server = await NbdServer.start({
  listen: { path: resolve("disk.sock") },
  exports: [{ name: "disk", description: "a chain", node: overlay, allocationDepth: true }],
});
console.log(`serving ${server.uri("disk")}`);

const byNbdcopy = await promisify(execFile)("nbdcopy", [server.uri("disk"), "copy.raw"]).then(
  () => true,
  (error: unknown) => {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    return false;
  },
);
if (!byNbdcopy) {
  await graph.create({ driver: "raw", filename: "copy.raw", size: overlay.size });
  await using source = await graph.open({ driver: "nbd", filename: server.uri("disk") }, { readOnly: true });
  await using target = await graph.open("copy.raw", { driver: "raw" });
  await copyDisk({ source, target, targetIsZero: true });
}

await using copy = await graph.open("copy.raw", { driver: "raw", readOnly: true });
const start = Buffer.alloc(5);
await copy.read(0, start);
console.log(`copied ${copy.size} bytes that begin with "${start.toString()}", of which ${await copy.allocatedSize()} take space`);
