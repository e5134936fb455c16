/** `check` on sound, leaking and damaged images, with and without repair, against the real qemu-img. */

import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DAMAGES, IMAGES, makeDamaged, makeImages } from "./images.ts";
import { KNOWN_DIFFERENCES } from "./known-differences.ts";
import { wordsOf, Workbench } from "./workbench.ts";

const bench = new Workbench();

beforeAll(() => {
  makeImages(bench);
  makeDamaged(bench);
  makeDamagedQed();
});
afterAll(() => bench[Symbol.dispose]());

/** Repairs work on a copy for each tool. */
async function sameAsTheirs(line: string): Promise<void> {
  const words = wordsOf(line);
  const image = words.at(-1)?.slice(1) ?? "";
  const copy = `copy-${image}`;
  const onCopy = [...words.slice(0, -1), `@${copy}`];
  copyFileSync(bench.path(image), bench.path(copy));
  const theirs = bench.theirs(onCopy);
  copyFileSync(bench.path(image), bench.path(copy));
  const ours = await bench.ours(onCopy);
  const [expected, got] = [theirs, ours].map(({ exitCode, stdout }) => ({ exitCode, stdout }));
  if (KNOWN_DIFFERENCES.some((known) => known.words === line)) expect(got).not.toEqual(expected);
  else expect(got).toEqual(expected);
}

const SOUND = IMAGES.filter((name) => name.includes(".") && !["longer.qcow2"].includes(name));

describe("sound images", () => {
  it.each(SOUND)("%s", async (name) => {
    await sameAsTheirs(`check @${name}`);
    await sameAsTheirs(`check --output=json @${name}`);
    await sameAsTheirs(`check -q @${name}`);
  });
});

describe("damaged images", () => {
  it.each([...DAMAGES.map((name) => `${name}.qcow2`), "wrong-entry.qed", "leak.qed"])("%s", async (name) => {
    await sameAsTheirs(`check @${name}`);
    await sameAsTheirs(`check --output=json @${name}`);
    await sameAsTheirs(`check -q @${name}`);
  });
  it.each(["wrong-entry.qed", "leak.qed"])("%s, repaired", async (name) => {
    await sameAsTheirs(`check -r leaks @${name}`);
    await sameAsTheirs(`check -r leaks --output=json @${name}`);
    await sameAsTheirs(`check -r all @${name}`);
    await sameAsTheirs(`check -r all --output=json @${name}`);
  });
});

describe("--explain", () => {
  it("says for each finding what it means, what the repair does, and what could be lost", async () => {
    const { exitCode, stdout, stderr } = await bench.ours(wordsOf("check --explain @leak.qed"));
    expect(stderr.split("\n")).toEqual([
      expect.stringMatching(/leaked cluster/),
      "    what it means: Nothing refers to this space.",
      "    repair: None: copy the image.",
      "    risk: None, but for the space.",
      "",
    ]);
    expect({ exitCode, stdout }).toEqual(
      await bench.ours(wordsOf("check @leak.qed")).then(({ exitCode: code, stdout: text }) => ({ exitCode: code, stdout: text })),
    );
  });
});

describe("--dry-run", () => {
  it("says what a repair would do, with the exit code of the image as it is", async () => {
    for (const [image, code] of [
      ["leak.qcow2", 3],
      ["copied-flag.qcow2", 2],
      ["wrong-entry.qed", 2],
    ] as const) {
      const before = readFileSync(bench.path(image));
      const { exitCode, stdout } = await bench.ours(wordsOf(`check -r all --dry-run @${image}`));
      expect({ image, exitCode }).toEqual({ image, exitCode: code });
      expect(stdout).toMatch(
        /^The following inconsistencies would be repaired:\n\n {4}\d leaked clusters\n {4}\d corruptions\n\nAfterwards:\n/,
      );
      expect(readFileSync(bench.path(image)).equals(before)).toBe(true);
    }
  });

  it("needs to know which repair", async () => {
    const { exitCode, stderr } = await bench.ours(wordsOf("check --dry-run @leak.qcow2"));
    expect({ exitCode, stderr }).toEqual({ exitCode: 1, stderr: "coblock: --dry-run tells what a repair would do: say which with -r\n" });
  });
});

function makeDamagedQed(): void {
  const sound = readFileSync(bench.path("alone.qed"));
  const wrong = Buffer.from(sound);
  const l2Offset = Number(wrong.readBigUInt64LE(Number(wrong.readBigUInt64LE(40))));
  wrong.writeBigUInt64LE(0x1234_5678n, l2Offset);
  writeFileSync(bench.path("wrong-entry.qed"), wrong);
  writeFileSync(bench.path("leak.qed"), Buffer.concat([sound, Buffer.alloc(3 * 16 * 1024)]));
}
