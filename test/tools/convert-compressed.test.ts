/** Images of many compressed clusters, through the bundle and the threads that it starts for them, both ways beside the real tool. */

import { spawnSync } from "node:child_process";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SeededRandom } from "@coblock/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Workbench } from "./workbench.ts";

const COMMAND = join(import.meta.dirname, "../../packages/cli/bin/coblock");
const MIB = 1024 * 1024;
const bench = new Workbench();

beforeAll(() => writeFileSync(bench.path("source"), mixed(12 * MIB)));
afterAll(() => bench[Symbol.dispose]());

/** Lines that differ, and noise, in runs that fit no cluster. */
function mixed(length: number): Buffer {
  const random = new SeededRandom(11);
  const parts: Buffer[] = [];
  for (let total = 0; total < length;) {
    const lines = Array.from({ length: 1 + random.below(9000) }, (_, index) => `${index} ${random.below(1e9)} of a log that is written\n`);
    const noise = Buffer.from(Array.from({ length: random.below(100_000) }, () => random.below(256)));
    parts.push(Buffer.from(lines.join("")), noise);
    total += lines.join("").length + noise.length;
  }
  return Buffer.concat(parts).subarray(0, length);
}

function ours(...words: readonly string[]): void {
  const { status, stderr } = spawnSync(COMMAND, words, { encoding: "utf8", timeout: 60_000 });
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
}

describe.each(["zlib", "zstd"])("%s", (type) => {
  it.each(["4k", "64k", "256k"])("clusters of %s, written and read", (cluster) => {
    const options = `compression_type=${type},cluster_size=${cluster}`;
    const [source, mine, theirs, back] = [bench.path("source"), bench.path("mine"), bench.path("theirs"), bench.path("back")];
    ours("convert", "-c", "-f", "raw", "-O", "qcow2", "-o", options, source, mine);
    bench.qemuImg("check", "-q", mine);
    bench.qemuImg("compare", "-q", "-f", "qcow2", "-F", "raw", mine, source);
    bench.qemuImg("convert", "-c", "-f", "raw", "-O", "qcow2", "-o", options, source, theirs);
    ours("convert", "-f", "qcow2", "-O", "raw", theirs, back);
    expect(readFileSync(back).equals(readFileSync(source))).toBe(true);
    expect(statSync(mine).size).toBeLessThan(1.01 * statSync(theirs).size);
  });

  it("a cluster that is damaged among many is told of, and nothing hangs", () => {
    const damaged = bench.path("damaged");
    bench.qemuImg("convert", "-c", "-f", "raw", "-O", "qcow2", "-o", `compression_type=${type}`, bench.path("source"), damaged);
    const bytes = readFileSync(damaged);
    // Behind the tables, in the midst of what is compressed.
    bytes.fill(0xff, 2 * MIB, 2 * MIB + 64 * 1024);
    writeFileSync(damaged, bytes);
    const words = ["convert", "-f", "qcow2", "-O", "raw", damaged, bench.path("back")];
    const { status, stderr } = spawnSync(COMMAND, words, { encoding: "utf8", timeout: 60_000 });
    expect(status).toBe(1);
    expect(stderr).toMatch(/the compressed cluster at offset 0x[0-9a-f]+ cannot be read: it decompresses to \d+ bytes instead of 65536/);
  });
});
