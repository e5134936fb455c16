/** Servers that do wrong by seed: what is read is right or an error, nothing hangs, and memory stays within its bounds. */

import { BlockError } from "@coblock/core";
import { expect, test } from "vitest";
import { Dice } from "./test/dice.ts";
import { ServedDisk } from "./test/served-disk.ts";
import type { Fault } from "./test/test-server.ts";

/** More by hand: COBLOCK_HTTP_FUZZ=2000 npx vitest run packages/http/src/fuzz.test.ts */
const CASES = Number(process.env["COBLOCK_HTTP_FUZZ"] ?? 60);
const FIRST_SEED = Number(process.env["COBLOCK_HTTP_SEED"] ?? 1);
const KIB = 1024;
const CACHE_LENGTH = 128 * KIB;

type FaultMaker = (random: Dice, length: number) => Fault;

const FAULTS: readonly [FaultMaker, ...FaultMaker[]] = [
  (random) => ({ kind: "status", status: random.pick([200, 204, 206, 301, 304, 400, 403, 404, 408, 416, 429, 500, 503, 504]) }),
  (random) => ({ kind: "status", status: 503, headers: { "retry-after": String(random.below(100)) } }),
  (random) => ({
    kind: "status",
    status: 302,
    headers: { location: random.pick(["/disk.raw", "/other", "//", "gopher://x", "http://127.0.0.1:1/"]) },
  }),
  (random, length) => ({ kind: "cut", after: random.below(length + 2) - 1 }),
  (random, length) => ({ kind: "stall", after: random.below(length + 2) - 1 }),
  (random) => ({ kind: "range", shift: random.below(9) - 4, extend: random.below(9000) - 8990 }),
  () => ({ kind: "whole" }),
  (random) => ({ kind: "chunked", extra: random.below(2) * random.below(100_000) }),
  (random) => ({ kind: "headers", headers: { "content-encoding": random.pick(["gzip", "br", "identity"]) } }),
  (random) => ({
    kind: "headers",
    headers: { "content-range": random.pick(["bytes 0-0/1", "bytes */7", "bytes 5-4/9", "octets 0-1/2", ""]) },
  }),
  (random) => ({ kind: "headers", headers: { "x-large": "x".repeat(random.below(30_000)) } }),
  (random) => ({
    kind: "raw",
    text: random.pick(["", "HTTP/1.1", "HTTP/1.1 206 OK\r\n\r\n", "HTTP/1.1 206 OK\r\nContent-Length: -1\r\n\r\n", "\0\0\0"]),
  }),
];

test.each(Array.from({ length: CASES }, (_, index) => FIRST_SEED + index))("seed %i", async (seed) => {
  const random = new Dice(seed);
  const length = 1 + random.below(1500 * KIB);
  await using disk = await ServedDisk.start(length);
  const badness = random.below(4);
  const changesAt = random.below(3) === 0 ? 1 + random.below(30) : Number.POSITIVE_INFINITY;
  disk.server.plan = ({ number, length: asked }) => {
    if (number === changesAt) changeFile(disk, random);
    return number > 0 && random.below(10) < badness ? random.pick(FAULTS)(random, Math.max(0, asked)) : undefined;
  };
  const original = disk.server.file.bytes;
  const options = {
    cacheSize: CACHE_LENGTH,
    timeout: 4,
    retries: random.below(4),
    readahead: random.below(64 * KIB),
    connections: 1 + random.below(4),
  };
  // Where nothing is to go wrong, a busy machine must not make it so.
  disk.clock.hurry = 1;
  const node = await disk.open(options);
  if (badness > 0) disk.clock.hurry = 100;
  let right = 0;
  const reader = async (): Promise<void> => {
    let offset = random.below(length);
    for (let reads = 0; reads < 12; reads++) {
      if (random.below(2) === 0 || offset >= length) offset = random.below(length);
      const into = new Uint8Array(Math.min(length - offset, 1 + random.below(random.pick([100, 10_000, 300_000]))));
      const signal = random.below(10) === 0 ? AbortSignal.timeout(random.below(5)) : undefined;
      if (await succeeds(node.read(offset, into, { signal }))) {
        expect(Buffer.from(into).equals(original.subarray(offset, offset + into.length))).toBe(true);
        right++;
      }
      offset += into.length;
      expect(Number(/"cached":(\d+)/.exec(JSON.stringify(disk.graph.inspect()))?.[1])).toBeLessThanOrEqual(CACHE_LENGTH);
    }
  };
  await Promise.all([reader(), reader(), reader()]);
  if (badness === 0 && changesAt === Number.POSITIVE_INFINITY) expect(right).toBeGreaterThan(20);
  await node[Symbol.asyncDispose]();
  await disk.server.idle();
});

/** An error must be one of ours, or the abort that was asked for. */
async function succeeds(work: Promise<void>): Promise<boolean> {
  try {
    await work;
    return true;
  } catch (error) {
    if (!(error instanceof BlockError) && (error as Error).name !== "TimeoutError") throw error;
    return false;
  }
}

/** Other bytes under another name for their state: of another size, or of the same. */
function changeFile({ server }: ServedDisk, random: Dice): void {
  const { bytes } = server.file;
  const length = random.below(2) === 0 ? bytes.length : random.below(2 * bytes.length);
  server.file.bytes = new Uint8Array(length).fill(0xee);
  if (length === bytes.length || random.below(2) === 0) server.file.etag = '"second"';
}
