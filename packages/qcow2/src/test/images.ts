/** Images for tests: graphs to open them with, the tools to compare with, and numbers from a seed. */

import { execFileSync, spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BlockGraph, type BlockNode, type DirtyExtent, fileDriver, memoryDriver, rawDriver } from "@coblock/core";
import { qcow2Driver } from "../index.ts";

/** Files and qcow2 on the host, and in memory. */
export function hostGraph(): BlockGraph {
  return new BlockGraph({ drivers: [fileDriver, memoryDriver, rawDriver, qcow2Driver], implicitOpen: "allow" });
}

/** A directory that goes away with its scope. */
export class TemporaryDirectory implements Disposable {
  readonly #path = mkdtempSync(join(tmpdir(), "coblock-qcow2-"));

  file(name: string): string {
    return join(this.#path, name);
  }

  [Symbol.dispose](): void {
    rmSync(this.#path, { recursive: true });
  }
}

/** Runs `qemu-img`; throws with its words where it fails. */
export function qemuImg(...words: string[]): string {
  return execFileSync("qemu-img", words, { encoding: "utf8", stdio: "pipe", maxBuffer: 2 ** 28 });
}

/** What `qemu-img` says where it is expected to fail. */
export function qemuImgRefusal(...words: string[]): string {
  const { status, stderr } = spawnSync("qemu-img", words, { encoding: "utf8" });
  if (status === 0) throw new Error(`qemu-img ${words.join(" ")} did not fail`);
  return stderr;
}

/** Runs commands of `qemu-io` on an image. */
export function qemuIo(file: string, ...commands: string[]): void {
  const words = commands.flatMap((command) => ["-c", command]);
  const output = execFileSync("qemu-io", ["-f", "qcow2", ...words, file], { encoding: "utf8", stdio: "pipe" });
  if (output.includes("failed")) throw new Error(output);
}

/** A new image by `qemu-img`. */
export function qemuCreate(file: string, size: number | string, options = ""): string {
  qemuImg("create", "-q", "-f", "qcow2", ...(options === "" ? [] : ["-o", options]), file, String(size));
  return file;
}

/** What changed by a bitmap of the image, as QEMU serves it to whoever makes backups: a copy, for the server ends when it likes to. */
export function qemuDirty(file: string, bitmap: string): DirtyExtent[] {
  return servedDirty(file, bitmap, (served) => ["-f", "qcow2", served]);
}

/** The same with the words of `qemu-nbd` that open the copy. */
export function servedDirty(file: string, bitmap: string, openingWords: (served: string) => readonly string[]): DirtyExtent[] {
  const served = join(mkdtempSync(`${file}.served-`), "image");
  const socket = `${served}.socket`;
  copyFileSync(file, served);
  execFileSync("qemu-nbd", ["--fork", "-r", "-B", bitmap, `--socket=${socket}`, ...openingWords(served)], { stdio: "ignore" });
  const options = `driver=nbd,server.type=unix,server.path=${socket},x-dirty-bitmap=qemu:dirty-bitmap:${bitmap}`;
  const runs = JSON.parse(qemuImg("map", "--output=json", "--image-opts", options)) as { start: number; length: number; data: boolean }[];
  rmSync(served);
  return runs.flatMap(({ start, length, data }) => (data ? [] : [{ offset: start, length }]));
}

/** The bitmaps that `qemu-img info` lists. */
export function qemuBitmaps(file: string): { readonly name: string; readonly flags: readonly string[]; readonly granularity: number }[] {
  const info = JSON.parse(qemuImg("info", "--output=json", "-U", file)) as {
    "format-specific": { data: { bitmaps?: { name: string; flags: string[]; granularity: number }[] } };
  };
  return info["format-specific"].data.bitmaps ?? [];
}

/** Throws unless `qemu-img check` finds neither errors nor leaks. */
export function expectClean(file: string): void {
  const { status, stdout, stderr } = spawnSync("qemu-img", ["check", "-f", "qcow2", file], { encoding: "utf8" });
  if (status !== 0) throw new Error(`qemu-img check: ${stderr}${stdout}`);
}

/** The whole disk, as `qemu-img` reads it. */
export function qemuContent(file: string, ...words: string[]): Buffer {
  const target = `${file}.content`;
  qemuImg("convert", "-f", "qcow2", ...words, "-O", "raw", file, target);
  const bytes = readFileSync(target);
  rmSync(target);
  return bytes;
}

/** The whole disk, as the node reads it. */
export async function contentOf(disk: BlockNode): Promise<Buffer> {
  const bytes = Buffer.alloc(disk.size);
  await disk.read(0, bytes);
  return bytes;
}

/** Changes bytes of a file on the host. */
export function patch(file: string, change: (bytes: Buffer) => Buffer | undefined): void {
  const bytes = readFileSync(file);
  writeFileSync(file, change(bytes) ?? bytes);
}

/** Where the tables of an image lie that `patch` is about to damage. */
export function places(bytes: Buffer): {
  readonly clusterSize: number;
  readonly l1: number;
  readonly l2: number;
  readonly refcountTable: number;
  readonly refcountBlock: number;
} {
  const l1 = Number(bytes.readBigUInt64BE(40));
  const refcountTable = Number(bytes.readBigUInt64BE(48));
  return {
    clusterSize: 2 ** bytes.readUInt32BE(20),
    l1,
    l2: Number(bytes.readBigUInt64BE(l1) % 2n ** 56n),
    refcountTable,
    refcountBlock: Number(bytes.readBigUInt64BE(refcountTable)),
  };
}

/** The same numbers for the same seed. */
export class Seeded {
  #state: number;

  constructor(seed: number) {
    this.#state = (seed * 2_654_435_761) >>> 0;
  }

  /** A whole number, 0 ≤ the answer < `limit`. */
  below(limit: number): number {
    this.#state = (Math.imul(this.#state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((this.#state / 2 ** 32) * limit);
  }

  /** True once in `times`. */
  once(times: number): boolean {
    return this.below(times) === 0;
  }

  pick<Item>(items: readonly Item[]): Item {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new Error("nothing to pick from");
    return item;
  }

  /** Four at a time, for there may be millions. */
  bytes(length: number): Buffer {
    const words = new Uint32Array(Math.ceil(length / 4));
    for (let at = 0; at < words.length; at++) {
      this.#state = (Math.imul(this.#state, 1_664_525) + 1_013_904_223) >>> 0;
      words[at] = Math.imul(this.#state, 0x9e37_79b1);
    }
    return Buffer.from(words.buffer, 0, length);
  }
}
