/** `coblock compare`: whether two images hold the same bytes. */

import { BlockStatusError, compareDisks, CompareReadError, type BlockGraph, type BlockNode, type Comparison } from "@coblock/core";
import { defineCommand, type Command } from "../command.ts";
import { besides, flag, value } from "../command-line.ts";
import { systemWords } from "../io/failure.ts";
import { CommandFailure, UsageFailure, withExitCode } from "../failure.ts";
import { checkCacheMode, diskSize, openImage, type ImageWords } from "../images.ts";
import type { Session } from "../session.ts";

const OPTIONS = {
  format: value("f", besides("a-format")),
  otherFormat: value("F", besides("b-format")),
  cache: value("T"),
  progress: flag("p", besides("progress")),
  quiet: flag("q", besides("quiet")),
  strict: flag("s", besides("strict")),
  imageOptions: flag(undefined, "image-opts"),
  forceShare: flag("U", "force-share"),
} as const;

const EXIT_DIFFERENT = 1;
const EXIT_OPEN = 2;
const EXIT_STATUS = 3;
const EXIT_READ = 4;
const PROGRESS_STEP_PERCENT = 2;
const SIZE_WARNING = "Warning: Image size mismatch!\n";

export const command: Command = defineCommand({
  name: "compare",
  manual: async () => (await import("../manual/compare.ts")).page,
  options: OPTIONS,
  objectExitCode: EXIT_OPEN,
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
    // That the sizes differ is told where the shorter image ends.
    const shorter = Math.min(left.size, right.size);
    let warning = diskSize(left) === diskSize(right) ? "" : SIZE_WARNING;
    const warn = (): void => {
      if (!quiet) session.output.print(warning);
      warning = "";
    };
    try {
      const onProgress = (done: number, total: number): void => {
        if (done > shorter) warn();
        progress.update(done, total);
      };
      const nameOf = (disk: BlockNode): string => (disk === left ? leftName : rightName);
      const comparison = await compareDisks({ left, right, strict, onProgress, signal: session.signal }).catch((error: unknown) => {
        throw comparisonFailure(error, nameOf);
      });
      if (comparison.kind === "identical" || (comparison.kind !== "size" && comparison.offset >= shorter)) warn();
      if (comparison.kind === "identical") progress.finish();
      words = describe(comparison);
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

function comparisonFailure(error: unknown, nameOf: (disk: BlockNode) => string): unknown {
  if (error instanceof BlockStatusError) {
    const words = [`Sector allocation test failed for ${nameOf(error.disk)}`];
    return new CommandFailure(error.message, EXIT_STATUS, { cause: error, words });
  }
  if (!(error instanceof CompareReadError)) return withExitCode(error, EXIT_READ);
  const words = [`Error while reading offset ${error.offset} of ${nameOf(error.disk)}: ${systemWords(error)}`];
  return new CommandFailure(error.message, EXIT_READ, { cause: error, words });
}

function describe(comparison: Comparison): string {
  if (comparison.kind === "identical") return "Images are identical.\n";
  if (comparison.kind === "content") return `Content mismatch at offset ${comparison.offset}!\n`;
  if (comparison.kind === "status") return `Strict mode: Offset ${comparison.offset} block status mismatch!\n`;
  return "Strict mode: Image size mismatch!\n";
}
