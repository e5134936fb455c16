/** How commands open the images that their words name. */

import {
  BlockError,
  chainOf,
  JobControl,
  nestOptions,
  parseFileName,
  type BlockGraph,
  type BlockNode,
  type DescribedNode,
  type OpenOptions,
  type SnapshotSelector,
} from "@coblock/core";
import { CommandFailure, OpenFailure } from "./failure.ts";
import { describeAlone, describeName } from "./lone-image.ts";
import { guessedRawWords, openWords, qemuWords } from "./qemu-words.ts";
import type { Session } from "./session.ts";
import { parseFlag, parseKeyValues } from "./text/key-values.ts";
import { parseSize } from "./text/size.ts";

/** Guest disks are counted in whole sectors, as qemu-img counts them. */
const SECTOR_LENGTH = 512;

const CACHE_MODES = ["none", "off", "writeback", "writethrough", "directsync", "unsafe"];

export interface ImageWords {
  readonly name: string;
  /** `-f`. */
  readonly format?: string | undefined;
  /** `--image-opts`: the name is a list of options. */
  readonly imageOptions?: boolean;
  /** `-U`. */
  readonly forceShare?: boolean;
  readonly writable?: boolean;
  /** Opened to be checked, whatever its state. */
  readonly forCheck?: boolean;
  /** That many layers below, the backing file is writable too. */
  readonly writableBacking?: number;
  /** Flushes stop at the host's page cache. */
  readonly noFlush?: boolean;
  /** Leave the files that the image names unopened. */
  readonly alone?: boolean;
  /** Nothing will be read: also as qemu-img without a passphrase. */
  readonly keyless?: boolean;
  /** Open the disk as this snapshot inside the image has it. */
  readonly snapshot?: SnapshotSelector | undefined;
}

/** Throws CommandFailure for words that fit nothing, OpenFailure for an image that cannot be opened. */
export async function openImage(graph: BlockGraph, words: ImageWords, session: Session): Promise<BlockNode> {
  try {
    return await open(graph, words, session);
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    if (words.snapshot === undefined || error.code !== "NOT_FOUND" || error.errno !== undefined)
      throw new OpenFailure(words.name, openWords(error, words.writable), error);
    throw new CommandFailure(error.message, 1, { cause: error, words: [qemuWords(error)] });
  }
}

async function open(graph: BlockGraph, words: ImageWords, session: Session): Promise<BlockNode> {
  const { name, format, imageOptions = false, forceShare = false, writable = false, forCheck = false, alone = false, snapshot } = words;
  if (imageOptions && format !== undefined) throw new CommandFailure("--image-opts and --format are mutually exclusive");
  if (forceShare && writable) throw forceShareFailure(name);
  if (imageOptions && session.program.kind !== "coblock" && /(?:^|[,.])backing=(?:,|$)/.test(name))
    session.complain('warning: Use of "backing": "" is deprecated; use "backing": null instead');
  const options = imageOptions ? imageOptionsOf(name) : probedFileOf(name);
  const opening: OpenOptions = {
    signal: session.signal,
    readOnly: !writable,
    forCheck,
    forceShare,
    writableBacking: words.writableBacking ?? 0,
    cache: { noFlush: words.noFlush ?? false },
    ...(format === undefined ? {} : { driver: format }),
  };
  const described = alone ? await describeAlone(graph, options, format, !writable) : options;
  const node = await graph.open(snapshot === undefined ? described : await describeSnapshot(graph, described, format, snapshot), opening);
  const guessed = typeof options === "string" && format === undefined && !options.startsWith("json:");
  if (writable && guessed && node.driver === "raw") warnOfGuess(name, session);
  if (session.program.kind === "qemu-img" && !alone && words.keyless !== true) await requireKeys(node);
  return node;
}

/** qemu-img opens no image without its passphrase, and the layers below it neither; ours asks for it when the disk is read. */
async function requireKeys(node: BlockNode): Promise<void> {
  try {
    for (const layer of chainOf(node)) if ((await layer.info()).encrypted === true) await layer.read(0, new Uint8Array(SECTOR_LENGTH));
  } catch (error) {
    await node[Symbol.asyncDispose]();
    throw error;
  }
}

function forceShareFailure(name: string): CommandFailure {
  const words = [`Could not open '${name}': force-share=on can only be used with read-only images`];
  return new CommandFailure("-U/--force-share is for images that are only read", 1, { words });
}

function warnOfGuess(name: string, session: Session): void {
  if (session.program.kind !== "coblock") for (const line of guessedRawWords(name)) session.note(line);
  else
    session.complain(
      `warning: the format of '${name}' was guessed to be raw, and writes that would make it look like another format will be refused; -f raw says that it is`,
    );
}

/** `json:{"file":...}` without a driver is the file that it names, to be probed. */
function probedFileOf(name: string): string {
  if (!name.startsWith("json:")) return name;
  const parsed = parseFileName(name);
  if (parsed.kind !== "json" || parsed.options["driver"] !== undefined) return name;
  const { file, ...others } = parsed.options;
  const named = typeof file === "object" && file !== null ? (file as Record<string, unknown>)["filename"] : file;
  if (typeof named === "string" && Object.keys(others).length === 0) return named;
  throw new CommandFailure(`'${name}' does not tell the driver`, 1, {
    words: [`Could not open '${name}': Must specify either driver or file`],
  });
}

/** The image as one of its snapshots has it. Throws CommandFailure for a format that has none. */
export async function describeSnapshot(
  graph: BlockGraph,
  options: string | DescribedNode,
  format: string | undefined,
  snapshot: SnapshotSelector,
): Promise<DescribedNode> {
  const described = typeof options === "string" ? await describeName(graph, options, format, true) : options;
  const { optionNames } = await graph.driver(described.driver);
  if (!optionNames.includes("snapshot"))
    throw new CommandFailure(`Failed to load snapshot: format '${described.driver}' has no snapshots inside its images`, 1, {
      words: [
        `Failed to load snapshot: Block format '${described.driver}' used by device '' does not support temporarily loading internal snapshots`,
      ],
    });
  return { ...described, snapshot } as DescribedNode;
}

/** `-r`: bytes a second; absent or 0: as fast as it goes. */
export function rateControl(words: string | undefined): JobControl {
  const control = new JobControl();
  const rate = words === undefined ? 0 : parseSize(words, "rate limit");
  if (rate > 0) control.rate = rate;
  return control;
}

/** The size as qemu-img tells it: whole sectors. */
export function diskSize(node: BlockNode): number {
  return Math.ceil(node.size / SECTOR_LENGTH) * SECTOR_LENGTH;
}

/** With `unsafe` flushes stop at the host's page cache; between the other modes Coblock makes no difference. */
export function checkCacheMode(mode: string | undefined, what: "cache" | "source cache"): void {
  if (mode !== undefined && !CACHE_MODES.includes(mode)) throw new CommandFailure(`Invalid ${what} option: ${mode}`);
}

/** `--output`. */
export function wantsJson(output: string | undefined): boolean {
  if (output === undefined || output === "human") return false;
  if (output === "json") return true;
  throw new CommandFailure("--output must be used with human or json as argument.");
}

/** Throws CommandFailure for a format that no driver has. */
export async function loadFormat(graph: BlockGraph, format: string): ReturnType<BlockGraph["driver"]> {
  try {
    return await graph.driver(format);
  } catch (error) {
    if (error instanceof BlockError && error.code === "INVALID_OPTION")
      throw new CommandFailure(`Unknown file format '${format}'`, 1, { cause: error });
    throw error;
  }
}

/** `driver=qcow2,file.filename=x`: without a driver the file is probed, and what has a file name and no driver is a file. */
export function imageOptionsOf(text: string): string | DescribedNode {
  const flat: Record<string, unknown> = {};
  for (const [name, value] of parseKeyValues(text)) flat[name] = typedValue(name, value);
  const nested = nestOptions(flat);
  const { driver, file, filename, ...others } = nested;
  if (driver !== undefined) return withFileDrivers(nested, true) as unknown as DescribedNode;
  const named = filename ?? (typeof file === "object" && file !== null ? (file as Record<string, unknown>)["filename"] : file);
  const plain = typeof named === "string" && Object.keys(others).length === 0;
  if (plain) return named;
  const lone = !text.includes("=") && !text.includes(",");
  const words = `Could not open '${text}': ${lone ? `Cannot find device='${text}' nor node-name='${text}'` : "Must specify either driver or file"}`;
  throw new CommandFailure(`'${text}' does not tell the driver (driver=...)`, 1, { words: [words] });
}

const TEXT_OPTIONS = (
  "driver filename node-name detect-zeroes discard locking snapshot format key-secret throttle-group config event iotype " +
  "url username password-secret cookie cookie-secret"
).split(" ");
/** Options that have members and are no nodes. */
const GROUPS = ["snapshot", "encrypt", "overlapCheck", "cache", "injectError", "setState"];

function typedValue(dotted: string, value: string): string | number | boolean | null {
  const name = dotted.slice(dotted.lastIndexOf(".") + 1);
  if (TEXT_OPTIONS.includes(name) || dotted.startsWith("snapshot.")) return value;
  if (name === "backing" && value === "") return null;
  if (value === "on" || value === "off") return parseFlag(value, dotted);
  return /^\d+(?:\.\d+)?[bkmgtpe]?$/i.test(value) ? parseSize(value, dotted) : value;
}

function withFileDrivers(options: Readonly<Record<string, unknown>>, isTop: boolean): Record<string, unknown> {
  const complete: Record<string, unknown> = {};
  if (!isTop && options["driver"] === undefined && "filename" in options) complete["driver"] = "file";
  for (const [name, value] of Object.entries(options)) {
    const isNode = typeof value === "object" && value !== null && !GROUPS.includes(name);
    complete[name] = isNode ? withFileDrivers(value as Record<string, unknown>, false) : value;
  }
  return complete;
}
