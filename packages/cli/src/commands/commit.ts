/** `coblock commit`: moves what an overlay holds into its backing file. */

import { normalize } from "node:path";
import { chainOf, commitDisk, resolveBeside, type BlockGraph, type BlockNode } from "@coblock/core";
import { defineCommand, type Command } from "../command.ts";
import { besides, flag, value, type CommandLine } from "../command-line.ts";
import { CommandFailure, UsageFailure } from "../failure.ts";
import { checkCacheMode, openImage, rateControl } from "../images.ts";
import type { Session } from "../session.ts";

const OPTIONS = {
  format: value("f", besides("format")),
  base: value("b", besides("base")),
  drop: flag("d", besides("drop")),
  cache: value("t", besides("cache")),
  rateLimit: value("r", besides("rate-limit")),
  progress: flag("p", besides("progress")),
  quiet: flag("q", besides("quiet")),
  imageOptions: flag(undefined, "image-opts"),
} as const;
type Words = CommandLine<typeof OPTIONS>["options"];

export const command: Command = defineCommand({
  name: "commit",
  manual: async () => (await import("../manual/commit.ts")).page,
  options: OPTIONS,
  run: async ({ options, operands }, session) => {
    const [name, ...more] = operands;
    if (name === undefined || more.length > 0) throw new UsageFailure("commit", "Expecting one image file name");
    checkCacheMode(options.cache, "cache");
    const control = rateControl(options.rateLimit);
    await using graph = session.createGraph();
    const depth = options.base === undefined ? 1 : await depthOf(graph, name, options.base, options, session);
    await using overlay = await openImage(graph, { name, ...wordsOf(options), writable: true, writableBacking: depth }, session);
    const base = chainOf(overlay)[depth];
    if (base === undefined) throw new CommandFailure("Image does not have a backing file");
    const progress = session.startProgress({ printed: options.progress && !options.quiet, quiet: options.quiet, stepPercent: 1 });
    try {
      const empty = !options.drop && options.base === undefined;
      await commitDisk({
        overlay,
        base,
        empty,
        control,
        signal: session.signal,
        onProgress: (done, total) => progress.update(done, total),
      });
      progress.finish();
    } finally {
      progress.end();
    }
    if (!options.quiet) session.output.line("Image committed.");
    return 0;
  },
});

function wordsOf({ format, imageOptions, cache }: Words) {
  return { format, imageOptions, noFlush: cache === "unsafe" };
}

/** How far below the image `base` is: named as the chain names it, or as it is seen from here, or from the image's folder. */
async function depthOf(graph: BlockGraph, name: string, base: string, options: Words, session: Session): Promise<number> {
  await using image = await openImage(graph, { name, ...wordsOf(options) }, session);
  const depth = chainOf(image).findIndex((member, index) => index > 0 && isNamed(member, base, image));
  if (depth === -1) throw new CommandFailure(`Did not find '${base}' in the backing chain of '${name}'`);
  return depth;
}

function isNamed({ fileName }: BlockNode, name: string, image: BlockNode): boolean {
  return [name, resolveBeside(image.fileName, name)].some((one) => normalize(one) === normalize(fileName));
}
