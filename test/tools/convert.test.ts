/** `create`, `convert`, `resize` and `bench` beside the real tools: what one writes the other reads, and disk use is the same. */

import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { IMAGES, makeImages } from "./images.ts";
import { wordsOf, Workbench } from "./workbench.ts";

const bench = new Workbench();

beforeAll(() => makeImages(bench));
afterAll(() => bench[Symbol.dispose]());

/** Runs the words with both tools, each with a target of its own name; `TARGET` stands for it. */
async function both(line: string): Promise<{ readonly theirs: string; readonly ours: string }> {
  for (const name of ["theirs", "ours"]) rmSync(bench.path(name), { force: true });
  const theirs = bench.theirs(wordsOf(line.replace("TARGET", "@theirs")));
  const ours = await bench.ours(wordsOf(line.replace("TARGET", "@ours")));
  expect(theirs.exitCode).toBe(0);
  expect({ ...ours, stdout: ours.stdout.replaceAll("/ours", "/theirs") }).toEqual({ exitCode: 0, stdout: theirs.stdout, stderr: "" });
  return { theirs: bench.path("theirs"), ours: bench.path("ours") };
}

/** As the real tool sees it. */
function contentIs(target: string, source: string, format?: string): void {
  const words = ["compare", ...(format === undefined ? [] : ["-F", format]), source, target];
  expect(bench.theirs(words).stdout).toMatch(/^(?:Warning: Image size mismatch!\n)?Images are identical.\n$/);
}

function blocksOf(path: string): number {
  return statSync(path).blocks;
}

describe("convert", () => {
  it.each(IMAGES)("%s to raw, qcow2 and qed", async (name) => {
    for (const format of ["raw", "qcow2", "qed"]) {
      const { theirs, ours } = await both(`convert -O ${format} @${name} TARGET`);
      contentIs(ours, bench.path(name), format);
      expect(blocksOf(ours)).toBeLessThanOrEqual(blocksOf(theirs));
      if (format !== "raw") expect(bench.theirs(["check", "-f", format, ours]).exitCode).toBe(0);
    }
  });

  it.each([
    "convert -O qcow2 -o cluster_size=512 @holes TARGET",
    "convert -O qcow2 -o cluster_size=2M @holes TARGET",
    "convert -O qcow2 -o compat=0.10 @holes TARGET",
    "convert -O qcow2 -o extended_l2=on,cluster_size=64k @holes TARGET",
    "convert -O qcow2 -o lazy_refcounts=on,refcount_bits=1 @holes TARGET",
    "convert -O qcow2 -o preallocation=metadata @holes TARGET",
    "convert -O raw -o preallocation=full @holes TARGET",
    "convert -O raw -o preallocation=falloc @holes TARGET",
    "convert -O qed -o cluster_size=4k,table_size=2 @holes TARGET",
    "convert -c -O qcow2 @holes TARGET",
    "convert -c -m 16 -W -O qcow2 -o cluster_size=2M @holes TARGET",
    "convert -c -O qcow2 -o compression_type=zstd,cluster_size=4k @holes TARGET",
    "convert -c -S 0 -O qcow2 @holes TARGET",
    "convert -S 0 -O qcow2 @holes TARGET",
    "convert -S 0 -O raw @holes TARGET",
    "convert -S 64k -O raw @holes TARGET",
    "convert -S 512 -O qcow2 @holes TARGET",
    "convert -m 1 -W -O raw @holes TARGET",
    "convert -m 16 -t none -T none -O raw @holes TARGET",
    "convert -q -f raw -O raw @holes TARGET",
    "convert --salvage -O raw @holes TARGET",
    "convert -r 1G -O raw @holes TARGET",
    "convert -r 0 -O raw @holes TARGET",
    "convert -U -O raw @holes TARGET",
    "convert --image-opts -O raw driver=raw,file.filename=@holes TARGET",
  ])("%s", async (line) => {
    const { theirs, ours } = await both(line);
    contentIs(ours, bench.path("holes"));
    expect(blocksOf(ours)).toBeLessThanOrEqual(blocksOf(theirs));
    const storesAll = !line.includes("-c ") && (line.includes("-S 0") || line.includes("full"));
    if (storesAll) expect(blocksOf(ours) * 512).toBeGreaterThanOrEqual(8 * 1024 * 1024);
  });

  it.each(["one", "1", "snapshot.id=2", "snapshot.name=grün", "snapshot.name=one,snapshot.id=1"])("the snapshot %s", async (words) => {
    for (const format of ["raw", "qcow2"]) {
      const { theirs, ours } = await both(`convert -l ${words} -O ${format} @snapshots.qcow2 TARGET`);
      contentIs(ours, theirs);
    }
  });

  it("puts several images behind one another", async () => {
    const { theirs, ours } = await both("convert -O raw @odd @base.qcow2 @holes TARGET");
    expect(readFileSync(ours).equals(readFileSync(theirs))).toBe(true);
  });

  it("keeps what is in the backing file out of the target", async () => {
    const { theirs, ours } = await both("convert -O qcow2 -B base.qcow2 -F qcow2 @middle.qcow2 TARGET");
    contentIs(ours, bench.path("middle.qcow2"));
    const mapped = (path: string): string => bench.theirs(["map", "--output=json", path]).stdout;
    expect(mapped(ours)).toBe(mapped(theirs));
  });

  it("copies all layers above the backing file, not the top alone", async () => {
    expect((await bench.ours(wordsOf("convert -O qcow2 -B base.qcow2 -F qcow2 @top.qed @flat.qcow2"))).exitCode).toBe(0);
    contentIs(bench.path("flat.qcow2"), bench.path("top.qed"));
  });

  it("overwrites a target that is there, all of it", async () => {
    writeFileSync(bench.path("used"), Buffer.alloc(9 * 1024 * 1024, 7));
    expect((await bench.ours(wordsOf("convert -n -f raw -O raw @holes @used"))).exitCode).toBe(0);
    const used = readFileSync(bench.path("used"));
    expect(used.subarray(0, 8 * 1024 * 1024).equals(readFileSync(bench.path("holes")))).toBe(true);
    expect(used.subarray(8 * 1024 * 1024).every((byte) => byte === 7)).toBe(true);
  });

  it("writes into what --target-image-opts describes", async () => {
    bench.qemuImg("create", "-q", "-f", "qcow2", "@there.qcow2", "8M");
    const line = "convert -n --target-is-zero --target-image-opts @holes driver=qcow2,file.filename=@there.qcow2";
    expect((await bench.ours(wordsOf(line))).exitCode).toBe(0);
    contentIs(bench.path("there.qcow2"), bench.path("holes"));
  });

  it.each(["@base.qcow2 @base.qcow2", "@middle.qcow2 @base.qcow2", "@top.qed @base.qcow2"])(
    "%s: never onto a file that it reads",
    async (names) => {
      const before = readFileSync(bench.path("base.qcow2"));
      const { exitCode, stderr } = await bench.ours(wordsOf(`convert -O raw ${names}`));
      expect(exitCode).toBe(1);
      expect(stderr).toMatch(/^coblock: [^\n]*cannot be the target too\n$/);
      expect(readFileSync(bench.path("base.qcow2")).equals(before)).toBe(true);
    },
  );

  it("prints -p as qemu-img does", async () => {
    const { stdout } = await bench.ours(wordsOf("convert -p -O raw @base.qcow2 @out"));
    expect(stdout).toMatch(/^ {4}\(0\.00\/100%\)\r(?: {4}\(\d+\.\d\d\/100%\)\r)* {4}\(100\.00\/100%\)\r\n$/);
  });
});

describe("create", () => {
  it.each([
    "create TARGET 10M",
    "create -f raw -o preallocation=full TARGET 1M",
    "create -f qcow2 TARGET 1.5G",
    "create -f qcow2 TARGET 0x10000",
    "create -f qcow2 TARGET 1000",
    "create -f qcow2 TARGET 0",
    "create -q -f qcow2 TARGET 1M",
    "create -fqcow2 -ocluster_size=4k,compat=0.10 TARGET 10M",
    "create -f qcow2 -o size=20M -o lazy_refcounts=on,refcount_bits=64 TARGET",
    "create -f qcow2 -o extended_l2=on,cluster_size=128k TARGET 10M",
    "create -f qcow2 -o preallocation=metadata TARGET 10M",
    "create -f qcow2 -b base.qcow2 -F qcow2 TARGET",
    "create -f qcow2 -b base.qcow2 -F qcow2 TARGET 1G",
    "create -f qcow2 -o backing_file=holes,backing_fmt=raw TARGET",
    "create -u -f qcow2 -b missing -F qcow2 TARGET 1M",
    "create -f qed TARGET 10M",
    "create -f qed -o cluster_size=1M,table_size=8 TARGET 1G",
    "create -f qed -b holes -F raw TARGET",
  ])("%s", async (line) => {
    const { theirs, ours } = await both(line);
    const told = (path: string): string => {
      const { stdout } = bench.theirs(["info", "--output=json", path]);
      return stdout.replaceAll(path, "").replace(/ *"actual-size": \d+,\n/, "");
    };
    expect(told(ours)).toBe(told(theirs));
  });
});

describe("resize", () => {
  it.each(["100M", "+10M", "+1k", "8388608"])("raw and qed to %s", async (size) => {
    for (const [format, name] of [
      ["raw", "holes"],
      ["qed", "alone.qed"],
    ] as const) {
      if (format === "qed" && size === "8388608") continue;
      const sizes = [];
      for (const tool of ["theirs", "ours"] as const) {
        writeFileSync(bench.path(tool), readFileSync(bench.path(name)));
        const outcome = await bench[tool](["resize", "-f", format, `@${tool}`, size]);
        expect(outcome).toEqual({ exitCode: 0, stdout: "Image resized.\n", stderr: "" });
        contentIs(bench.path(tool), bench.path(name), format);
        sizes.push(bench.theirs(["info", "--output=json", "-f", format, bench.path(tool)]).stdout.match(/"virtual-size": \d+/)?.[0]);
      }
      expect(sizes[1]).toBe(sizes[0]);
    }
  });

  it("shrinks with --shrink alone, also by a size with a sign", async () => {
    writeFileSync(bench.path("shrunk"), Buffer.alloc(4096, 1));
    expect((await bench.ours(["resize", "-f", "raw", "@shrunk", "-1k"])).exitCode).toBe(1);
    expect(statSync(bench.path("shrunk")).size).toBe(4096);
    expect((await bench.ours(["resize", "-q", "-f", "raw", "--shrink", "@shrunk", "-1k"])).stdout).toBe("");
    expect(statSync(bench.path("shrunk")).size).toBe(3072);
  });

  it("warns where raw was guessed", async () => {
    writeFileSync(bench.path("guessed"), Buffer.alloc(4096, 1));
    const { exitCode, stderr } = await bench.ours(["resize", "@guessed", "8k"]);
    expect(exitCode).toBe(0);
    expect(stderr).toMatch(/^coblock: warning: the format of '[^\n]*guessed' was guessed to be raw, [^\n]*\n$/);
  });
});

describe("bench", () => {
  it.each([
    "bench -c 100 -f raw @holes",
    "bench -c 100 -d 3 -s 1000 -S 2000 -o 5k -f raw @holes",
    "bench -c 0 -f raw @holes",
    "bench -c 100 -f qcow2 @middle.qcow2",
    "bench -w -c 100 -f raw --pattern=7 @scratch",
    "bench -w -c 100 -d 10 --flush-interval=20 -f raw @scratch",
    "bench -w -c 105 -d 10 --flush-interval=20 --no-drain -f raw @scratch",
  ])("%s", async (line) => {
    writeFileSync(bench.path("scratch"), Buffer.alloc(1024 * 1024));
    const withoutTime = (text: string): string => text.replace(/in \d+\.\d{3} seconds/, "in T seconds");
    const theirs = bench.theirs(wordsOf(line));
    const ours = await bench.ours(wordsOf(line));
    expect({ ...ours, stdout: withoutTime(ours.stdout) }).toEqual({ ...theirs, stdout: withoutTime(theirs.stdout) });
  });

  it("writes its pattern where it says", async () => {
    writeFileSync(bench.path("scratch"), Buffer.alloc(8192));
    expect((await bench.ours(wordsOf("bench -w -c 3 -d 2 -s 512 -S 1k -o 1k --pattern=9 -f raw @scratch"))).exitCode).toBe(0);
    const expected = Buffer.alloc(8192);
    for (const start of [1024, 2048, 3072]) expected.fill(9, start, start + 512);
    expect(readFileSync(bench.path("scratch")).equals(expected)).toBe(true);
  });

  it("refuses what would never end, and what has no bytes", async () => {
    expect(await bench.ours(wordsOf("bench -d 0 @holes"))).toMatchObject({ exitCode: 1, stdout: "" });
    expect(await bench.ours(wordsOf("bench @empty"))).toMatchObject({ exitCode: 1, stdout: "" });
    expect(existsSync(bench.path("empty"))).toBe(true);
  });
});
