/** `coblock rebase`: another backing file for an image. */

import { BlockError, rebaseDisk, resolveBeside, type BlockGraph, type BlockNode } from "@coblock/core";
import { defineCommand, type Command } from "../command.ts";
import { besides, flag, value, type CommandLine } from "../command-line.ts";
import { CommandFailure, OpenFailure, UsageFailure } from "../failure.ts";
import { checkCacheMode, loadFormat, openImage } from "../images.ts";
import type { Session } from "../session.ts";

const OPTIONS = {
  format: value("f", besides("format")),
  backingFile: value("b", besides("backing")),
  backingFormat: value("F", besides("backing-format")),
  unsafe: flag("u", besides("unsafe")),
  cache: value("t", besides("cache")),
  sourceCache: value("T", besides("source-cache")),
  progress: flag("p", besides("progress")),
  quiet: flag("q", besides("quiet")),
  imageOptions: flag(undefined, "image-opts"),
  forceShare: flag("U", "force-share"),
} as const;
type Words = CommandLine<typeof OPTIONS>["options"];

export const command: Command = defineCommand({
  name: "rebase",
  manual: async () => (await import("../manual/rebase.ts")).page,
  options: OPTIONS,
  run: async ({ options, operands }, session) => {
    const [name, ...more] = operands;
    if (name === undefined || more.length > 0) throw new UsageFailure("rebase", "Expecting one image file name");
    if (options.backingFile === undefined && !options.unsafe)
      throw new UsageFailure("rebase", "Must specify backing file (-b) or use unsafe mode (-u)");
    checkCacheMode(options.cache, "cache");
    checkCacheMode(options.sourceCache, "source cache");
    await using graph = session.createGraph();
    const { format, imageOptions, unsafe, cache } = options;
    await using overlay = await openImage(
      graph,
      { name, format, imageOptions, writable: true, alone: unsafe, noFlush: cache === "unsafe" },
      session,
    );
    if (options.backingFormat !== undefined) await checkFormat(graph, options.backingFormat);
    if (unsafe) await changeName(overlay, options, session);
    else await changeFile(graph, overlay, options, session);
    return 0;
  },
});

async function checkFormat(graph: BlockGraph, format: string): Promise<void> {
  await loadFormat(graph, format).catch((cause: unknown) => {
    throw cause instanceof CommandFailure ? new CommandFailure(`Invalid format name: '${format}'`, 1, { cause }) : cause;
  });
}

async function changeName(overlay: BlockNode, options: Words, session: Session): Promise<void> {
  const name = options.backingFile ?? "";
  requireFormat(options);
  const progress = session.startProgress({ printed: options.progress && !options.quiet, quiet: options.quiet, stepPercent: 1 });
  try {
    await overlay.changeBacking(name === "" ? undefined : { filename: name, format: options.backingFormat });
    progress.finish();
  } catch (error) {
    throw notChanged(error, name);
  } finally {
    progress.end();
  }
}

async function changeFile(graph: BlockGraph, overlay: BlockNode, options: Words, session: Session): Promise<void> {
  const name = options.backingFile ?? "";
  const { backingFormat: format } = options;
  await using node = name === "" ? undefined : await openBacking(graph, resolveBeside(overlay.fileName, name), options, session);
  requireFormat(options);
  const progress = session.startProgress({ printed: options.progress && !options.quiet, quiet: options.quiet, stepPercent: 1 });
  try {
    await rebaseDisk({
      overlay,
      backing: node === undefined ? undefined : { filename: name, format, node },
      signal: session.signal,
      onProgress: (done, total) => progress.update(done, total),
    });
    progress.finish();
  } catch (error) {
    throw notChanged(error, name);
  } finally {
    progress.end();
  }
}

async function openBacking(
  graph: BlockGraph,
  path: string,
  { backingFile, backingFormat, forceShare }: Words,
  session: Session,
): Promise<BlockNode> {
  try {
    return await openImage(graph, { name: path, format: backingFormat, forceShare }, session);
  } catch (error) {
    if (!(error instanceof OpenFailure)) throw error;
    const words = [`Could not open new backing file '${backingFile}': ${error.reason}`];
    throw new CommandFailure(`Could not open new backing file '${backingFile}': ${error.message}`, 1, { cause: error, words });
  }
}

/** Nobody shall have to guess the format of a backing file: a guest could make a raw one look like another. */
function requireFormat({ backingFile: name, backingFormat }: Words): void {
  if (name !== undefined && name !== "" && backingFormat === undefined)
    throw new CommandFailure(`Could not change the backing file to '${name}': backing format must be specified`);
}

function notChanged(error: unknown, name: string): unknown {
  if (!(error instanceof BlockError)) return error;
  const reason = error.code === "UNSUPPORTED_FEATURE" ? "Operation not supported" : error.message;
  return new CommandFailure(`Could not change the backing file to '${name}': ${reason}`, 1, { cause: error });
}
