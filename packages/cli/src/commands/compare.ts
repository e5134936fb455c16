/** `coblock compare`: whether two images hold the same bytes. */

import { BlockStatusError, compareDisks, type BlockGraph, type BlockNode, type Comparison } from "@coblock/core";
import { defineCommand, type Command } from "../command.ts";
import { flag, value } from "../command-line.ts";
import { CommandFailure, UsageFailure, withExitCode } from "../failure.ts";
import { checkCacheMode, diskSize, openImage, type ImageWords } from "../images.ts";
import type { Session } from "../session.ts";

const OPTIONS = {
  format: value("f", "a-format"),
  otherFormat: value("F", "b-format"),
  cache: value("T"),
  progress: flag("p", "progress"),
  quiet: flag("q", "quiet"),
  strict: flag("s", "strict"),
  imageOptions: flag(undefined, "image-opts"),
  forceShare: flag("U", "force-share"),
} as const;

const EXIT_DIFFERENT = 1;
const EXIT_OPEN = 2;
const EXIT_STATUS = 3;
const EXIT_READ = 4;
const PROGRESS_STEP_PERCENT = 2;

export const command: Command = defineCommand({
  name: "compare",
  manual: async () => (await import("../manual/compare.ts")).page,
  options: OPTIONS,
  run: async ({ options, operands }, session) => {
    const [leftName, rightName, ...more] = operands;
    if (leftName === undefined || rightName === undefined || more.length > 0)
      throw new UsageFailure("compare", "Expecting two image file names");
    await using graph = session.createGraph();
    const { imageOptions, forceShare, strict, quiet } = options;
    checkCache(options.cache);
    if (imageOptions && (options.format ?? options.otherFormat) !== undefined)
      throw new CommandFailure("--image-opts and --format are mutually exclusive", EXIT_OPEN);
    await using left = await open(graph, { name: leftName, format: options.format, imageOptions, forceShare }, session);
    await using right = await open(graph, { name: rightName, format: options.otherFormat, imageOptions, forceShare }, session);
    const progress = session.startProgress({ printed: options.progress && !quiet, quiet, stepPercent: PROGRESS_STEP_PERCENT });
    let words = "";
    try {
      const comparison = await compare(left, right, strict, (done, total) => progress.update(done, total), session);
      if (comparison.kind === "identical") progress.finish();
      words = sizeWarning(left, right, comparison) + describe(comparison);
      return comparison.kind === "identical" ? 0 : EXIT_DIFFERENT;
    } finally {
      progress.end(() => session.output.print(quiet ? "" : words));
    }
  },
});

function checkCache(cache: string | undefined): void {
  try {
    checkCacheMode(cache, "source cache");
  } catch (error) {
    throw error instanceof CommandFailure ? new CommandFailure(error.message, EXIT_OPEN) : error;
  }
}

async function open(graph: BlockGraph, words: ImageWords, session: Session): Promise<BlockNode> {
  try {
    return await openImage(graph, words, session);
  } catch (error) {
    throw withExitCode(error, EXIT_OPEN);
  }
}

async function compare(
  left: BlockNode,
  right: BlockNode,
  strict: boolean,
  onProgress: (done: number, total: number) => void,
  session: Session,
): Promise<Comparison> {
  try {
    return await compareDisks({ left, right, strict, signal: session.signal, onProgress });
  } catch (error) {
    throw withExitCode(error, error instanceof BlockStatusError ? EXIT_STATUS : EXIT_READ);
  }
}

/** Sizes matter only where all that both images have is the same. */
function sizeWarning(left: BlockNode, right: BlockNode, comparison: Comparison): string {
  if (diskSize(left) === diskSize(right) || comparison.kind === "size") return "";
  const isBehindShorter = comparison.kind === "identical" || comparison.offset >= Math.min(left.size, right.size);
  return isBehindShorter ? "Warning: Image size mismatch!\n" : "";
}

function describe(comparison: Comparison): string {
  if (comparison.kind === "identical") return "Images are identical.\n";
  if (comparison.kind === "content") return `Content mismatch at offset ${comparison.offset}!\n`;
  if (comparison.kind === "status") return `Strict mode: Offset ${comparison.offset} block status mismatch!\n`;
  return "Strict mode: Image size mismatch!\n";
}
