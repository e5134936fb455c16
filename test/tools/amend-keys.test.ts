/** `amend` of key slots beside the real tool: the same words on copies of the same image, and then who can open it. */

import { copyFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Outcome, wordsOf, Workbench } from "./workbench.ts";

const bench = new Workbench();

const PASSPHRASES = { sec0: "open", sec1: "second", sec2: "third", wrong: "nobody's" } as const;
const SECRETS = Object.entries(PASSPHRASES)
  .map(([id, data]) => `--object secret,id=${id},data=${data}`)
  .join(" ");

/** How an image is encrypted, and how its options are called. */
const FORMATS = {
  qcow2: { prefix: "encrypt.", creation: "encrypt.format=luks,encrypt.key-secret=sec0,encrypt.iter-time=10", key: "encrypt.key-secret" },
  luks: { prefix: "", creation: "key-secret=sec0,iter-time=10", key: "key-secret" },
} as const;
type Format = keyof typeof FORMATS;

const prefixed = (format: Format, options: string): string =>
  options
    .split(",")
    .map((option) => FORMATS[format].prefix + option)
    .join(",");
const opened = (format: Format, name: string, secret: string): string =>
  `${SECRETS} --image-opts driver=${format},file.filename=@${name},${FORMATS[format].key}=${secret}`;
const amendWords = (format: Format, name: string, options: string, secret = "sec0"): string[] =>
  wordsOf(`amend ${opened(format, name, secret)}`).toSpliced(
    -2,
    0,
    ...(options.startsWith("--force ") ? ["--force"] : []),
    "-o",
    prefixed(format, options.replace("--force ", "")),
  );

function expectDone(outcome: Outcome): void {
  expect(outcome).toEqual({ exitCode: 0, stdout: "", stderr: "" });
}

/** In the words of qemu-img. */
function ours(words: readonly string[]): Promise<Outcome> {
  return bench.ours(["img", ...words]);
}

/** `one` has one slot in use, `two` have two, and `full` has all. */
beforeAll(async () => {
  for (const format of ["qcow2", "luks"] as const) {
    expectDone(await ours(wordsOf(`create -q ${SECRETS} -f ${format} -o ${FORMATS[format].creation} @one.${format} 1M`)));
    copyFileSync(bench.path(`one.${format}`), bench.path(`two.${format}`));
    expectDone(await ours(amendWords(format, `two.${format}`, "state=active,new-secret=sec1,iter-time=10")));
    copyFileSync(bench.path(`two.${format}`), bench.path(`full.${format}`));
    for (let slot = 2; slot < 8; slot++)
      expectDone(await ours(amendWords(format, `full.${format}`, `state=active,new-secret=sec1,iter-time=10,keyslot=${slot}`)));
  }
});
afterAll(() => bench[Symbol.dispose]());

/** Copies for both programs. */
function copies(format: Format, image: string): { readonly theirs: string; readonly ours: string } {
  for (const side of ["theirs", "ours"]) copyFileSync(bench.path(`${image}.${format}`), bench.path(`${side}.${format}`));
  return { theirs: `theirs.${format}`, ours: `ours.${format}` };
}

/** Which slots are in use, as the real tool tells. */
function slotsOf(format: Format, name: string): readonly boolean[] {
  interface Slots {
    readonly slots: readonly { readonly active: boolean }[];
  }
  const { stdout } = bench.theirs(wordsOf(`info --output=json @${name}`));
  const { "format-specific": specific } = JSON.parse(stdout) as { "format-specific": { data: Slots & { encrypt: Slots } } };
  return (format === "qcow2" ? specific.data.encrypt : specific.data).slots.map(({ active }) => active);
}

/** The passphrases that open it, by one of the programs. */
async function keysOf(
  format: Format,
  name: string,
  run: (words: readonly string[]) => Outcome | Promise<Outcome>,
): Promise<readonly string[]> {
  const found: string[] = [];
  for (const secret of ["sec0", "sec1", "sec2"]) {
    const { exitCode } = await run(wordsOf(`map ${opened(format, name, secret)}`));
    if (exitCode === 0) found.push(secret);
  }
  return found;
}

const DONE: readonly (readonly [image: string, options: string])[] = [
  ["one", "state=active,new-secret=sec2,iter-time=10"],
  ["one", "state=active,new-secret=sec2,iter-time=10,keyslot=6"],
  ["two", "state=inactive,keyslot=0"],
  ["two", "state=inactive,keyslot=1,old-secret=sec1"],
  ["full", "state=inactive,old-secret=sec1"],
  ["one", "--force state=active,new-secret=sec2,iter-time=10,keyslot=0"],
  ["two", "--force state=active,new-secret=sec2,iter-time=10,keyslot=1"],
  ["two", "--force state=inactive,keyslot=5"],
  ["one", "--force state=inactive,keyslot=0"],
  ["one", "--force state=inactive,old-secret=sec0"],
];

const REFUSED: readonly (readonly [image: string, options: string])[] = [
  ["one", "new-secret=sec1"],
  ["one", "keyslot=1"],
  ["one", "state=on"],
  ["one", "state=active"],
  ["one", "state=active,old-secret=sec0"],
  ["one", "state=active,new-secret=sec1,old-secret=sec0"],
  ["one", "state=active,new-secret=sec1,keyslot=8"],
  ["one", "state=active,new-secret=none"],
  ["one", "state=active,new-secret=sec1,iter-time=x"],
  ["two", "state=active,new-secret=sec2,keyslot=1"],
  ["full", "state=active,new-secret=sec2"],
  ["two", "state=inactive"],
  ["two", "state=inactive,new-secret=sec1,keyslot=1"],
  ["two", "state=inactive,iter-time=10,keyslot=1"],
  ["two", "state=inactive,keyslot=8"],
  ["two", "state=inactive,keyslot=x"],
  ["two", "state=inactive,keyslot=3"],
  ["two", "state=inactive,keyslot=3,old-secret=sec0"],
  ["two", "state=inactive,keyslot=0,old-secret=sec1"],
  ["two", "state=inactive,keyslot=0,old-secret=none"],
  ["two", "state=inactive,old-secret=wrong"],
  ["two", "state=inactive,old-secret=none"],
  ["one", "state=inactive,keyslot=0"],
  ["one", "state=inactive,old-secret=sec0"],
  ["one", "nonsense=1"],
];

/** What is told of the one format in full is told of the other in part: the code is the same. */
function partOf<Case>(cases: readonly Case[], format: Format): readonly Case[] {
  return format === "qcow2" ? cases : cases.filter((_, index) => index % 4 === 2);
}

describe.each(["qcow2", "luks"] as const)("%s", (format) => {
  it.each(partOf(DONE, format))("%s -o %s", async (image, options) => {
    const names = copies(format, image);
    expectDone(bench.theirs(amendWords(format, names.theirs, options)));
    expectDone(await ours(amendWords(format, names.ours, options)));
    expect(slotsOf(format, names.ours)).toEqual(slotsOf(format, names.theirs));
    expect(await keysOf(format, names.ours, (words) => bench.theirs(words))).toEqual(await keysOf(format, names.theirs, ours));
  });

  it.each(partOf(REFUSED, format))("%s -o %s is refused", async (image, options) => {
    const words = amendWords(format, `${image}.${format}`, options);
    const [theirs, own] = [bench.theirs(words), await ours(words)];
    expect(theirs.exitCode).toBe(1);
    expect(own).toEqual(theirs);
  });

  it("tells which options there are", async () => {
    const words = wordsOf(`amend -f ${format} -o help`);
    expect(await ours(words)).toEqual(bench.theirs(words));
  });

  it("is not opened without a passphrase", async () => {
    const words = wordsOf(`amend -f ${format} -o ${prefixed(format, "state=inactive,keyslot=0")} @two.${format}`);
    expect((await ours(words)).exitCode).toBe(bench.theirs(words).exitCode);
    expect(slotsOf(format, `two.${format}`).slice(0, 3)).toEqual([true, true, false]);
  });
});

it("an image that is not encrypted has no keys to change", async () => {
  bench.qemuImg("create", "-q", "-f", "qcow2", "@plain.qcow2", "1M");
  const words = wordsOf(`amend ${SECRETS} -o encrypt.state=active,encrypt.new-secret=sec0 @plain.qcow2`);
  expect(await ours(words)).toEqual(bench.theirs(words));
});
