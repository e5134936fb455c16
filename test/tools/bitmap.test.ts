/** `bitmap`, and the bitmaps of `convert`, `measure` and `info`, beside the real tool: the same words on copies of the same images. */

import { createHash } from "node:crypto";
import { copyFileSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { IMAGES, makeImages } from "./images.ts";
import { type Outcome, wordsOf, Workbench } from "./workbench.ts";

const bench = new Workbench("memory");

beforeAll(() => {
  makeImages(bench);
  bench.qemuImg("create", "-q", "-f", "qcow2", "@other.qcow2", "20M");
  bench.qemuImg("bitmap", "--add", "-g", "4k", "@other.qcow2", "elsewhere");
  bench.qemuIo("other.qcow2", "qcow2", "write 5M 8k");
  bench.qemuImg("create", "-q", "-f", "qcow2", "@larger.qcow2", "21M");
  bench.qemuImg("bitmap", "--add", "@larger.qcow2", "large");
  bench.qemuImg("create", "-q", "-f", "qcow2", "-b", "bitmaps.qcow2", "-F", "qcow2", "@overlay.qcow2");
  bench.qemuImg("bitmap", "--add", "@overlay.qcow2", "above");
  bench.qemuImg("create", "-q", "-f", "qcow2", "@sector.qcow2", "1000");
  bench.qemuImg("bitmap", "--add", "@sector.qcow2", "short");
  bench.qemuIo("bitmaps.qcow2", "qcow2", "write 7M 100k");
  makeBroken();
});
afterAll(() => bench[Symbol.dispose]());

/** The first of two bitmaps was left marked as in use. */
function makeBroken(): void {
  const bytes = readFileSync(bench.path("bitmaps.qcow2"));
  const extension = bytes.indexOf(Buffer.from("2385287500000018", "hex"));
  const flagsAt = Number(bytes.readBigUInt64BE(extension + 24)) + 12;
  bytes.writeUInt32BE(bytes.readUInt32BE(flagsAt) + 1, flagsAt);
  writeFileSync(bench.path("broken.qcow2"), bytes);
}

/** What it said, without what differs by design: the program's name, names of nodes, and the advice that qemu-img puts on a line of its own. */
function saidBy({ exitCode, stdout, stderr }: Outcome): {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly error: string;
} {
  const [line = ""] = stderr.split("\n").filter((text) => /^(?:qemu-img|coblock): (?!warning: the format)/u.test(text));
  const error = line
    .replace(/^qemu-img: /u, "coblock: ")
    .replace(/^coblock: (?:Could not open '[^']*': )+/u, "coblock: ")
    .replaceAll(/(persistent in )'[^']*'/gu, "$1NODE")
    .replace(/(persistent bitmaps to ).*/u, "$1NODE")
    .replace(/[;:(] ?[^;:(]*(?:can only be removed|try --skip-broken-bitmaps[^;]*)$/u, "")
    .replace(/(Invalid granularity specified).*/u, "$1");
  return { exitCode, stdout, error };
}

interface Bitmap {
  readonly name: string;
  readonly flags: readonly string[];
}

function bitmapsOf(image: string): readonly Bitmap[] {
  const told = JSON.parse(bench.theirs(["info", "--output=json", `@${image}`]).stdout) as {
    "format-specific"?: { data: { bitmaps?: readonly Bitmap[] } };
  };
  return told["format-specific"]?.data.bitmaps ?? [];
}

/** By what is in the file: most words that are refused leave it as it was. */
const known = new Map<string, readonly unknown[]>();

/** All that QEMU knows of the bitmaps of an image, with what is dirty by each that is sound. */
function contentOf(image: string): readonly unknown[] {
  const digest = createHash("sha1")
    .update(readFileSync(bench.path(image)))
    .digest("hex");
  const isSound = ({ flags }: Bitmap): boolean => !flags.includes("in-use");
  const content =
    known.get(digest) ??
    bitmapsOf(image).map((bitmap) => (isSound(bitmap) ? { ...bitmap, dirty: bench.dirty(image, bitmap.name) } : bitmap));
  known.set(digest, content);
  return content;
}

/** The words that both say, with those of their copies that are named. */
function expectSame(ours: Outcome, theirs: Outcome): void {
  const named = ({ error, ...said }: ReturnType<typeof saidBy>): object => ({ ...said, error: error.replaceAll("theirs", "ours") });
  expect(named(saidBy(ours))).toEqual(named(saidBy(theirs)));
  if (ours.exitCode !== 0) expect(ours.stderr).toMatch(/^(?:coblock: warning: the format [^\n]+\n)?coblock: [^\n]+\n$/u);
}

/** Runs the words with both tools, where COPY stands for the file that each has. */
async function same(line: string): Promise<Outcome> {
  const words = wordsOf(line);
  const theirs = bench.theirs(words.map((word) => word.replaceAll("COPY", "@theirs.qcow2")));
  const ours = await bench.ours(words.map((word) => word.replaceAll("COPY", "@ours.qcow2")));
  expectSame(ours, theirs);
  return ours;
}

function copy(image: string): void {
  for (const name of ["theirs.qcow2", "ours.qcow2"]) copyFileSync(bench.path(image), bench.path(name));
}

/** One after the other on one image; WRITE changes the disk with QEMU. */
const STEPS: readonly string[] = [
  "bitmap --add COPY one",
  "bitmap --add -g 512 COPY fine",
  "WRITE",
  "bitmap --disable COPY one",
  "bitmap --add --disable -g 1M COPY coarse",
  "WRITE",
  "bitmap --merge one COPY coarse",
  "bitmap --enable --merge fine --merge one COPY coarse",
  "bitmap --add COPY one",
  "bitmap --clear COPY fine",
  "WRITE",
  "bitmap --add --merge coarse --merge fine --clear --merge one --disable COPY all",
  "bitmap --add --merge nobody --disable COPY half",
  "bitmap --remove COPY fine",
  "bitmap --remove --add -g 2M COPY one",
  "bitmap --remove --clear COPY coarse",
  "WRITE",
];

describe("the same steps with both tools", () => {
  const KINDS = IMAGES.filter((name) => name.endsWith(".qcow2") && name !== "v2.qcow2" && name !== "external.qcow2");
  it.each(KINDS)("%s", async (name) => {
    copy(name);
    for (const [step, line] of STEPS.entries()) {
      if (line === "WRITE") {
        for (const image of ["theirs.qcow2", "ours.qcow2"])
          bench.qemuIo(image, "qcow2", `write -P ${step + 1} ${step * 100}k 200k`, "discard 3M 128k", `write -z ${step}M 64k`);
        expect(contentOf("ours.qcow2")).toEqual(contentOf("theirs.qcow2"));
      } else {
        await same(line);
        expect(bitmapsOf("ours.qcow2")).toEqual(bitmapsOf("theirs.qcow2"));
      }
    }
    expect(bench.theirs(["check", "@ours.qcow2"])).toMatchObject({ exitCode: 0 });
    expect(bench.theirs(["compare", "@theirs.qcow2", "@ours.qcow2"]).stdout).toBe("Images are identical.\n");
  });
});

describe("bitmap", () => {
  it.each([
    "bitmap --merge elsewhere -b @other.qcow2 COPY first",
    "bitmap --merge elsewhere -b @other.qcow2 -F qcow2 COPY second",
    "bitmap --merge=elsewhere --source-file=@other.qcow2 --source-format=qcow2 -f qcow2 COPY first",
    "bitmap --merge elsewhere --merge elsewhere -b @other.qcow2 --clear COPY first",
    "bitmap --add --merge elsewhere -b @other.qcow2 -g 8k COPY new",
    "bitmap --merge first -b @other.qcow2 COPY first",
    "bitmap --merge elsewhere -b @missing COPY first",
    "bitmap --merge elsewhere -b @holes -F raw COPY first",
    "bitmap --merge large -b @larger.qcow2 COPY first",
    "bitmap --merge first COPY first",
    "bitmap --merge first COPY nobody",
    "bitmap --merge nobody COPY first",
    "bitmap --merge nobody COPY nobody",
    "bitmap --remove COPY nobody",
    "bitmap --clear COPY nobody",
    "bitmap --enable COPY nobody",
    "bitmap --disable COPY nobody",
    "bitmap --add COPY first",
    "bitmap --add COPY ",
    `bitmap --add COPY ${"n".repeat(1023)}`,
    `bitmap --add COPY ${"n".repeat(1024)}`,
    `bitmap --add COPY ${"ü".repeat(512)}`,
    "bitmap --add COPY grün",
    "bitmap --add -g 0 COPY new",
    "bitmap --add -g 512 COPY new",
    "bitmap --add -g 0x1000 COPY new",
    "bitmap --add -g 2G COPY new",
    "bitmap --add -g 256 COPY new",
    "bitmap --add -g 1000 COPY new",
    "bitmap --add -g 4G COPY new",
    "bitmap --add -g x COPY new",
    "bitmap --add -g -1 COPY new",
    "bitmap --add -g 4k -g 8k COPY new",
    "bitmap --remove -g 0 COPY first",
    "bitmap --remove -g 4k COPY first",
    "bitmap --remove -g 4k -F raw COPY first",
    "bitmap --remove -b @other.qcow2 COPY first",
    "bitmap --remove -b @other.qcow2 -F qcow2 COPY first",
    "bitmap --merge first -F qcow2 COPY first",
    "bitmap --add -g 4k --merge first -F raw COPY new",
    "bitmap COPY first",
    "bitmap -g 4k COPY first",
    "bitmap --add COPY",
    "bitmap --add COPY new newer",
    "bitmap -- --add COPY new",
    "bitmap COPY --add new",
    "bitmap --ad COPY new",
    "bitmap --e COPY second",
    "bitmap --image-opts --add driver=qcow2,file.filename=COPY new",
    "bitmap --image-opts --merge elsewhere -b @other.qcow2 driver=qcow2,file.filename=COPY first",
    "bitmap --object secret,id=unused,data=x --add COPY new",
    "bitmap --add -f nonsense COPY new",
    "bitmap --add -f raw COPY new",
    "bitmap --add --remove --add --disable --clear --enable COPY new",
  ])("%s", async (line) => {
    copy("bitmaps.qcow2");
    await same(line);
    expect(contentOf("ours.qcow2")).toEqual(contentOf("theirs.qcow2"));
  });

  it.each(["--clear", "--enable", "--disable", "--add", "--merge second", "--remove"])("%s of an inconsistent one", async (action) => {
    copy("broken.qcow2");
    await same(`bitmap ${action} COPY first`);
    await same("bitmap --merge first COPY second");
    expect(contentOf("ours.qcow2")).toEqual(contentOf("theirs.qcow2"));
  });

  it.each(["v2.qcow2", "alone.qed", "holes", "missing"])("--add in %s", async (name) => {
    const words = ["bitmap", "--add", `@${name}`, "new"];
    expectSame(await bench.ours(words), bench.theirs(words));
  });

  it.each(["", "--add -x", "--add --force-share", "--add --nonsense", "--add=x", "-g", "--merge", "--image-opts -f qcow2 --add x y"])(
    "refuses %s",
    async (line) => {
      const words = wordsOf(`bitmap ${line}`);
      const { exitCode, stdout, stderr } = await bench.ours(words);
      const theirs = bench.theirs(words);
      expect({ exitCode, stdout }).toEqual({ exitCode: theirs.exitCode, stdout: theirs.stdout });
      expect(stderr).toMatch(/^coblock: [^\n]+\n$/u);
    },
  );

  it("keeps what was done before an action that fails, as qemu-img does, and the names of an order that fails", async () => {
    copy("bitmaps.qcow2");
    const { exitCode, stderr } = await bench.ours(wordsOf("bitmap --clear --disable --merge nobody --remove @ours.qcow2 first"));
    expect({ exitCode, stderr }).toEqual({
      exitCode: 1,
      stderr: "coblock: Operation merge on bitmap first failed: Dirty bitmap 'nobody' not found\n",
    });
    expect(contentOf("ours.qcow2")[0]).toEqual({ name: "first", flags: [], granularity: 65_536, dirty: [] });
  });

  it("works on an image that is encrypted", async () => {
    const secret = ["--object", "secret,id=key,data=passphrase"];
    bench.qemuImg(
      "create",
      "-q",
      ...secret,
      "-f",
      "qcow2",
      "-o",
      "encrypt.format=luks,encrypt.key-secret=key,encrypt.iter-time=10",
      "@luks.qcow2",
      "20M",
    );
    copy("luks.qcow2");
    const image = "driver=qcow2,encrypt.key-secret=key,file.filename=COPY";
    for (const action of ["--add -g 4k", "--disable", "--merge nobody", "--enable --clear"]) {
      await same(`bitmap ${secret.join(" ")} --image-opts ${action} ${image} new`);
      expect(bitmapsOf("ours.qcow2")).toEqual(bitmapsOf("theirs.qcow2"));
    }
    expect(bitmapsOf("ours.qcow2")).toEqual([{ name: "new", flags: ["auto"], granularity: 4096 }]);
  });
});

describe("convert --bitmaps", () => {
  async function sameTarget(line: string): Promise<Outcome> {
    const ours = await same(line);
    expect(existsSync(bench.path("ours.qcow2"))).toBe(existsSync(bench.path("theirs.qcow2")));
    return ours;
  }
  function forget(): void {
    for (const name of ["theirs.qcow2", "ours.qcow2"]) rmSync(bench.path(name), { force: true });
  }

  it.each([
    "convert --bitmaps -O qcow2 @bitmaps.qcow2 COPY",
    "convert --bitmaps -O qcow2 -o cluster_size=512 @bitmaps.qcow2 COPY",
    "convert --bitmaps -O qcow2 -o cluster_size=2M,extended_l2=on @bitmaps.qcow2 COPY",
    "convert --bitmaps -c -O qcow2 @bitmaps.qcow2 COPY",
    "convert --bitmaps -m 16 -W -O qcow2 @bitmaps.qcow2 COPY",
    "convert --bitmaps -f qcow2 -O qcow2 -B bitmaps.qcow2 -F qcow2 @overlay.qcow2 COPY",
    "convert --bitmaps -O qcow2 @overlay.qcow2 COPY",
    "convert --bitmaps -O qcow2 @sector.qcow2 COPY",
    "convert --bitmaps -O qcow2 @base.qcow2 COPY",
    "convert --bitmaps --skip-broken-bitmaps -O qcow2 @bitmaps.qcow2 COPY",
    "convert --bitmaps --skip-broken-bitmaps -O qcow2 @broken.qcow2 COPY",
    "convert --bitmaps --image-opts -O qcow2 driver=qcow2,file.filename=@bitmaps.qcow2 COPY",
  ])("%s", async (line) => {
    forget();
    expect((await sameTarget(line)).exitCode).toBe(0);
    expect(contentOf("ours.qcow2")).toEqual(contentOf("theirs.qcow2"));
    expect(bench.theirs(["check", "@ours.qcow2"]).exitCode).toBe(0);
    expect(bench.theirs(["compare", "@theirs.qcow2", "@ours.qcow2"]).stdout).toBe("Images are identical.\n");
  });

  it.each([
    "convert --bitmaps -O raw @bitmaps.qcow2 COPY",
    "convert --bitmaps -O qcow2 -o compat=0.10 @bitmaps.qcow2 COPY",
    "convert --bitmaps -O qcow2 @holes COPY",
    "convert --bitmaps -O raw @holes COPY",
    "convert --bitmaps -O qcow2 @alone.qed COPY",
    "convert --bitmaps -O qcow2 @v2.qcow2 COPY",
    "convert --bitmaps -O qcow2 @broken.qcow2 COPY",
    "convert --skip-broken-bitmaps -O qcow2 @bitmaps.qcow2 COPY",
    "convert --bitmaps -O qcow2 @bitmaps.qcow2 @bitmaps.qcow2 COPY",
    "convert --bitmaps --skip-broken-bitmaps -O qcow2 @bitmaps.qcow2 @holes COPY",
  ])("%s: refused", async (line) => {
    forget();
    expect((await sameTarget(line)).exitCode).toBe(1);
  });

  it("onto an image that is there: one with such a bitmap, a larger one, one without", async () => {
    copy("sector.qcow2");
    expect((await sameTarget("convert -n --bitmaps -O qcow2 @sector.qcow2 COPY")).exitCode).toBe(1);
    copy("larger.qcow2");
    expect((await sameTarget("convert -n --bitmaps -O qcow2 @overlay.qcow2 COPY")).exitCode).toBe(1);
    expect(contentOf("ours.qcow2")).toEqual(contentOf("theirs.qcow2"));
    copy("other.qcow2");
    expect((await sameTarget("convert -n --bitmaps --target-image-opts @bitmaps.qcow2 driver=qcow2,file.filename=COPY")).exitCode).toBe(0);
    expect(contentOf("ours.qcow2")).toEqual(contentOf("theirs.qcow2"));
    expect(bench.theirs(["check", "@ours.qcow2"]).exitCode).toBe(0);
  });

  it("warns of each that it leaves out", async () => {
    const { stderr } = await bench.ours(wordsOf("convert --bitmaps --skip-broken-bitmaps -O qcow2 @broken.qcow2 @out.qcow2"));
    expect(stderr).toBe("coblock: warning: Skipping inconsistent bitmap 'first'\n");
  });

  it("not out of a snapshot, where qemu-img would say of an old disk what changed in the new one", async () => {
    copy("bitmaps.qcow2");
    bench.qemuImg("snapshot", "-c", "before", "@ours.qcow2");
    const { exitCode, stderr } = await bench.ours(wordsOf("convert --bitmaps -l before -O qcow2 @ours.qcow2 @never.qcow2"));
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/^coblock: --bitmaps cannot be used with -l: [^\n]+\n$/u);
    expect(existsSync(bench.path("never.qcow2"))).toBe(false);
  });
});

describe("what is told of bitmaps", () => {
  it.each([
    "info @broken.qcow2",
    "info --output=json @broken.qcow2",
    "info -U @overlay.qcow2",
    "info --backing-chain --output=json @overlay.qcow2",
    "info --image-opts driver=qcow2,file.filename=@sector.qcow2",
    "measure -O qcow2 @broken.qcow2",
    "measure -O qcow2 --output=json @overlay.qcow2",
    "measure -O qcow2 @sector.qcow2",
    "measure -O qcow2 -o cluster_size=512 @bitmaps.qcow2",
    "measure -O qcow2 -o cluster_size=2M @bitmaps.qcow2",
    "measure -O raw @bitmaps.qcow2",
    "measure -O qcow2 @v2.qcow2",
    "measure -O qcow2 -l before @saved.qcow2",
    "check @broken.qcow2",
    "map --output=json @overlay.qcow2",
  ])("%s", async (line) => {
    copyFileSync(bench.path("bitmaps.qcow2"), bench.path("saved.qcow2"));
    bench.qemuImg("snapshot", "-c", "before", "@saved.qcow2");
    expectSame(await bench.ours(wordsOf(line)), bench.theirs(wordsOf(line)));
  });
});
