/** `coblock convert`: copies images into a new one. */

import {
  BlockError,
  copyDisk,
  type CopySource,
  newSpaceReadsZero,
  type BlockGraph,
  type BlockNode,
  type DirtyBitmap,
  type JobControl,
  type SnapshotSelector,
} from "@coblock/core";
import { defineCommand, type Command } from "../command.ts";
import { besides, flag, value, values, type CommandLine } from "../command-line.ts";
import { bitmapsToCopy, copyBitmaps } from "../convert-bitmaps.ts";
import { incomplete, makeTarget, openTarget, sharedDepthOf, type TargetWords } from "../convert-target.ts";
import { asksForHelp, parseCreationOptions } from "../creation-options.ts";
import { describeCreationOptions } from "../creation-text.ts";
import { CommandFailure } from "../failure.ts";
import { checkCacheMode, diskSize, loadFormat, openImage, rateControl } from "../images.ts";
import { systemWords } from "../io/failure.ts";
import type { Progress } from "../progress.ts";
import type { Session } from "../session.ts";
import { parseSnapshotWords } from "../snapshot-words.ts";
import { tellingStatus } from "../told-status.ts";
import { parseSize } from "../text/size.ts";

const OPTIONS = {
  format: value("f", besides("source-format")),
  targetFormat: value("O", besides("target-format")),
  creation: values("o", besides("options")),
  backingFile: value("B", besides("backing")),
  backingFormat: value("F", besides("backing-format")),
  sparseSize: value("S", besides("sparse-size")),
  parallel: value("m", besides("parallel")),
  outOfOrder: flag("W"),
  noCreate: flag("n", besides("no-create")),
  targetIsZero: flag(undefined, "target-is-zero"),
  salvage: flag(undefined, "salvage"),
  cache: value("t"),
  sourceCache: value("T"),
  progress: flag("p", besides("progress")),
  quiet: flag("q", besides("quiet")),
  imageOptions: flag(undefined, "image-opts"),
  targetImageOptions: flag(undefined, "target-image-opts"),
  forceShare: flag("U", "force-share"),
  compress: flag("c", besides("compress")),
  copyOffloading: flag("C"),
  snapshot: value("l"),
  rateLimit: value("r", besides("rate-limit")),
  bitmaps: flag(undefined, "bitmaps"),
  skipBrokenBitmaps: flag(undefined, "skip-broken-bitmaps"),
} as const;
type Words = CommandLine<typeof OPTIONS>["options"];

const PROGRESS_STEP_PERCENT = 1;
const MAX_SPARSE_SIZE = 16 * 1024 * 1024;
const SECTOR_LENGTH = 512;
const MAX_PARALLEL = 16;

export const command: Command = defineCommand({
  name: "convert",
  manual: async () => (await import("../manual/convert.ts")).page,
  options: OPTIONS,
  run: async ({ options, operands }, session) => {
    await using graph = session.createGraph();
    if (asksForHelp(options.creation)) {
      session.output.print(
        describeCreationOptions(await loadFormat(graph, options.targetFormat ?? "raw"), operands.at(-1), session.program),
      );
      return 0;
    }
    const names = operands.slice(0, -1);
    const targetName = operands.at(-1);
    if (targetName === undefined || names.length === 0)
      throw new CommandFailure("convert: Must specify image file name", 1, { words: ["Must specify image file name"] });
    const settings = checkWords(options, names.length);
    await using sources = new Sources();
    for (const name of names) sources.nodes.push(await openImage(graph, { name, ...sourceWords(options) }, session));
    const [source] = sources.nodes;
    const bitmaps = options.bitmaps && source !== undefined ? await bitmapsToCopy(source, options) : [];
    await convert({ graph, sources: sources.nodes, bitmaps, targetName, options, settings }, session);
    return 0;
  },
});

/** Open images that are closed together. */
class Sources implements AsyncDisposable {
  readonly nodes: BlockNode[] = [];

  async [Symbol.asyncDispose](): Promise<void> {
    for (const node of this.nodes.reverse()) await node[Symbol.asyncDispose]();
  }
}

interface Settings {
  readonly sparseSize: number;
  readonly control: JobControl;
  readonly parallel: number;
  readonly compress: boolean;
}

/** Throws CommandFailure for words that are wrong alone or do not go together. */
function checkWords(options: Words, sourceCount: number): Settings {
  checkCacheMode(options.cache, "cache");
  checkCacheMode(options.sourceCache, "source cache");
  const sparseSize = options.sparseSize === undefined ? 4096 : parseSize(options.sparseSize, "buffer size for sparse output");
  if (sparseSize % SECTOR_LENGTH !== 0 || sparseSize > MAX_SPARSE_SIZE) {
    throw new CommandFailure(
      `Invalid buffer size for sparse output specified. Valid sizes are multiples of ${SECTOR_LENGTH} up to ${MAX_SPARSE_SIZE}. Select 0 to disable sparse detection (fully allocates output).`,
    );
  }
  const parallel = options.parallel === undefined ? 4 : /^(?:0x[0-9a-f]+|\d+)$/i.test(options.parallel) ? Number(options.parallel) : 0;
  if (parallel < 1 || parallel > MAX_PARALLEL)
    throw new CommandFailure(`Invalid number of coroutines. Allowed number of coroutines is between 1 and ${MAX_PARALLEL}`);
  const control = rateControl(options.rateLimit);
  if (options.copyOffloading && options.sparseSize !== undefined) throw new CommandFailure("Cannot enable copy offloading when -S is used");
  if (options.copyOffloading && options.compress) throw new CommandFailure("Cannot enable copy offloading when -c is used");
  if (options.noCreate && options.creation.length > 0) throw new CommandFailure("-o has no effect when skipping image creation");
  if (options.targetIsZero && !options.noCreate) throw new CommandFailure("--target-is-zero requires use of -n flag");
  if (options.targetImageOptions && !options.noCreate) throw new CommandFailure("--target-image-opts requires use of -n flag");
  if (options.skipBrokenBitmaps && !options.bitmaps) throw new CommandFailure("Use of --skip-broken-bitmaps requires --bitmaps");
  if (options.bitmaps && sourceCount > 1) throw new CommandFailure("Copying bitmaps only possible with single source");
  if (options.snapshot !== undefined && sourceCount > 1) throw new CommandFailure("No support for concatenating multiple snapshot");
  if (options.backingFile !== undefined && sourceCount > 1) {
    throw new CommandFailure("Having a backing file for the target makes no sense when concatenating multiple input images");
  }
  return { sparseSize, control, parallel, compress: options.compress };
}

function sourceWords({ format, imageOptions, forceShare, snapshot }: Words): {
  readonly snapshot: SnapshotSelector | undefined;
  readonly format: string | undefined;
  readonly imageOptions: boolean;
  readonly forceShare: boolean;
} {
  return { format, imageOptions, forceShare, snapshot: parseSnapshotWords(snapshot) };
}

interface Conversion {
  readonly graph: BlockGraph;
  readonly sources: readonly BlockNode[];
  readonly targetName: string;
  readonly options: Words;
  readonly settings: Settings;
  readonly bitmaps: readonly DirtyBitmap[];
}

async function convert({ graph, sources, targetName, options, settings, bitmaps }: Conversion, session: Session): Promise<void> {
  const driver = await loadFormat(graph, options.targetFormat ?? "raw");
  const given = parseCreationOptions(driver, options.creation);
  if (settings.compress && !options.noCreate && driver.name !== "qcow2")
    throw new CommandFailure("Compression not supported for this file format");
  const creation = {
    ...given,
    // qemu-img passes over a size that is asked for.
    size: (session.program.kind === "coblock" ? given.size : undefined) ?? sources.reduce((sum, source) => sum + diskSize(source), 0),
    backingFile: options.backingFile ?? given.backingFile,
    backingFormat: options.backingFormat ?? given.backingFormat,
  };
  const words: TargetWords = {
    graph,
    driver,
    name: targetName,
    imageOptions: options.targetImageOptions,
    explicitFormat: options.targetFormat,
    cacheMode: options.cache,
  };
  if (!options.noCreate) await makeTarget(words, creation, sources, session);
  const hasBacking = !options.noCreate && creation.backingFile !== undefined;
  await using target = await openTarget(words, creation.values, session);
  if (target.size < sources.reduce((sum, source) => sum + source.size, 0))
    throw new CommandFailure("output file is smaller than input file");
  if (options.bitmaps && !target.bitmaps.canKeep) throw new CommandFailure(`Format driver '${target.driver}' does not support bitmaps`);
  const targetIsZero = options.noCreate ? options.targetIsZero : await isFreshZero(target, hasBacking);
  const sharedDepth = hasBacking && sources[0] !== undefined ? { sharedDepth: sharedDepthOf(sources[0], target) } : {};
  const progress = session.startProgress({
    printed: options.progress && !options.quiet,
    quiet: options.quiet,
    stepPercent: PROGRESS_STEP_PERCENT,
  });
  try {
    const copying = { target, targetIsZero, ...sharedDepth, ...settings, signal: session.signal, progress };
    await copyAll(sources, { ...copying, salvage: options.salvage }, session);
    progress.finish();
  } catch (error) {
    throw incomplete(error, targetName);
  } finally {
    progress.end();
  }
  await copyBitmaps(bitmaps, target, session);
}

/** New images are zeros, but for encrypted ones and devices, which keep what was on them: their status tells. */
async function isFreshZero(target: BlockNode, hasBacking: boolean): Promise<boolean> {
  if (!newSpaceReadsZero(target)) return false;
  return (await target.allocatedSize()) !== undefined || (!hasBacking && (await target.readsAsZero(0, target.size)));
}

interface Copying extends Settings {
  readonly target: BlockNode;
  readonly targetIsZero: boolean;
  readonly sharedDepth?: number;
  readonly signal: AbortSignal;
  readonly progress: Progress;
  readonly salvage: boolean;
}

async function copyAll(sources: readonly BlockNode[], { progress, salvage, ...copying }: Copying, session: Session): Promise<void> {
  const wholeSize = sources.reduce((sum, source) => sum + diskSize(source), 0);
  let targetOffset = 0;
  for (const source of sources) {
    const before = targetOffset;
    // With several sources each counts by its size, whatever share of it is data.
    const onProgress = (done: number, total: number): void => {
      if (sources.length === 1) progress.update(done, total);
      else progress.update(before + (total === 0 ? 0 : (done / total) * source.size), wholeSize);
    };
    const onReadError = (offset: number, length: number, error: unknown): void => {
      warnOfLoss(source, { offset, length, error }, session);
    };
    const from = salvage ? source : tellingReads(source, targetOffset);
    await copyDisk({ ...copying, source: from, targetOffset, onProgress, ...(salvage ? { onReadError } : {}) });
    targetOffset += diskSize(source);
  }
}

/** qemu-img tells of each sector. */
function warnOfLoss(
  { fileName }: BlockNode,
  { offset, length, error }: { readonly offset: number; readonly length: number; readonly error: unknown },
  session: Session,
): void {
  if (session.program.kind === "coblock")
    return session.complain(`warning: ${length} bytes at offset ${offset} of '${fileName}' became zeros: ${(error as Error).message}`);
  for (let sector = offset; sector < offset + length; sector += SECTOR_LENGTH)
    session.complain(`warning: error while reading offset ${sector}: ${systemWords(error)}`);
}

/** A read that fails is told with its place in the target, as qemu-img tells it. */
function tellingReads(source: BlockNode, targetOffset: number): CopySource {
  return {
    size: source.size,
    optimalTransfer: source.optimalTransfer,
    extents: (range) =>
      tellingStatus(source.extents(range), (at) => `error while reading block status at offset ${at ?? range?.offset ?? 0}`),
    read: async (offset, buffer, options) => {
      try {
        await source.read(offset, buffer, options);
      } catch (cause) {
        if (!(cause instanceof BlockError)) throw cause;
        const words = [`error while reading at byte ${targetOffset + offset}: ${systemWords(cause)}`];
        throw new CommandFailure(cause.message, 1, { cause, words });
      }
    },
  };
}
