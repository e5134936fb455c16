/** An NBD server with a disk of one's own in thirty lines: each sector holds its number, and what is written is kept apart. */

import { resolve } from "node:path";
import { BlockGraph, type BlockDriver, type BlockImage, type DriverEntry } from "@coblock/core";
import { nbdDriver, NbdServer } from "@coblock/nbd";

declare module "@coblock/core" {
  interface DriverOptions {
    numbers: { readonly sectors: number };
  }
}

const SECTOR_LENGTH = 512;
const driver: BlockDriver<"numbers"> = {
  name: "numbers",
  kind: "protocol",
  optionNames: ["sectors"],
  open: async ({ sectors }) => numbers(sectors),
};
const numbersDriver: DriverEntry = { name: "numbers", kind: "protocol", load: async () => driver };

function numbers(sectors: number): BlockImage {
  const written = new Map<number, Buffer>();
  const each = (offset: number, bytes: Uint8Array, visit: (sector: number, part: Uint8Array) => void): void => {
    for (let at = 0; at < bytes.length; at += SECTOR_LENGTH) visit((offset + at) / SECTOR_LENGTH, bytes.subarray(at, at + SECTOR_LENGTH));
  };
  const fresh = (sector: number): Buffer => Buffer.alloc(SECTOR_LENGTH, `sector ${sector} `);
  return {
    size: sectors * SECTOR_LENGTH,
    limits: { requestAlignment: SECTOR_LENGTH },
    read: (offset, into) => each(offset, into, (sector, part) => part.set(written.get(sector) ?? fresh(sector))),
    write: (offset, from) => each(offset, from, (sector, part) => written.set(sector, Buffer.from(part))),
    [Symbol.asyncDispose]: async () => written.clear(),
  };
}

await using graph = new BlockGraph({ drivers: [numbersDriver, nbdDriver] });
await using disk = await graph.open({ driver: "numbers", sectors: 2 ** 21 });
await using server = await NbdServer.start({
  listen: { path: resolve("numbers.sock") },
  exports: [{ name: "", node: disk, writable: true }],
});

await using client = await graph.open({ driver: "nbd", filename: server.uri() });
const text = Buffer.alloc(20);
await client.write(1000 * SECTOR_LENGTH + 7, Buffer.from("one thousand"));
await client.read(1000 * SECTOR_LENGTH, text);
console.log(`${server.uri()} has ${client.size} bytes; sector 1000 is now "${text.toString()}"`);
