/** Images for tests: graphs to open them with, the tools to compare with, and numbers from a seed. */

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { BlockGraph, type BlockNode, type Clock, fileDriver, rawDriver } from "@coblock/core";

import { qedDriver } from "../index.ts";
import { ScriptedFile } from "./scripted-file.ts";

export interface QedShape {
  readonly size: number;
  readonly clusterSize?: number;
  readonly tableSize?: number;
}

/** A graph whose `memory` driver is one scripted file with an empty QED image in it. */
export async function scriptedImage(shape: QedShape, clock?: Clock): Promise<{ readonly file: ScriptedFile; readonly graph: BlockGraph }> {
  const file = new ScriptedFile();
  const graph = new BlockGraph({ drivers: [file.entry, rawDriver, qedDriver], ...(clock === undefined ? {} : { clock }) });
  const values = { cluster_size: shape.clusterSize ?? 4096, table_size: shape.tableSize ?? 2 };
  await graph.create({ driver: "qed", filename: "memory:image", size: shape.size, values });
  file.log.length = 0;
  return { file, graph };
}

export const inMemory = { driver: "qed", file: { driver: "memory" } } as const;

/** Files and QED on the host. */
export function hostGraph(clock?: Clock): BlockGraph {
  return new BlockGraph({ drivers: [fileDriver, rawDriver, qedDriver], implicitOpen: "allow", ...(clock === undefined ? {} : { clock }) });
}

/** A directory that goes away with its scope. */
export class TemporaryDirectory implements Disposable {
  readonly #path = mkdtempSync(join(tmpdir(), "coblock-qed-"));

  file(name: string): string {
    return join(this.#path, name);
  }

  [Symbol.dispose](): void {
    rmSync(this.#path, { recursive: true });
  }
}

/** Runs `qemu-img`; throws with its words where it fails. */
export function qemuImg(...words: string[]): string {
  return execFileSync("qemu-img", words, { encoding: "utf8", stdio: "pipe" });
}

/** Runs commands of `qemu-io` on an image. */
export function qemuIo(file: string, ...commands: string[]): string {
  const words = commands.flatMap((command) => ["-c", command]);
  const output = execFileSync("qemu-io", ["-f", "qed", ...words, file], { encoding: "utf8", stdio: "pipe" });
  if (output.includes("failed")) throw new Error(output);
  return output;
}

export interface QemuCheck {
  readonly corruptions?: number;
  readonly leaks?: number;
  readonly "check-errors": number;
  readonly "allocated-clusters"?: number;
  readonly "fragmented-clusters"?: number;
  readonly "total-clusters"?: number;
}

/** What `qemu-img check` counts; it exits with 2 for corruptions and 3 for leaks. */
export function qemuCheck(file: string): QemuCheck {
  try {
    return JSON.parse(qemuImg("check", "-f", "qed", "--output=json", file)) as QemuCheck;
  } catch (error) {
    if (error instanceof Error && "stdout" in error && String(error.stdout).startsWith("{"))
      return JSON.parse(String(error.stdout)) as QemuCheck;
    throw error;
  }
}

export async function readAll(disk: BlockNode): Promise<Uint8Array> {
  const bytes = new Uint8Array(disk.size);
  await disk.read(0, bytes);
  return bytes;
}

/** Numbers that look random and come again with the seed (mulberry32). */
export function seeded(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

export function filled(length: number, value: number): Uint8Array {
  return new Uint8Array(length).fill(value);
}
