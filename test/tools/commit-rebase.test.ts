/** `commit` and `rebase` beside the real tool: the same words on copies of the same chains, and what both leave is the same. */

import { cpSync, readFileSync, rmSync } from "node:fs";
import { SeededRandom } from "@coblock/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Outcome, Workbench } from "./workbench.ts";

const bench = new Workbench("memory");
beforeAll(() => process.chdir(bench.folder));
afterAll(() => {
  process.chdir("/");
  bench[Symbol.dispose]();
});

interface Layer {
  readonly name: string;
  readonly format: "raw" | "qcow2" | "qed";
  readonly size: string;
  readonly options?: string;
}

/** From the bottom up. */
interface Chain {
  readonly title: string;
  readonly layers: readonly Layer[];
}

const CHAINS: readonly Chain[] = [
  {
    title: "qcow2 over raw",
    layers: [
      { name: "base", format: "raw", size: "3M" },
      { name: "top", format: "qcow2", size: "3M" },
    ],
  },
  {
    title: "qed over a shorter raw file",
    layers: [
      { name: "base", format: "raw", size: "1M" },
      { name: "top", format: "qed", size: "3M", options: "cluster_size=4096,table_size=2" },
    ],
  },
  {
    title: "qcow2 over longer qed",
    layers: [
      { name: "base", format: "qed", size: "4M" },
      { name: "top", format: "qcow2", size: "2500k", options: "cluster_size=512" },
    ],
  },
  {
    title: "three layers, the one between the shortest",
    layers: [
      { name: "base", format: "qcow2", size: "3M", options: "compat=0.10" },
      { name: "middle", format: "qed", size: "1M" },
      { name: "top", format: "qcow2", size: "3M", options: "extended_l2=on" },
    ],
  },
  {
    title: "qcow2 with large clusters over qcow2 with small ones",
    layers: [
      { name: "base", format: "qcow2", size: "5M", options: "cluster_size=4096,refcount_bits=1" },
      { name: "middle", format: "qcow2", size: "5M" },
      { name: "top", format: "qcow2", size: "6M", options: "cluster_size=2M" },
    ],
  },
];

/** The same chain, made by the real tool, in both folders. */
function makeChain(chain: Chain, random: SeededRandom): void {
  for (const side of ["ours", "theirs"]) rmSync(bench.path(side), { recursive: true, force: true });
  cpSync(makeFolder(), bench.path("ours"), { recursive: true });
  let below: Layer | undefined;
  for (const layer of chain.layers) {
    const backing = below === undefined ? [] : ["-b", below.name, "-F", below.format];
    const options = layer.options === undefined ? [] : ["-o", layer.options];
    bench.qemuImg("create", "-q", "-f", layer.format, ...options, ...backing, `@ours/${layer.name}`, layer.size);
    bench.qemuIo(`ours/${layer.name}`, layer.format, ...randomWrites(layer, random));
    below = layer;
  }
}

function makeFolder(): string {
  const folder = bench.path("empty-folder");
  rmSync(folder, { recursive: true, force: true });
  cpSync(import.meta.dirname, folder, { recursive: true, filter: (path) => path === import.meta.dirname });
  return folder;
}

function sizeOf({ size }: Layer): number {
  return Number.parseInt(size, 10) * (size.endsWith("M") ? 1024 * 1024 : 1024);
}

function randomWrites(layer: Layer, random: SeededRandom): string[] {
  return Array.from({ length: 12 }, () => {
    const unit = random.below(2) === 0 ? 512 : 65536;
    const units = Math.floor(sizeOf(layer) / unit);
    const start = random.below(units);
    const length = 1 + random.below(Math.min(units - start, Math.ceil(300_000 / unit)));
    const how = random.below(4) === 0 ? "-z" : `-P ${1 + random.below(250)}`;
    return `write ${how} ${start * unit} ${length * unit}`;
  });
}

function content(path: string, format: string): Buffer {
  bench.qemuImg("convert", "-f", format, "-O", "raw", `@${path}`, "@content");
  return readFileSync(bench.path("content"));
}

/** Both tools in their own folder; the outcomes but for the folders' names. */
async function both(words: readonly string[]): Promise<{ readonly ours: Outcome; readonly theirs: Outcome }> {
  const neutral = (text: string): string =>
    text
      .replaceAll("coblock:", "qemu-img:")
      .replaceAll(/(?:ours|theirs)\//g, "")
      .replaceAll(/(Could not open '[^']+': )\1/g, "$1");
  const theirs = bench.theirs(words.map((word) => word.replaceAll("@", "@theirs/")));
  const ours = await bench.ours(words.map((word) => word.replaceAll("@", "@ours/")));
  return {
    ours: { ...ours, stdout: neutral(ours.stdout), stderr: neutral(ours.stderr) },
    theirs: { ...theirs, stdout: neutral(theirs.stdout), stderr: neutral(theirs.stderr) },
  };
}

function expectClean(path: string, format: string): void {
  if (format !== "raw") bench.qemuImg("check", "-f", format, `@${path}`);
}

const cases = CHAINS.flatMap((chain) => [1, 2, 3].map((seed) => ({ ...chain, chain, seed })));

describe("commit", () => {
  it.each(cases)("$title, seed $seed, leaves what the real tool leaves", async ({ chain, seed }) => {
    const [base] = chain.layers;
    const top = chain.layers.at(-1);
    if (base === undefined || top === undefined) throw new Error("a chain has layers");
    const words =
      [
        ["commit", "-f", top.format, `@${top.name}`],
        ["commit", "-f", top.format, "-d", `@${top.name}`],
        ["commit", "-f", top.format, "-b", `@${base.name}`, `@${top.name}`],
      ][seed % 3] ?? [];
    makeChain(chain, new SeededRandom(seed));
    cpSync(bench.path("ours"), bench.path("theirs"), { recursive: true });
    const before = content(`ours/${top.name}`, top.format);
    const { ours, theirs } = await both(words);
    const failed = theirs.exitCode !== 0;
    if (failed) expect(ours.exitCode).toBe(theirs.exitCode);
    else expect(ours).toEqual(theirs);
    expect(content(`ours/${top.name}`, top.format).equals(before)).toBe(true);
    if (failed) return;
    const target = (words.includes("-b") ? base : chain.layers.at(-2)) ?? base;
    const after = content(`ours/${target.name}`, target.format);
    expect(after.subarray(0, before.length).equals(before)).toBe(true);
    expect(after.equals(content(`theirs/${target.name}`, target.format))).toBe(true);
    for (const layer of chain.layers) expectClean(`ours/${layer.name}`, layer.format);
    const depths = [...bench.theirs(["map", "--output=json", `@ours/${top.name}`]).stdout.matchAll(/"depth": (\d+)/g)].map(
      ([, depth]) => depth,
    );
    if (!words.includes("-d") && top.format === "qcow2" && !words.includes("-b")) expect(depths).not.toContain("0");
  });
});

describe("rebase", () => {
  it.each(cases)("$title, seed $seed, keeps what the image reads as", async ({ chain, seed }) => {
    const top = chain.layers.at(-1);
    const [base] = chain.layers;
    if (base === undefined || top === undefined) throw new Error("a chain has layers");
    const random = new SeededRandom(100 + seed);
    makeChain(chain, random);
    const other: Layer = { name: "other", format: random.below(2) === 0 ? "raw" : "qcow2", size: `${1 + random.below(6)}M` };
    bench.qemuImg("convert", "-f", base.format, "-O", other.format, `@ours/${base.name}`, "@ours/other");
    bench.qemuImg("resize", "-q", "--shrink", "-f", other.format, "@ours/other", other.size);
    bench.qemuIo("ours/other", other.format, ...randomWrites(other, random));
    cpSync(bench.path("ours"), bench.path("theirs"), { recursive: true });
    const before = content(`ours/${top.name}`, top.format);
    const onto =
      [
        ["-b", "other", "-F", other.format],
        ["-b", "", "-q"],
        ["-b", base.name, "-F", base.format],
      ][seed % 3] ?? [];
    const { ours, theirs } = await both(["rebase", "-f", top.format, ...onto, `@${top.name}`]);
    expect(ours).toEqual(theirs);
    expectClean(`ours/${top.name}`, top.format);
    expect(content(`ours/${top.name}`, top.format).equals(before)).toBe(true);
    const infos = await both(["info", `@${top.name}`]);
    const backingLines = (outcome: Outcome): string[] => /^backing.*$/gm[Symbol.match](outcome.stdout) ?? [];
    expect(backingLines(infos.ours)).toEqual(backingLines(infos.theirs));
  });
});

describe.each(["qcow2", "qcow2 -o compat=0.10", "qed"])("an image of %s without a backing file", (format) => {
  const how = format.split(" ");
  it("reads as before when it is rebased onto one", async () => {
    for (const side of ["ours", "theirs"]) {
      rmSync(bench.path(side), { recursive: true, force: true });
      cpSync(makeFolder(), bench.path(side), { recursive: true });
      bench.qemuImg("create", "-q", "-f", "raw", `@${side}/base`, "3M");
      bench.qemuIo(`${side}/base`, "raw", "write -P 7 0 2M");
      bench.qemuImg("create", "-q", "-f", ...how, `@${side}/alone`, "2500k");
      bench.qemuIo(`${side}/alone`, how[0] ?? "", "write -P 3 100k 300k");
    }
    const before = content("ours/alone", how[0] ?? "");
    const { ours, theirs } = await both(["rebase", "-f", how[0] ?? "", "-b", "base", "-F", "raw", "@alone"]);
    expect(ours).toEqual(theirs);
    expect(content("ours/alone", how[0] ?? "").equals(before)).toBe(true);
    // qemu-img 7.2 loses zeros that version 2 cannot say.
    expect(content("theirs/alone", how[0] ?? "").equals(before)).toBe(!format.includes("0.10"));
    expectClean("ours/alone", how[0] ?? "");
  });
});

describe("words and refusals", () => {
  const CASES = [
    "commit",
    "commit @top @base",
    "commit @base -f raw",
    "commit -f raw @top",
    "commit -b nix @top",
    "commit -b @top @top",
    "commit -t nonsense @top",
    "commit -q @missing",
    "commit -q @top",
    "rebase",
    "rebase @top",
    "rebase -b x @top @base",
    "rebase -b base @top",
    "rebase -b missing -F raw @top",
    "rebase -b base -F nonsense @top",
    "rebase -t nonsense -b base -F raw @top",
    "rebase -T nonsense -b base -F raw @top",
    "rebase -b base -F raw @missing",
    "rebase -f raw -b base -F raw @other",
    "rebase -f raw -u -b base -F raw @other",
    "rebase -u -b moved @top",
    "rebase -u -b moved -F raw @top",
    "rebase -u -b moved -F qcow2 @top",
    "rebase -u @top",
    "rebase -u -q -b base -F raw @top",
    "rebase -q -b other -F raw @top",
    "rebase -q -U -b base -F raw @top",
  ];
  it.each(["qcow2", "qed"] as const)("are qemu-img's, for %s", async (format) => {
    const chain: Chain = {
      title: format,
      layers: [
        { name: "base", format: "raw", size: "1M" },
        { name: "top", format, size: "2M" },
      ],
    };
    makeChain(chain, new SeededRandom(7));
    bench.qemuImg("create", "-q", "-f", "raw", "@ours/other", "2M");
    cpSync(bench.path("ours"), bench.path("theirs"), { recursive: true });
    for (const line of CASES) {
      const { ours, theirs } = await both(line.split(" "));
      expect({ line, exitCode: ours.exitCode, stdout: ours.stdout }).toEqual({ line, exitCode: theirs.exitCode, stdout: theirs.stdout });
      expect(ours.stderr === "").toBe(theirs.stderr === "");
      if (!theirs.stderr.includes("qemu-img --help") && !theirs.stderr.startsWith("WARNING"))
        expect({ line, said: ours.stderr }).toEqual({ line, said: theirs.stderr });
      const infos = await both(["info", "@top"]);
      const backing = (outcome: Outcome): string[] => /^backing.*$/gm[Symbol.match](outcome.stdout) ?? [];
      expect({ line, backing: backing(infos.ours) }).toEqual({ line, backing: backing(infos.theirs) });
    }
  });
});
