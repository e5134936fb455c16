/** `coblock commit`: moves what an overlay holds into its backing file. */

import { chainOf, commitDisk, resolveBeside, type BlockGraph, type BlockNode } from "@coblock/core";
import { defineCommand, type Command } from "../command.ts";
import { flag, value, type CommandLine } from "../command-line.ts";
import { CommandFailure, UsageFailure } from "../failure.ts";
import { checkCacheMode, openImage, rateControl } from "../images.ts";
import type { Session } from "../session.ts";

const OPTIONS = {
  format: value("f", "format"),
  base: value("b", "base"),
  drop: flag("d", "drop"),
  cache: value("t", "cache"),
  rateLimit: value("r", "rate-limit"),
  progress: flag("p", "progress"),
  quiet: flag("q", "quiet"),
  imageOptions: flag(undefined, "image-opts"),
} as const;
type Words = CommandLine<typeof OPTIONS>["options"];

const HELP = `
usage: coblock commit [-f fmt] [-b base] [-d] [-t cache] [-r rate_limit] [-p] [-q] [--image-opts] filename
Afterwards the backing file has the bytes of the image, and the image is empty where its format can be.
  -b base   a file further down in the backing chain; the images between are of no use any more. Implies -d
  -d        leave the image as it is: it will be deleted
  -t mode   "writeback" (default) and the others: what is done is on the disk; "unsafe": in the host's page cache
  -r rate   at most that many bytes a second
  -p        print how far it is`;

export const command: Command = defineCommand({
  name: "commit",
  help: HELP,
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
  return fileName === name || fileName === resolveBeside(image.fileName, name);
}
