/** Pictures of chains that real tools made, held to what the real tool says of them. */

import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BlockGraph } from "@coblock/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DRIVERS } from "../drivers.ts";
import { Screen } from "../terminal/screen.ts";
import { DATA, HOLE, METADATA, RESERVED, UNALLOCATED, ZERO } from "./painted-kind.ts";
import { surveyImage, type Picture } from "./picture.ts";
import { drawAsSvg, SVG_COUNTS } from "./svg-picture.ts";
import { drawOnTerminal } from "./terminal-picture.ts";
import type { Strip } from "./strip.ts";

const MIB = 1024 * 1024;
const SIZE = 64 * MIB;

let folder = "";
const path = (name: string): string => join(folder, name);

function qemuImg(...words: readonly string[]): string {
  return execFileSync("qemu-img", words, { encoding: "utf8", cwd: folder });
}

function qemuIo(image: string, ...commands: readonly string[]): void {
  const { status, stderr } = spawnSync("qemu-io", ["-f", "qcow2", image], {
    input: `${commands.join("\n")}\nquit\n`,
    encoding: "utf8",
    cwd: folder,
  });
  if (status !== 0) throw new Error(stderr);
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "coblock-drawing-"));
  qemuImg("create", "-q", "-f", "qcow2", "base.qcow2", String(SIZE));
  qemuIo("base.qcow2", "write -P 1 0 8M", "write -P 2 40M 4M");
  qemuImg("create", "-q", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", "middle.qcow2");
  qemuIo("middle.qcow2", "write -P 3 4M 8M", "write -z 20M 2M");
  qemuImg("create", "-q", "-f", "qcow2", "-b", "middle.qcow2", "-F", "qcow2", "top & <more>.qcow2");
  // Backwards, so that the file is scattered.
  qemuIo("top & <more>.qcow2", "write -P 4 50M 64k", "write -P 5 10M 64k", "write -P 6 1M 64k", "write -c -P 7 60M 64k");
  qemuImg("create", "-q", "-f", "qcow2", "huge.qcow2", "1T");
  qemuIo("huge.qcow2", "write -P 1 0 64k", "write -P 1 512G 64k", "write -P 1 1048575M 1M");
});
afterAll(() => rmSync(folder, { recursive: true }));

async function survey(
  name: string,
  counts: { readonly diskCount: number; readonly layerCount: number; readonly fileCount: number } = SVG_COUNTS,
  end?: number,
): Promise<Picture> {
  await using graph = new BlockGraph({ drivers: DRIVERS, implicitOpen: "allow" });
  await using image = await graph.open(path(name), { readOnly: true });
  const progress: number[] = [];
  const onProgress = (done: number, total: number): number => progress.push(done / total);
  const picture = await surveyImage(image, {
    start: 0,
    end: end ?? image.size,
    ...counts,
    signal: new AbortController().signal,
    onProgress,
  });
  expect(progress).toEqual([...progress].sort((left, right) => left - right));
  expect(progress.at(-1)).toBeLessThan(1);
  return picture;
}

function totals(strip: Strip): Record<string, number> {
  return Object.fromEntries(strip.kinds.map((kind) => [kind.name, strip.total(kind)]).filter(([, bytes]) => bytes !== 0));
}

/** Each bucket is full, and holds no more than it is long. */
function expectWhole(strip: Strip): void {
  for (let bucket = 0; bucket < strip.count; bucket++)
    expect(strip.kinds.reduce((sum, kind) => sum + strip.bytes(bucket, kind), 0)).toBe(strip.length(bucket));
}

interface Run {
  readonly length: number;
  readonly depth: number;
  readonly present: boolean;
  readonly zero: boolean;
  readonly data: boolean;
  readonly offset?: number;
}

/** What qemu-img says of the bytes. */
function mappedByQemu(name: string): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const { length, depth, present, data, zero, offset } of JSON.parse(qemuImg("map", "--output=json", name)) as readonly Run[]) {
    const kind = !present
      ? UNALLOCATED.name
      : zero
        ? ZERO.name
        : depth > 0
          ? `layer ${depth}`
          : data && offset !== undefined
            ? DATA.name
            : "compressed data";
    sums[kind] = (sums[kind] ?? 0) + length;
  }
  return sums;
}

describe("a chain", () => {
  it("is what qemu-img says it is, byte for byte", async () => {
    const { disk, layers } = await survey("top & <more>.qcow2");
    expect(totals(disk)).toEqual(mappedByQemu("top & <more>.qcow2"));
    for (const strip of [disk, ...layers.map((layer) => layer.strip)]) {
      expectWhole(strip);
      expect(strip.size).toBe(SIZE);
    }
    expect(layers.map(({ strip }) => totals(strip))).toEqual([
      { data: 3 * 65_536, "compressed data": 65_536, unallocated: SIZE - 4 * 65_536 },
      { "layer 1": 8 * MIB, zeros: 2 * MIB, unallocated: SIZE - 10 * MIB },
      { "layer 2": 12 * MIB, unallocated: SIZE - 12 * MIB },
    ]);
  });

  it("shows what each file is used for, and how scattered it is", async () => {
    const { layers } = await survey("top & <more>.qcow2");
    const [top, middle, base] = layers.map(({ files }) => files[0]);
    for (const file of [top, middle, base]) {
      const strip = file?.strip();
      if (strip !== undefined) expectWhole(strip);
      expect(strip?.size).toBe(statSync(file?.fileName ?? "").size);
    }
    expect([top?.pieces, top?.backward]).toEqual([3, 2]);
    expect([base?.pieces, base?.backward, base?.strip().total(DATA)]).toEqual([1, 0, 12 * MIB]);
    expect(top?.strip().total(DATA)).toBe(3 * 65_536);
    const places = base?.positions(SIZE).filter((place) => place !== undefined) ?? [];
    expect(places).toEqual([...places].sort((left, right) => left - right));
    expect(layers[0]?.others).toEqual(["compressed and encrypted data"]);
  });

  it("is drawn with a legend and a line for each layer and file", async () => {
    const picture = await survey("top & <more>.qcow2", { diskCount: 4 * 70, layerCount: 70, fileCount: 70 });
    const screen = new Screen({ write: () => {}, columns: 80 }, {}, true);
    const text = drawOnTerminal(picture, screen);
    for (const line of text.split("\n")) expect(line.length).toBeLessThan(160);
    expect(text).toContain("64 MiB as a guest reads it");
    expect(text).toMatch(/ {5}0 B 2+1+·/);
    expect(text).toContain("layer 2: ");
    expect(text).toMatch(/data in 3 pieces of 64 KiB on average, 2 of them before/);
    expect(text).not.toContain("\u001b");
    const coloured = drawOnTerminal(picture, new Screen({ write: () => {}, columns: 80 }, { FORCE_COLOR: "1" }, true));
    expect(coloured).toContain("\u001b[38;5;32m");
    const ascii = drawOnTerminal(picture, new Screen({ write: () => {}, columns: 80 }, { LANG: "C" }, true));
    expect(ascii).toMatch(/^[\n -~]*$/);
  });
});

describe("1 TiB", () => {
  it("is counted to the byte in as many buckets as there are cells", async () => {
    const { disk, layers } = await survey("huge.qcow2", { diskCount: 100, layerCount: 10, fileCount: 10 });
    expect(disk.count).toBe(100);
    expectWhole(disk);
    expect(totals(disk)).toEqual(mappedByQemu("huge.qcow2"));
    expect([disk.bytes(0, DATA), disk.bytes(50, DATA), disk.bytes(99, DATA)]).toEqual([65_536, 65_536, MIB]);
    const strip = layers[0]?.files[0]?.strip();
    expect(strip?.kinds).toEqual([DATA, RESERVED, METADATA, HOLE]);
    expect(strip?.total(DATA)).toBe(MIB + 2 * 65_536);
  });

  it("can be shown in part", async () => {
    const { disk, layers } = await survey("huge.qcow2", SVG_COUNTS, MIB);
    expect(totals(disk)).toEqual({ data: 65_536, unallocated: MIB - 65_536 });
    expect(layers[0]?.others).toEqual(["the rest of the disk"]);
  });
});

describe("space that is kept in advance", () => {
  it("is the disk's, and what the host has stored beside it is metadata", async () => {
    qemuImg("create", "-q", "-f", "qcow2", "-o", "preallocation=metadata", "kept.qcow2", String(SIZE));
    const { layers } = await survey("kept.qcow2", { diskCount: 10, layerCount: 10, fileCount: 1 });
    const strip = layers[0]?.files[0]?.strip();
    // The host has stored nothing of it.
    expect(strip?.total(DATA)).toBe(0);
    expect(strip?.total(RESERVED)).toBe(SIZE);
    const stored = statSync(path("kept.qcow2")).blocks * 512;
    expect(strip?.total(METADATA)).toBeGreaterThan(0);
    expect(strip?.total(METADATA)).toBeLessThanOrEqual(stored);
    if (strip !== undefined) expectWhole(strip);
  });
});

describe("SVG", () => {
  it("is well-formed, says what it shows, and is small", async () => {
    const svg = drawAsSvg(await survey("top & <more>.qcow2"));
    const elements = parseXml(svg);
    expect(elements[0]).toBe("svg");
    expect(elements).toContain("title");
    expect(elements).toContain("desc");
    expect(/<desc[^>]*>(.*)<\/desc>/.exec(svg)?.[1]).toMatch(/^The disk: .*data in 3 pieces.*Layer 2, /);
    expect(svg).toMatch(/top &#38; &#60;more&#62;\.qcow2/);
    expect(svg).toContain("prefers-color-scheme:dark");
    expect(svg).not.toMatch(/NaN|Infinity|undefined|href=/);
    expect(svg.length).toBeLessThan(200 * 1024);
    // Checks the checker.
    expect(() => parseXml(svg.replace("</desc>", ""))).toThrow("desc");
    expect(() => parseXml(svg.replace("&#38;", "&"))).toThrow("&");
  });
});

/** The names of the elements in their order. Throws for what is not well-formed: tags that do not match, stray `<`, `&`, repeated attributes. */
function parseXml(text: string): readonly string[] {
  const elements: string[] = [];
  const open: string[] = [];
  let at = 0;
  const token = /<(\/?)([A-Za-z][\w-]*)((?:\s+[\w:-]+="[^"<]*")*)\s*(\/?)>|([^<]+)/y;
  while (at < text.length) {
    token.lastIndex = at;
    const match = token.exec(text);
    if (match === null) throw new Error(`not XML: ${text.slice(at, at + 40)}`);
    at = token.lastIndex;
    const [, closing, name = "", attributes = "", empty, content = attributes] = match;
    const stray = /&(?!#\d+;|amp;|lt;|gt;|quot;)/.exec(content);
    if (stray !== null) throw new Error(`a stray & in ${content}`);
    if (open.length === 0 && match[5] !== undefined && content.trim() !== "") throw new Error(`text outside: ${content}`);
    if (match[5] !== undefined) continue;
    const names = [...attributes.matchAll(/([\w:-]+)=/g)].map(([, attribute]) => attribute);
    if (new Set(names).size !== names.length) throw new Error(`an attribute twice in ${name}`);
    if (closing === "/") {
      const expected = open.pop();
      if (expected !== name) throw new Error(`</${name}> where ${expected} is open`);
    } else {
      elements.push(name);
      if (empty !== "/") open.push(name);
    }
  }
  if (open.length > 0) throw new Error(`not closed: ${open.join(", ")}`);
  return elements;
}
