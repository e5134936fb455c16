/** `check` of damaged QED images with and without repair: what qemu-img says, its exit code, and the same file afterwards. */

import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { KNOWN_DIFFERENCES } from "./known-differences.ts";
import { type Outcome, wordsOf, Workbench } from "./workbench.ts";

const CLUSTER = 4096;
const L1_OFFSET = CLUSTER;
const NOWHERE = 2n ** 40n;
const FEATURES_OFFSET = 16;
const NEED_CHECK = 2;
const AUTOCLEAR_OFFSET = 32;

/** Damage by name; an image may have several. */
const DAMAGES: Readonly<Record<string, (image: Buffer, l2Offset: number) => void>> = {
  l1: (image) => image.writeBigUInt64LE(NOWHERE, L1_OFFSET + 3 * 8),
  l2: (image, l2Offset) => image.writeBigUInt64LE(NOWHERE, l2Offset + 2 * 8),
  unaligned: (image, l2Offset) => image.writeBigUInt64LE(image.readBigUInt64LE(l2Offset + 6 * 8) + 512n, l2Offset + 6 * 8),
  header: (image, l2Offset) => image.writeBigUInt64LE(2n, l2Offset + 300 * 8),
  twice: (image, l2Offset) => image.writeBigUInt64LE(image.readBigUInt64LE(l2Offset + 4 * 8), l2Offset + 5 * 8),
  table: (image, l2Offset) => image.writeBigUInt64LE(BigInt(l2Offset), L1_OFFSET + 8),
  behind: (image, l2Offset) => image.writeBigUInt64LE(NOWHERE, l2Offset + 1023 * 8),
  leak: (image, l2Offset) => image.writeBigUInt64LE(0n, l2Offset + 8 * 8),
  autoclear: (image) => image.writeUInt8(1, AUTOCLEAR_OFFSET),
  unclean: (image) => image.writeUInt8(NEED_CHECK, FEATURES_OFFSET),
};

const ALONE = Object.keys(DAMAGES).filter((name) => name !== "unclean");
const CASES = ["sound", ...ALONE, "l1-l2", "l2-twice", "l2-leak", "l1-table", "l1-l2-unaligned-header-twice-table-behind-leak"].flatMap(
  (name) => [name, `${name}-unclean`],
);

const bench = new Workbench();

beforeAll(() => {
  bench.qemuImg("create", "-q", "-f", "qed", "-o", "cluster_size=4k,table_size=2", "@base.qed", "16380k");
  bench.qemuIo("base.qed", "qed", "write -P 1 0 40k", "write -P 2 4100k 8k", "write -z 200k 64k", "write -P 3 12M 20k");
  const base = readFileSync(bench.path("base.qed"));
  const l2Offset = Number(base.readBigUInt64LE(L1_OFFSET));
  for (const name of CASES) {
    const image = Buffer.from(base);
    for (const damage of name.split("-")) DAMAGES[damage]?.(image, l2Offset);
    writeFileSync(bench.path(`${name}.qed`), image);
  }
});
afterAll(() => bench[Symbol.dispose]());

type Answer = Pick<Outcome, "exitCode" | "stdout"> & { readonly file: Buffer };

/** What one tool makes of a copy of its own. */
async function answerOf(run: (words: readonly string[]) => Outcome | Promise<Outcome>, words: readonly string[]): Promise<Answer> {
  const image = words.at(-1)?.slice(1) ?? "";
  copyFileSync(bench.path(image), bench.path("copy.qed"));
  const { exitCode, stdout } = await run([...words.slice(0, -1), "@copy.qed"]);
  return { exitCode, stdout, file: readFileSync(bench.path("copy.qed")) };
}

describe("in text, JSON, exit code and in the file itself", () => {
  const repairs = ["", " -r leaks", " -r all"];
  it.each(CASES)("%s", async (name) => {
    for (const line of repairs.flatMap((repair) => [`check${repair} @${name}.qed`, `check${repair} --output=json @${name}.qed`])) {
      const words = wordsOf(line);
      const theirs = await answerOf((all) => bench.theirs(all), words);
      const ours = await answerOf((all) => bench.ours(all), words);
      expect({ line, ...ours, file: [] }).toEqual({ line, ...theirs, file: [] });
      const differs = KNOWN_DIFFERENCES.some((known) => line.startsWith("check -r ") && known.words === `check -r all @${name}.qed`);
      expect(ours.file.equals(theirs.file), `the file after ${line}`).toBe(!differs);
      if (differs) theirs.file.writeUInt8(NEED_CHECK, FEATURES_OFFSET);
      expect(ours.file.equals(theirs.file)).toBe(true);
    }
  });
});

it("an unclean image with clusters that are used twice is still refused for writing after a repair", async () => {
  copyFileSync(bench.path("twice-unclean.qed"), bench.path("copy.qed"));
  expect((await bench.ours(wordsOf("check -r all @copy.qed"))).exitCode).toBe(2);
  const { exitCode, stderr } = await bench.ours(wordsOf("resize @copy.qed 32M"));
  expect({ exitCode, stderr }).toEqual({
    exitCode: 1,
    stderr: expect.stringMatching(/was not closed cleanly and has 1 errors/) as unknown,
  });
});

it("each finding is explained", async () => {
  const { stderr } = await bench.ours(wordsOf("check --explain @l1-l2-unaligned-header-twice-table-behind-leak.qed"));
  const lines = stderr.split("\n").filter((line) => line !== "");
  const findings = lines.filter((line) => !line.startsWith("    "));
  expect(findings.length).toBeGreaterThanOrEqual(8);
  expect(lines.length).toBe(4 * findings.length);
  for (const [place, line] of lines.entries())
    expect(line).toMatch([/^\S/, /^ {4}what it means: ./, /^ {4}repair: ./, /^ {4}risk: ./][place % 4] ?? /^$/);
});
