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

describe("repairs that are not there yet", () => {
  it.each(DAMAGES)("%s.qcow2 is refused and stays as it is", async (damage) => {
    const path = bench.path(`${damage}.qcow2`);
    const before = readFileSync(path);
    const { exitCode, stdout, stderr } = await bench.ours(["check", "-r", "all", `@${damage}.qcow2`]);
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
    expect(stderr).toMatch(/^coblock: [^\n]+\n$/);
    expect(readFileSync(path).equals(before)).toBe(true);
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
