/** How an image is looked at when all is over: its metadata, and its content against what is expected. */

import type { BlockNode } from "@coblock/core";
import type { LabDisk } from "./lab-disk.ts";
import { RunFailure } from "./run-failure.ts";

/** Throws where the image's own check finds damage. A format without a check passes. */
export async function expectSound(node: BlockNode, options: { readonly leaksAllowed: boolean; readonly what: string }): Promise<void> {
  const found: string[] = [];
  const result = await node.check({ repair: "none" }, ({ severity, what }) => {
    if (severity === "error" || (severity === "leak" && !options.leaksAllowed)) found.push(what);
  });
  if (result === undefined) return;
  const { errors, corruptions, leaks } = result;
  if (errors + corruptions === 0 && (leaks === 0 || options.leaksAllowed)) return;
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
  for (const { offset, length } of disk.touched) await check(offset, length);
  for await (const { kind, offset, length } of node.extents()) {
    if (kind === "data" || kind === "compressed") await check(offset, length);
  }
}
