/** The holes of an image that was preallocated, as its block status tells them while it is used. */

import { closeSync, openSync, readSync, writeSync } from "node:fs";
import type { BlockGraph, BlockNode } from "@coblock/core";
import { expect, it } from "vitest";
import { hostGraph, TemporaryDirectory } from "../test/images.ts";

const MIB = 2 ** 20;

function create(graph: BlockGraph, filename: string): Promise<void> {
  return graph.create({ driver: "qcow2", filename, size: 4 * MIB, values: { preallocation: "metadata" } });
}

/** Without the last megabyte: the file's last bytes are stored, so that it has its length. */
async function runs(disk: BlockNode): Promise<string[]> {
  const found: string[] = [];
  for await (const { kind, length, holeBelow } of disk.extents({ length: 3 * MIB }))
    found.push(`${kind}${holeBelow === true ? " hole" : ""} ${length}`);
  return found;
}

it("follow what is written, and are none of what reads as zeros anyway", async () => {
  using folder = new TemporaryDirectory();
  const file = folder.file("image");
  await using graph = hostGraph();
  await create(graph, file);
  await using disk = await graph.open(file, { driver: "qcow2" });
  expect(await runs(disk)).toEqual([`zero hole ${3 * MIB}`]);
  await disk.write(MIB, Buffer.alloc(65_536, 1));
  await disk.writeZeroes(2 * MIB, MIB);
  expect(await runs(disk)).toEqual([`zero hole ${MIB}`, "data 65536", `zero hole ${MIB - 65_536}`, `zero ${MIB}`]);
});

/** In place, so that the holes stay: 8 bytes at `at`, or where the 8 bytes there lead to. */
function damage(file: string, at: number, value: bigint, { follow }: { readonly follow: boolean }): void {
  const bytes = Buffer.alloc(8);
  const fd = openSync(file, "r+");
  readSync(fd, bytes, 0, 8, at);
  const place = follow ? Number(bytes.readBigUInt64BE()) : at;
  bytes.writeBigUInt64BE(value);
  writeSync(fd, bytes, 0, 8, place);
  closeSync(fd);
}

/** Where the header has the place of the refcount table. */
const REFCOUNT_TABLE_AT = 48;

it.each([
  ["whole", undefined, `zero hole ${3 * MIB}`],
  ["damaged: an entry of their table leads behind the file", { value: 2n ** 40n, follow: true }, `data ${3 * MIB}`],
  ["damaged: an entry of their table is none", { value: 0n, follow: true }, `data ${3 * MIB}`],
  ["damaged: their table lies behind the file", { value: 2n ** 40n, follow: false }, `data ${3 * MIB}`],
])("are known by refcounts, which are %s; the disk reads in any case", async (_what, edit, run) => {
  using folder = new TemporaryDirectory();
  const file = folder.file("image");
  await using graph = hostGraph();
  await create(graph, file);
  if (edit !== undefined) damage(file, REFCOUNT_TABLE_AT, edit.value, edit);
  await using disk = await graph.open(file, { driver: "qcow2", readOnly: true });
  expect(await runs(disk)).toEqual([run]);
  const bytes = Buffer.alloc(65_536, 1);
  await disk.read(0, bytes);
  expect(bytes.every((byte) => byte === 0)).toBe(true);
});
