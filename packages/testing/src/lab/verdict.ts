/** How an image is looked at when all is over: its metadata, and its content against what is expected. */

import type { BlockGraph, BlockNode } from "@coblock/core";
import type { Lab } from "./lab.ts";
import type { LabDisk } from "./lab-disk.ts";
import { RunFailure } from "./run-failure.ts";

/** How strictly an image is looked at. */
export interface SoundOptions {
  readonly leaksAllowed: boolean;
  /** Errors that are none for the data. */
  readonly harmless?: RegExp | undefined;
  /** For messages. */
  readonly what: string;
}

/** Throws where the image's own check finds damage. A format without a check passes. */
export async function expectSound(node: BlockNode, options: SoundOptions): Promise<void> {
  const found: string[] = [];
  let harmless = 0;
  const result = await node.check({ repair: "none" }, ({ severity, what }) => {
    if (severity === "error" && options.harmless?.test(what) === true) harmless++;
    else if (severity === "error" || (severity === "leak" && !options.leaksAllowed)) found.push(what);
  });
  if (result === undefined) return;
  const { errors, corruptions, leaks } = result;
  if (errors + corruptions === harmless && (leaks === 0 || options.leaksAllowed)) return;
  const counts = `${options.what}: its check finds ${errors} errors, ${corruptions} corruptions, ${leaks} leaks`;
  throw new RunFailure("wrong", [counts, ...found.slice(0, 10)].join("\n  "));
}

/** Reads what has data, and whatever else the run has touched; `expect` throws where a sector holds what it must not. */
export async function expectContent(disk: LabDisk, node: BlockNode, expect: (offset: number, seen: Uint8Array) => void): Promise<void> {
  const check = async (offset: number, length: number): Promise<void> => {
    const seen = new Uint8Array(length);
    await node.read(offset, seen);
    try {
      expect(offset, seen);
    } catch (error) {
      throw RunFailure.of(error, "wrong", disk.name);
    }
  };
  // A disk that has shrunk ends before some of it.
  for (const { offset, length } of disk.touched) if (offset < node.size) await check(offset, Math.min(length, node.size - offset));
  for await (const { kind, offset, length } of node.extents()) {
    if (kind === "data" || kind === "compressed") await check(offset, length);
  }
}

/** Everything beyond the disks that somebody wants judged: see `Lab.alsoJudge`. */
export async function judgeAll(lab: Lab, judges: readonly ((graph: BlockGraph) => Promise<void>)[]): Promise<void> {
  for (const judge of judges) {
    await using graph = lab.newGraph();
    await judge(graph);
  }
}
