import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { afterEach, beforeEach, expect, test } from "vitest";
import { BlockError } from "../errors.ts";
import { LabDisk } from "../fixture/lab-disk.ts";
import { openDisk, settled } from "../fixture/lab.ts";

const seen: [string, unknown][] = [];
const onStart = (message: unknown): void => void seen.push(["start", message]);
const onEnd = (message: unknown): void => void seen.push(["end", message]);

beforeEach(() => {
  seen.length = 0;
  subscribe("coblock:request:start", onStart);
  subscribe("coblock:request:end", onEnd);
});
afterEach(() => {
  unsubscribe("coblock:request:start", onStart);
  unsubscribe("coblock:request:end", onEnd);
});

test("every request is traced at its start and its end, also one that completes at once", async () => {
  const disk = new LabDisk(4096);
  const node = await openDisk(disk);
  await node.read(0, new Uint8Array(512));
  const read = { node: node.name, kind: "read", offset: 0, length: 512 };
  expect(seen).toEqual([
    ["start", read],
    ["end", read],
  ]);
  seen.length = 0;
  disk.holds = () => true;
  const write = node.write(512, new Uint8Array(100));
  await settled();
  const written = { node: node.name, kind: "write", offset: 512, length: 100 };
  expect(seen).toEqual([["start", written]]);
  disk.release();
  await write;
  expect(seen).toEqual([
    ["start", written],
    ["end", written],
  ]);
  seen.length = 0;
  disk.holds = () => false;
  await node.writeZeroes(0, 10);
  await node.discard(0, 512);
  await node.flush();
  expect(seen.filter(([event]) => event === "end").map(([, message]) => (message as { readonly kind: string }).kind)).toEqual([
    "write zeroes",
    "discard",
    "flush",
  ]);
});

test.each([true, false])("a failure is told at the end (at once: %s)", async (synchronous) => {
  const disk = new LabDisk(4096);
  const node = await openDisk(disk);
  const failure = new BlockError("IO", "no");
  disk.synchronous = synchronous;
  disk.fails = () => failure;
  await expect(node.read(0, new Uint8Array(1))).rejects.toBe(failure);
  expect(seen.at(-1)).toEqual(["end", { node: node.name, kind: "read", offset: 0, length: 1, error: failure }]);
});
